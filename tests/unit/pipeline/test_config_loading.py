from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.checks import Ge, Strict, require
from reinforcestrategycreator_pipeline.errors import ConfigError, at
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_schema, config_to_yaml


@dataclass(frozen=True)
class Training(Strict):
    """How long and how fast.

    More words that no editor shows.

    Attributes
    ----------
    steps : int
        Gradient steps,
        counted from 1.
    rate, decay : float
        Step sizes.

    Notes
    -----
    note : this is no attribute
    """

    steps: Annotated[int, Ge(1)] = 100
    rate: float = 1e-3
    decay: float = 0.0
    double: bool = True
    kind: Literal["huber", "square"] = "huber"
    layers: tuple[int, ...] = (64, 64)


@dataclass(frozen=True)
class Feature:
    """One feature."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where data come from."""

    name: str = "sample"
    params: Mapping[str, Any] = field(default_factory=lambda: {"symbols": ["IBM"]})
    start: str | None = None


@dataclass(frozen=True)
class Root:
    """Everything."""

    seed: int = 0
    # The root's default differs from the class's own: it must survive a partial section.
    training: Training = Training(steps=500)
    features: tuple[Feature, ...] = (Feature("rsi", {"n": 14}),)
    source: Source = field(default_factory=Source)
    extra: Training | None = None


@pytest.fixture
def load(tmp_path: Path):
    file = tmp_path / "c.yaml"

    def _load(text: str | None = None, *sets: str, **environ: str) -> Root:
        if text is not None:
            file.write_text(text)
        return load_config(Root, file if text is not None else None, sets, environ)

    _load.file = file
    return _load


def test_defaults(load) -> None:
    assert load() == Root()


def test_precedence_file_environment_set(load) -> None:
    text = "training: {steps: 1, rate: 1, decay: 1}"
    env = {"RSC_CONFIG__TRAINING__RATE": "2", "RSC_CONFIG__TRAINING__DECAY": "2", "HOME": "/x"}
    config = load(text, "training.decay=3", "training.decay=4", **env)
    assert (config.training.steps, config.training.rate, config.training.decay) == (1, 2.0, 4.0)


def test_a_partial_section_keeps_the_roots_default(load) -> None:
    assert load("training: {rate: 1e-4}").training == Training(steps=500, rate=1e-4)
    assert load(None, "training.rate=0.1").training.steps == 500


def test_whole_number_for_a_float_and_list_for_a_tuple(load) -> None:
    config = load("training: {rate: 1, layers: [8, 4]}")
    assert config.training.rate == 1.0
    assert type(config.training.rate) is float
    assert config.training.layers == (8, 4)


def test_free_mappings_are_replaced_whole_but_set_key_by_key(load) -> None:
    assert load("source: {name: csv, params: {path: x}}").source.params == {"path": "x"}
    config = load("source: {params: {path: x, sep: ;}}", "source.params.path=y")
    assert config.source.params == {"path": "y", "sep": ";"}


def test_optional_sections(load) -> None:
    assert load("extra: {steps: 3}").extra == Training(steps=3)
    assert load("extra: {steps: 3}", "extra=null").extra is None
    assert load(None, "extra.steps=3").extra == Training(steps=3)


def test_an_entry_of_a_list_is_set_by_its_position(load) -> None:
    config = load("training: {layers: [8, 4, 2]}", "training.layers.1=5")
    assert config.training.layers == (8, 5, 2)
    text = "features: [{name: rsi, params: {period: 3, tail: 1}}, {name: macd}]"
    first, second = load(text, "features.0.params.period=9", "features.1.name=atr").features
    assert (first.name, first.params) == ("rsi", {"period": 9, "tail": 1})
    assert second.name == "atr"


def test_values_of_set_are_yaml(load) -> None:
    config = load(None, "source.name=NO", "training.layers=[3]", "source={start: 2024-01-01}")
    assert config.source == Source(name="NO", start="2024-01-01")
    assert config.training.layers == (3,)


C = "{f}:"

