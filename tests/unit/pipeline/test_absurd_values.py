"""Every number of the configuration has a range, and what lies beyond it is refused at once.

The keys are found, not listed: by walking over the annotations of the configuration and of every
registered component.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest

from reinforcestrategycreator_pipeline.checks import (
    MOST_ITEMS,
    Ge,
    family_of,
    field_types,
    fit,
    is_section,
    members,
)
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import FEATURES
from reinforcestrategycreator_pipeline.market.sources.catalog import SOURCES
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import DQNConfig
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.nn.heads.catalog import HEADS
from reinforcestrategycreator_pipeline.nn.losses import LOSSES
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_schema
from reinforcestrategycreator_pipeline.pipeline.rehearsal import rehearse
from reinforcestrategycreator_pipeline.policies.catalog import STRATEGIES
from reinforcestrategycreator_pipeline.registry import parameters_of

ABSURD = (
    1e-300,
    1e300,
    -1e300,
    2**63 - 1,
    -(2**63),
    2**63,
    1e12,
    10**12,
    float("nan"),
    float("inf"),
    -float("inf"),
    -0.0,
    10**400,
    "x" * 2**20,
)
LONGEST = 600  # characters of a message
SECONDS = 0.5


def numbers(annotation: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    """Return the key paths of all numbers below `annotation`, each with its annotation."""
    if get_origin(annotation) is Annotated:
        inner = get_args(annotation)[0]
        if family_of(annotation):
            return []
        if inner in (int, float):
            return [(path, annotation)]
        return numbers(inner, path)
    if len(alternatives := members(annotation)) > 1:
        return [found for one in alternatives for found in numbers(one, path)]
    if is_section(annotation):
        kinds = field_types(annotation)
        assert not any(kind is Any for kind in kinds.values()), annotation  # no rule was lost
        return [found for k, kind in kinds.items() for found in numbers(kind, (*path, k))]
    if get_origin(annotation) in (tuple, list):
        return [f for one in get_args(annotation) for f in numbers(one, (*path, "0"))]
    if annotation in (int, float):
        return [(path, annotation)]
    inner = get_args(annotation)[1:] if hasattr(get_origin(annotation), "keys") else ()
    return [found for one in inner for found in numbers(one, (*path, "sharpe"))]


def of_components() -> list[tuple[str, Any]]:
    """Return ``family name key`` and annotation of every number that a registered one takes."""
    found = []
    for family in (SOURCES, FEATURES, STRATEGIES, LOSSES, HEADS, SCHEDULES):
        for name in family:
            member: Any = family.get(name)
            for key, parameter in parameters_of(member).items():
                if key == "hyperparameters":  # of a head: what the hyperparameters below are
                    continue
                found += [
                    (f"{family.family} {name} {'.'.join(path)}", kind)
                    for path, kind in numbers(parameter.annotation, (key,))
                ]
    return found


CONFIG = numbers(RunConfig, ())
DQN_SETTINGS = [(path, kind) for path, kind in numbers(DQNConfig, ())]
EVERY = [(".".join(path), kind) for path, kind in CONFIG + DQN_SETTINGS] + of_components()


def test_the_walk_finds_them() -> None:
    names = {name for name, _ in EVERY}
    assert len(EVERY) > 90
    assert {"split.test", "trading.positions.0", "trading.rebalance", "seed"} <= names
    assert {
        "hyperparameters.hidden_layers.0",
        "deployment.thresholds.minimum.sharpe",
    } <= names
    assert {"feature rsi period", "data source synthetic n_bars", "strategy linear alpha"} <= names


@pytest.mark.parametrize(("name", "kind"), EVERY, ids=[name for name, _ in EVERY])
def test_every_number_has_a_range(name: str, kind: Any) -> None:
    markers = get_args(kind)[1:]
    low = any(hasattr(m, "ge") or hasattr(m, "gt") for m in markers)
    high = any(hasattr(m, "le") or hasattr(m, "lt") for m in markers)
    assert (low, high) == (True, True)


def numbers_in(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in numbers_in(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") in ("number", "integer") else []
    return own + [found for item in schema.values() for found in numbers_in(item)]


def test_the_schema_says_the_ranges() -> None:
    found = numbers_in(config_schema(RunConfig))
    assert len(found) > 90
    for schema in found:
        assert {"minimum", "exclusiveMinimum"} & set(schema), schema
        assert {"maximum", "exclusiveMaximum"} & set(schema), schema


@contextlib.contextmanager
def quickly() -> Any:
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            yield
        finally:
            assert time.process_time() - started < SECONDS


def refusal(build: Any, key: str) -> str:
    """Return the message of a refusal, which is one short line with key, rule and value; or ''."""
    try:
        with quickly():
            build()
    except ConfigError as error:
        text = str(error)
        assert len(text) < LONGEST, len(text)
        assert "\n" not in text
        assert key in text, text
        assert "must be" in text, text
        assert "Got" in text, text
        return text
    return ""


@pytest.mark.parametrize("path", [path for path, _ in CONFIG], ids=".".join)
def test_absurd_values_in_the_configuration(path: tuple[str, ...]) -> None:
    key = ".".join(p for p in path if p != "0")
    for value in ABSURD:
        given = [value] if path[-1] == "0" else value
        leaf = path[-1] if path[-1] != "0" else path[-2]
        refusal(lambda given=given: load_config(RunConfig, None, {key: given}), leaf)


KINDS = {"half_life": "ornstein_uhlenbeck", "phi": "ar1_signal", "edge_bps": "ar1_signal"}
KINDS |= {"gate_phi": "gated_momentum", "irrelevant": "ar1_signal"}
KINDS |= dict.fromkeys(("drift_bps", "persistence", "signal_noise"), "regime")
KINDS |= dict.fromkeys(("amplitudes_bps", "periods"), "sinusoids")
ONE_OF = {"data source": SOURCES, "feature": FEATURES, "strategy": STRATEGIES, "loss": LOSSES}


@pytest.mark.parametrize("name", [name for name, _ in of_components()])
def test_absurd_values_of_a_component(name: str) -> None:
    family, member, key = name.rsplit(" ", 2)
    registry = ONE_OF[family]
    for value in ABSURD:
        *above, leaf = [part for part in key.split(".") if part != "0"]
        given: Any = {leaf: [value] if key.endswith(".0") else value}
        for part in reversed(above):
            given = {part: given}
        of_a_file = member in ("csv", "parquet", "feather", "json")
        given |= {"name": member, **({"path": "bars"} if of_a_file else {})}
        given |= {"series": ["stooq/ibm.us/1d"]} if member == "store" else {}
        if member == "synthetic" and leaf in KINDS:
            given["kind"] = KINDS[leaf]
        text = refusal(lambda given=given: registry.build(given), leaf)
        assert text or isinstance(value, (int, float))


@pytest.mark.parametrize("path", [path for path, _ in DQN_SETTINGS], ids=".".join)
def test_absurd_values_of_the_learner(path: tuple[str, ...]) -> None:
    """A value that is accepted is one with which it trains, or that the memory refuses."""
    leaf = [p for p in path if p != "0"][-1]
    for value in ABSURD:
        given = [value] if path[-1] == "0" else value

        def trained(given: Any = given) -> None:
            DQN(**{leaf: given})

        refusal(trained, leaf)


TEXTS = ("data.source", "strategy.name", "strategy.model", "split.test_start", "imports")


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_of_a_megabyte(key: str) -> None:
    text = "x" * 2**20
    given = [text] if key == "imports" else text
    with pytest.raises(ConfigError) as caught, quickly():
        load_config(RunConfig, None, {"strategy.name": "dqn", key: given})
    assert len(str(caught.value)) < LONGEST
    assert key in str(caught.value)


LISTS = {
    "trading.positions": [i / 1000 for i in range(1_000_000)],
    "strategy.training.hidden_layers": [2] * 100_000,
    "evaluation.benchmarks": ["flat"] * 100_000,
    "features.columns": ["rsi"] * 100_000,
}


@pytest.mark.parametrize("key", LISTS)
def test_a_list_of_a_hundred_thousand_or_more(key: str) -> None:
    with pytest.raises(ConfigError) as caught, quickly():
        load_config(RunConfig, None, {key: LISTS[key]})
    text = str(caught.value)
    assert "at most" in text
    assert key in text
    assert len(text) < LONGEST


@pytest.mark.parametrize("kind", [tuple[str, ...], list[int], tuple[Annotated[float, Ge(0)], ...]])
def test_a_list_without_a_length_of_its_own_has_one_all_the_same(kind: Any) -> None:
    wrong: list[ConfigError] = []
    with quickly():
        fit(kind, [None] * (MOST_ITEMS + 1), ("key",), wrong)
    assert [error.rule for error in wrong] == [f"must be a list of at most {MOST_ITEMS} items"]


CASES = {
    "split.test=1e-300": r"split\.test: must be a number in \[0\.0001, 1\) or null\. Got 1e-300",
    "split.embargo_bars=1000000000000": r"embargo_bars: must be an integer in \[0, 1e7\]",
    "strategy.training.value_interval=1000000000000": r"in \[1, 1e9\]",
    "strategy.training.hidden_layers=[1000000]": (
        r"hidden_layers\[0\]: must be an integer in \[1, 100000\]\. Got 1000000 instead\. "
        r"A pair of such layers needs about 20\.0 TB, this machine has .* available"
    ),
    "strategy.training={value_interval: 1000000000, steps: 1000000000}": (
        r"training\.value_interval: must be within the memory; this needs about .*, this machine "
        r"has .* available\. Got 1000000000 instead"
    ),
    "seed=9223372036854775808": r"seed: must be an integer in \[0, 9223372036854775807\]",
}


@pytest.mark.parametrize("override", CASES)
def test_the_line_says_key_rule_and_value(override: str) -> None:
    with pytest.raises(ConfigError, match=CASES[override]), quickly():
        load_config(RunConfig, None, [override])


def test_a_hundred_agents_with_a_million_of_images_each() -> None:
    agents = Population([{"hyperparameters": {"buffer_size": 10**6}}] * 100)
    with pytest.raises(ConfigError, match="buffer_size") as caught, quickly():
        agents.build((210, 160, 3), (4,))
    assert "needs about" in str(caught.value)


def rehearsed(config: RunConfig) -> str:
    """Return the error of a rehearsal, or ``""``."""
    try:
        rehearse(config)
    except ConfigError as error:
        return str(error)
    return ""


def rehearsals() -> Iterator[tuple[str, Any]]:
    """Yield every key, and a function from its value to what is given."""
    for path, _ in CONFIG:
        yield ".".join(p for p in path if p != "0"), lambda x, p=path: [x] if p[-1] == "0" else x
    for name, _ in of_components():
        family, member, key = name.rsplit(" ", 2)
        short = key.removesuffix(".0")
        if family == "feature":
            yield (
                "features.columns",
                lambda x, m=member, k=key, s=short: [{"name": m, s: [x] if k != s else x}],
            )
        elif family == "strategy" and member == "dqn":
            *above, leaf = short.split(".")

            def given(x: Any, a: Any = above, n: str = leaf, listed: bool = key != short) -> Any:
                value: Any = {n: [x] if listed else x}
                for part in reversed(a):
                    value = {part: value}
                return {"name": "dqn", **value}

            yield "strategy", given


@pytest.mark.parametrize(
    "overrides",
    [
        ["features.columns=[{name: rsi, period: 2000}]"],
        ["features.columns=[{name: rsi, period: 1000000}]"],
        ["strategy={name: linear, horizon: 1000000}"],
        ["strategy={name: dqn, hyperparameters: {train_frequency: 1000000000}}"],
        ["strategy.training.value_interval=1000000000", "strategy.training.block_days=1e5"],
    ],
)
def test_a_check_takes_seconds_with_the_largest_values(overrides: list[str]) -> None:
    """Whether the data are long enough, is seen when they are there."""
    started = time.process_time()
    rehearse(load_config(RunConfig, None, overrides))
    assert time.process_time() - started < 10 * SECONDS


@pytest.mark.slow
def test_extreme_values_that_are_accepted_work() -> None:
    """With each, a rehearsal passes, or refuses in one line."""
    accepted = 0
    for key, given in rehearsals():
        for value in ABSURD[:-1]:
            try:
                config = load_config(RunConfig, None, {key: given(value)})
            except ConfigError:
                continue
            accepted += 1
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                text = rehearsed(config)
                assert len(text) < LONGEST
                assert "Warning" not in text, (key, value)
    assert accepted > 20
