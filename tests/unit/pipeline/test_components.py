"""Components of a family in the configuration: names, parameters, layers, schema, writing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from reinforcestrategycreator_pipeline.checks import Ge, Gt, Strict
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_schema, config_to_yaml
from reinforcestrategycreator_pipeline.registry import REQUIRED, Bound, Registry

PLANS: Registry[Any] = Registry("plan", ("go",))
RULES: Registry[Any] = Registry("rule", ())


@dataclass(frozen=True)
class Steps(Strict):
    steps: Annotated[int, Ge(1)] = 10
    rate: float = 0.5


@PLANS.register("slow")
@dataclass(frozen=True)
class Slow(Strict):
    """Takes its time.

    Attributes
    ----------
    steps : Steps
        How many.
    patience : int
        How long.
    """

    steps: Steps = field(default_factory=Steps)
    patience: Annotated[int, Ge(0)] = 3

    def go(self) -> None: ...


@PLANS.register("fast")
@dataclass(frozen=True)
class Fast(Strict):
    """Does not."""

    speed: Annotated[float, Gt(0)]

    def go(self) -> None: ...


@RULES.register("plain")
def plain_rule(x: float) -> float:
    """Return x."""
    return x


@RULES.register("scaled")
def scaled(x: float, *, by: Annotated[float, Gt(0)] = 2.0) -> float:
    """Return x, scaled."""
    return x * by


@dataclass(frozen=True)
class Root(Strict):
    """All."""

    plan: Annotated[Any, PLANS] = Slow(patience=7)
    rule: Annotated[Any, RULES] = plain_rule
    more: tuple[Annotated[Any, RULES], ...] = ()
    rival: Annotated[Any, PLANS] | None = None


@pytest.fixture
def load(tmp_path: Path):
    file = tmp_path / "c.yaml"

    def _load(text: str = "{}", *sets: str) -> Root:
        file.write_text(text)
        return load_config(Root, file, sets)

    return _load


def test_names_and_parameters(load) -> None:
    assert load() == Root()
    assert load("rule: scaled").rule is scaled
    config = load(
        "rule: {name: scaled, by: 3}\nplan: {name: fast, speed: 1}\nmore: [plain, scaled]"
    )
    assert config.rule(2.0) == 6.0
    assert config.plan == Fast(1.0)
    assert config.more == (plain_rule, scaled)
    assert config == load("rule: {name: scaled, by: 3.0}\nplan: {name: fast, speed: 1}\n"
                          "more: [{name: plain}, scaled]")  # fmt: skip


def test_in_python_the_object_itself() -> None:
    assert Root(rule="scaled").rule is scaled
    assert Root(plan={"name": "fast", "speed": 2}).plan == Fast(2.0)
    own = lambda x: -x  # noqa: E731
    assert Root(rule=own).rule is own
    with pytest.raises(ConfigError, match="must be a rule: a name, or a mapping"):
        Root(rule=3)
    with pytest.raises(ConfigError, match="is not a plan: it lacks go"):
        Root(plan=f"{__name__}:Root")


def test_keys_merge_over_the_same_component_and_another_brings_its_own(load) -> None:
    assert load("plan: {patience: 1}").plan == Slow(patience=1)
    assert load("plan: {steps: {rate: 1}}").plan == Slow(Steps(rate=1.0), patience=7)
    assert load("plan: {name: slow, patience: 1}", "plan.steps.steps=5").plan == Slow(Steps(5), 1)
    assert load("plan: slow").plan == Slow()  # a bare name is the component as it comes
    assert load("plan: slow", "plan.steps.steps=5").plan == Slow(Steps(5))
    assert load("plan: {patience: 1}", "plan={name: fast, speed: 2}").plan == Fast(2.0)
    assert load("plan: {patience: 1}", "plan.name=fast", "plan.speed=2").plan == Fast(2.0)
    assert load("rule: scaled", "rule.by=5").rule == Bound(scaled, by=5.0)
    assert load("", "rival={name: slow}").rival == Slow()
    assert load("rival: slow", "rival=null").rival is None


REFUSALS = [
    ("rule: scald", "1: rule: unknown rule 'scald'. Did you mean 'scaled'?"),
    ("rule:\n  name: scald", "2: rule.name: unknown rule 'scald'. Did you mean 'scaled'?"),
    ("rule:\n  name: scaled\n  byy: 1", "3: rule.byy: unknown key. Did you mean 'by'?"),
    ("rule:\n  name: scaled\n  by: 0", "3: rule.by: must be a number > 0. Got 0 instead."),
    ("rule: 3", "1: rule: must be a rule: a name, or a mapping with a name and parameters. Got 3 "
     "instead."),
    ("rule: {}\n", ""),
    ("plan:\n  steps:\n    steps: 0", "3: plan.steps.steps: must be an integer >= 1. Got 0 "
     "instead."),
    ("plan: fast", "1: plan.speed: is required and has no default."),
    ("plan: {name: fast}", "1: plan.speed: is required and has no default."),
    ("more:\n- plain\n- {name: scaled, b: 1}", "3: more[1].b: unknown key. Did you mean 'by'?"),
    ("rival: {speed: 1}", "1: rival: must be a plan: a name, or a mapping with a name and "
     "parameters. Got {'speed': 1} instead."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSALS, ids=[t for t, _ in REFUSALS])
def test_refusals_say_where(load, text: str, message: str) -> None:
    if not message:
        assert load(text) == Root()
        return
    with pytest.raises(ConfigError) as error:
        load(text)
    assert message in str(error.value)


@RULES.declare
def negative(x: float) -> float:
    return -x


def test_written_as_read(load) -> None:
    own = f"'{__name__}:negative'"
    text = config_to_yaml(load(f"rule: {{name: scaled, by: 3}}\nmore: [{own}, plain]"))
    assert text == (
        "plan:\n  name: slow\n  steps:\n    steps: 10\n    rate: 0.5\n  patience: 7\n"
        f'rule:\n  name: scaled\n  by: 3.0\nmore: ["{__name__}:negative", plain]\nrival: null\n'
    )
    again = load(text)
    assert again == load(f"rule: {{name: scaled, by: 3}}\nmore: [{own}, plain]")


def test_described() -> None:
    fast, slow = PLANS.describe()
    assert (fast.name, fast.summary, fast.accepts["speed"].default) == (
        "fast",
        "Does not.",
        REQUIRED,
    )
    assert {k: p.default for k, p in slow.accepts.items()} == {"steps": Steps(), "patience": 3}
    assert [d.name for d in RULES.describe()] == ["plain", "scaled"]
    assert {k: p.default for k, p in RULES.describe()[1].accepts.items()} == {"by": 2.0}


def test_the_schema_completes_names_and_parameters() -> None:
    forms = config_schema(Root)["properties"]["plan"]["anyOf"]
    assert {"const": "slow", "description": "Takes its time."} in forms
    assert "fast" not in [form.get("const") for form in forms]  # it needs its speed
    (fast,) = [f for f in forms if f.get("properties", {}).get("name") == {"const": "fast"}]
    assert fast["properties"]["speed"] == {"type": "number", "exclusiveMinimum": 0}
    assert fast["required"] == ["name", "speed"]
    assert fast["additionalProperties"] is False


def test_a_decorated_class_stays_what_it_is() -> None:
    assert Slow(patience=1).patience == 1  # and a type checker sees Slow, not the family's type