REFUSALS = [
    ("training:\n  stepz: 1", C + "2: training.stepz: unknown key. Did you mean 'steps'?"),
    ("xyz: 1", C + "1: xyz: unknown key. Valid names: extra, features, seed, source, training."),
    ("features:\n- name: rsi\n  parms: {}", C + "3: features[0].parms: unknown key. Did you mean "
     "'params'?"),
    ("features:\n- {}", C + "2: features[0].name: is required and has no default."),
    ("extra:\n  stepz: 1", C + "2: extra.stepz: unknown key. Did you mean 'steps'?"),
    ("seed: '1'", C + "1: seed: must be an integer. Got '1' instead."),
    ("seed: 1.0", C + "1: seed: must be an integer. Got 1.0 instead."),
    ("seed: true", C + "1: seed: must be an integer. Got True instead."),
    ("seed:", C + "1: seed: must be an integer. Got None instead."),
    ("training:\n  rate: fast", C + "2: training.rate: must be a number. Got 'fast' instead."),
    ("training:\n  double: 1", C + "2: training.double: must be true or false. Got 1 instead."),
    ("training:\n  double: on", C + "2: training.double: must be true or false. Got 'on' instead."),
    ("training:\n  layers: 64", C + "2: training.layers: must be a list. Got 64 instead."),
    ("training:\n  layers:\n  - 1\n  - a", C + "4: training.layers[1]: must be an integer. Got 'a' "
     "instead."),
    ("training: 3", C + "1: training: must be a section (a mapping of keys to values). Got 3 "
     "instead."),
    ("source:\n  params: [1]", C + "2: source.params: must be a mapping of names to values. "
     "Got [1] instead."),
    ("source:\n  name: 3", C + "2: source.name: must be a string. Got 3 instead."),
    ("training:\n  kind: hubr", C + "2: training.kind: must be 'huber' or 'square'. Got 'hubr' "
     "instead. Did you mean 'huber'?"),
    ("training:\n  rate: 1\n  steps: 0", C + "3: training.steps: must "
     "be an integer >= 1. Got 0 instead."),
    ("seed: a\ntraining:\n  rate: b\nxyz: 1", C + "1: seed: must be an integer. Got 'a' instead. "
     "(and 2 more: training.rate: must be a number; xyz: unknown key)"),
    ("seed: 1\nseed: 2", C + "2: seed: duplicate key, first given on line 1."),
    ("seed: " + "x" * 100, C + "1: seed: must be an integer. Got '" + "x" * 76 + "... instead."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSALS, ids=[t[:25] for t, _ in REFUSALS])
def test_refusals_in_a_file(load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(text)
    assert str(error.value) == message.format(f=load.file)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.nope=1", "training.nope: unknown key. Valid names: decay, double, kind, layers, "
         "rate, steps."),
        ("trainin.steps=1", "trainin: unknown key. Did you mean 'training'?"),
        ("seed.x=1", "seed: must be an integer. Got {'x': 1} instead."),
        ("training.layers.2=3", "training.layers is a list: its entries are 0 to 1. Got '2' "
         "instead."),
        ("training.layers.-1=3", "training.layers is a list: its entries are 0 to 1. Got '-1' "
         "instead."),
        ("training.layers.1=a", "training.layers[1]: must be an integer. Got 'a' instead."),
        ("training.steps=0", "training.steps: must be an integer >= 1. Got 0 instead."),
        ("training.steps='7'", "training.steps: must be an integer >= 1. Got '7' instead."),
        ("training.steps=[1", "not valid YAML: expected ',' or ']', but got '<stream end>'."),
        ("training.steps", "must have the form dotted.key=value."),
        ("=1", "must have the form dotted.key=value."),
        ("a..b=1", "must have the form dotted.key=value."),
        ("seed=*x", "aliases (*x) are not allowed."),
    ],
)  # fmt: skip
def test_refusals_on_the_command_line(load, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load("training: {rate: 1}", override)
    assert str(error.value) == f"--set {override}: {message}"


def test_a_sections_own_check_blames_what_was_set_last(load) -> None:
    with pytest.raises(ConfigError, match=r"^--set training.steps=0: training.steps: must"):
        load("training:\n  steps: 4\n", "training.steps=0")
    with pytest.raises(ConfigError, match=r"c.yaml:2: training.steps: must be"):
        load("training:\n  steps: 0\n", "training.rate=1")


@dataclass(frozen=True)
class Named(Strict):
    """A section whose own check looks into a free mapping, as a component's factory does."""

    source: str = "csv"
    columns: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for i, column in enumerate(self.columns):
            with at("columns", i):
                require("perod" not in column, "column", "perod", "called period", column)
        if self.source == "none":
            raise ConfigError("something else.")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("columns:\n- {name: rsi}\n- name: ema\n  perod: 1", "4: columns[1].perod: must be called "
         "period. Got {'name': 'ema', 'perod': 1} instead."),
        ("\nsource: none", "2: something else."),
    ],
)  # fmt: skip
def test_a_sections_own_complaint_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(Named, file)
    assert str(error.value) == f"{file}:{complaint}"


