"""The configuration's list of features: what it may hold, and what is refused and how."""

import json
import pickle
import subprocess
import sys

import pytest

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
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
        ([{"name": "rsi", "period": "14"}], "must be an integer >= 1. Got '14' instead."),
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
