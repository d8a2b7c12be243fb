"""A changed function of the user's changes the key of the stage that calls it."""

import importlib

import pytest

from reinforcestrategycreator_pipeline.pipeline.config.root import FeaturesConfig, RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.stages.feature_engineering import (
    FeatureEngineering,
)


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "fingerprinted_features.py"
    file.write_text("def f(bars):\n    return bars['close']\n")
    importlib.invalidate_caches()
    return file


def test_only_names_with_a_module_have_a_fingerprint(module):
    found = fingerprints(["rsi", "fingerprinted_features:f", "no_such_module_at_all:g"])
    assert list(found) == ["fingerprinted_features:f"]
    assert len(found["fingerprinted_features:f"]) == 64


def test_a_change_of_the_file_changes_the_stages_section(module):
    config = RunConfig(features=FeaturesConfig(columns=({"name": "fingerprinted_features:f"},)))
    before = FeatureEngineering().section(config)
    assert FeatureEngineering().section(config) == before
    module.write_text("def f(bars):\n    return bars['open']\n")
    assert FeatureEngineering().section(config) != before