def test_refusals_in_the_environment_show_no_other_variable(load) -> None:
    secret = {"API_KEY": "hunter2"}
    with pytest.raises(ConfigError) as error:
        load(None, RSC_CONFIG__TRAINING__STEPZ="1", **secret)
    assert str(error.value) == (
        "environment variable RSC_CONFIG__TRAINING__STEPZ: training.stepz: unknown key. "
        "Did you mean 'steps'?"
    )
    with pytest.raises(ConfigError, match=r"RSC_CONFIG_SEED: levels are joined by two underscores"):
        load(None, RSC_CONFIG_SEED="1")
    with pytest.raises(ConfigError, match=r"RSC_CONFIG__: has an empty level"):
        load(None, RSC_CONFIG__="1")


def test_a_required_section_has_no_place_but_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("params: {}")
    with pytest.raises(ConfigError) as error:
        load_config(Feature, file)
    assert str(error.value) == f"{file}:1: name: is required and has no default."
    with pytest.raises(ConfigError, match=r"^the default configuration: name: is required"):
        load_config(Feature, None)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False)
    | TEXT
    | st.sampled_from(["NO", "010", "12:30", "1e-4", "null", "~", "", " x", "- a", "2024-01-01"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(TEXT.filter(bool), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(TEXT.filter(bool), VALUES, max_size=4), TEXT, st.floats(-1e300, 1e300))
@settings(max_examples=150, deadline=None)
def test_the_written_configuration_loads_back_equal(
    tmp_path_factory, params: dict[str, Any], name: str, rate: float
) -> None:
    config = Root(source=Source(name=name, params=params), training=Training(rate=rate))
    text = config_to_yaml(config)
    file = tmp_path_factory.getbasetemp() / "back.yaml"
    file.write_text(text, encoding="utf-8")
    again = load_config(Root, file)
    assert again == config
    assert config_to_yaml(again) == text


def test_the_written_configuration_is_complete_and_readable() -> None:
    assert config_to_yaml(Root(source=Source(name="NO", start="12:30"))) == (
        "seed: 0\n"
        "training:\n"
        "  steps: 500\n"
        "  rate: 0.001\n"
        "  decay: 0.0\n"
        "  double: true\n"
        "  kind: huber\n"
        "  layers: [64, 64]\n"
        "features:\n"
        "  - name: rsi\n"
        "    params:\n"
        "      n: 14\n"
        "source:\n"
        "  name: NO\n"
        "  params:\n"
        "    symbols: [IBM]\n"
        '  start: "12:30"\n'
        "extra: null\n"
    )


def test_what_no_file_can_hold_is_a_defect() -> None:
    with pytest.raises(TypeError, match="a configuration cannot hold a set"):
        to_plain({"a": {1}})


def test_schema() -> None:
    schema = config_schema(Root)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["description"] == "Everything."
    training = schema["$defs"]["Training"]
    assert training["description"] == "How long and how fast."
    assert training["additionalProperties"] is False
    assert training["properties"]["steps"] == {
        "type": "integer",
        "minimum": 1,
        "default": 100,
        "description": "Gradient steps, counted from 1.",
    }
    assert training["properties"]["decay"]["description"] == "Step sizes."
    assert "description" not in training["properties"]["double"]
    assert schema["$defs"]["Feature"]["required"] == ["name"]
