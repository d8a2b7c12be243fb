"""The configuration's list of features: what it may hold, and what is refused and how."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import (
    DEFAULT_FEATURES,
    build_feature,
    list_features,
    parse_specs,
)
from reinforcestrategycreator_pipeline.features.momentum import Rsi
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig


def test_entries_of_every_form():
    specs = parse_specs(["rsi", {"name": "returns", "horizons": [1, 5]}, FeatureSpec("macd")])
    assert specs == (
        FeatureSpec("rsi", {}),
        FeatureSpec("returns", {"horizons": (1, 5)}),
        FeatureSpec("macd", {}),
    )
    assert build_feature(specs[0]) == Rsi(period=14)


def half_range(bars, part=0.5):
    return part * (bars["high"] - bars["low"])


def test_functions_and_dataclasses_themselves():
    name = f"{__name__}:half_range"
    specs = parse_specs([half_range, {"name": half_range, "part": 0.25}, Rsi(period=3)])
    assert specs == (
        FeatureSpec(name, {}),
        FeatureSpec(name, {"part": 0.25}),
        FeatureSpec("rsi", {"period": 3, "tail": 1e-6}),
    )
    bars = {"high": np.array([3.0, 4.0]), "low": np.array([1.0, 1.0]), "close": np.array([2, 2])}
    assert evaluate(build_feature(specs[1]), name, bars).values.ravel().tolist() == [0.5, 0.75]
    config = load_config(RunConfig, None, given={"features": {"columns": ["rsi", half_range]}})
    assert config.features.columns == ({"name": "rsi"}, {"name": name})


def test_a_function_that_no_name_can_find_again():
    def inner(bars):
        return bars["close"]

    for function in (inner, lambda bars: bars["close"]):
        with pytest.raises(ConfigError, match=r"features\[1\]: .* at the top level of a module"):
            parse_specs(["rsi", function])


def test_a_bare_name_in_a_list_takes_parameters():
    given = {"features": {"columns": ["rsi", "macd"]}}
    config = load_config(RunConfig, None, ["features.columns.0.period=9"], given=given)
    assert config.features.columns == ({"name": "rsi", "period": 9}, {"name": "macd"})


def test_a_mistake_is_placed_once(tmp_path):
    (tmp_path / "it.yaml").write_text("features:\n  columns: [{name: rsi, perod: 3}]")
    with pytest.raises(ConfigError) as caught:
        load_config(RunConfig, tmp_path / "it.yaml")
    rest = "it.yaml:2: features.columns[0].perod: unknown key. Did you mean 'period'?"
    assert str(caught.value) == f"{tmp_path}/{rest}"


def test_a_bare_name_in_the_configuration_file(tmp_path):
    (tmp_path / "it.yaml").write_text("features: {columns: [rsi, {name: macd, fast: 3}]}")
    config = load_config(RunConfig, tmp_path / "it.yaml")
    assert config.features.columns == ({"name": "rsi"}, {"name": "macd", "fast": 3})
    (tmp_path / "it.yaml").write_text("features: {columns: [rsy]}")
    with pytest.raises(ConfigError, match=r"unknown feature 'rsy'\. Did you mean 'rsi'"):
        load_config(RunConfig, tmp_path / "it.yaml")


def test_defaults_round_trip_through_json():
    text = json.dumps([spec.to_mapping() for spec in DEFAULT_FEATURES])
    assert parse_specs(json.loads(text)) == DEFAULT_FEATURES


def test_spec_is_a_section_and_pickles():
    spec = from_mapping(FeatureSpec, {"name": "rsi", "params": {"period": 5}})
    assert spec == FeatureSpec("rsi", {"period": 5})
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_later_changes_of_the_mapping_do_not_reach_the_spec():
    params = {"period": 5}
    spec = FeatureSpec("rsi", params)
    params["period"] = 6
    assert spec.params["period"] == 5


def test_default_lookback_and_columns():
    features = [build_feature(spec) for spec in DEFAULT_FEATURES]
    assert max(feature.lookback for feature in features) == 240
    assert sum(len(feature.columns) for feature in features) == 17


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["rsy"], "features[0]: unknown feature 'rsy'. Did you mean 'rsi'?"),
        (["qqqq"], "features[0]: unknown feature 'qqqq'. Valid names: "),
        (["rsi", {"name": "rsi", "perid": 3}], "features[1]: feature 'rsi' has no parameter "),
        ([{"name": "rsi", "zzz": 3}], "Valid names: period, tail."),
        ([{"name": "rsi", "period": "14"}], "must be an integer in [1, 1e6]. Got '14' instead."),
        ([{"period": 3}], "features[0]: must be a mapping with a name and parameters."),
        ([{"name": 3}], "The name parameter of FeatureSpec must be a non-empty string. Got 3"),
        ([{"name": ""}], "a non-empty string"),
        ([3], "features[0]: must be a mapping with a name"),
        ("rsi", "features must be a list. Got 'rsi' instead."),
        ({"name": "rsi"}, "features must be a list."),
        (None, "features must be a list. Got None instead."),
        (["nowhere:f"], "features[0]: cannot import 'nowhere'"),
        (
            ["user_features:momentun"],
            "cannot find 'momentun' in 'user_features:momentun'. Did you mean 'momentum'?",
        ),
        (["user_features:not_callable"], "must be a class or function. Got 3."),
    ],
)
def test_refusals(items, message):
    with pytest.raises(ConfigError) as caught:
        parse_specs(items)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_list_tells_names_summaries_and_parameters():
    infos = {info.name: info for info in list_features()}
    assert infos["rsi"].parameters == {"period": "14", "tail": "1e-06"}
    assert infos["column"].parameters == {"columns": "required"}
    assert all(info.summary.endswith((".", ":")) for info in infos.values())


def test_catalogue_and_scaling_import_no_heavy_library():
    code = (
        "import sys\n"
        "import reinforcestrategycreator_pipeline.features.catalog\n"
        "import reinforcestrategycreator_pipeline.features.scaling\n"
        "print(sorted({'pandas', 'talib', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
