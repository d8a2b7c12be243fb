"""A changed function of the user's changes the key of the stage that calls it."""

import importlib
import sys

import pytest

from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.stages.catalog import build_stages
from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.trust import load_object

CODE = """
from dataclasses import dataclass
from reinforcestrategycreator_pipeline import broker, feature, loss, reward, schedule
from reinforcestrategycreator_pipeline.nn.heads.expected import Expected as Head

def f(x, y=0, z=0, *, eta=1):
    return x, x

for declare in (broker, feature, loss, reward, schedule):
    declare(f)

@dataclass(frozen=True)
class Rule:
    def fit(self, train, validation, work): ...
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "fingerprinted_features.py"
    file.write_text(CODE)
    importlib.invalidate_caches()
    yield file
    sys.modules.pop("fingerprinted_features", None)


def test_modules_are_found_at_any_depth_once_they_are_imported(module):
    assert fingerprints(["fingerprinted_features:f"]) == {}
    importlib.import_module("fingerprinted_features")
    section = {
        "a": [{"name": "fingerprinted_features:f"}],
        "b": ("rsi", "no_such_module:g", "12:30"),
    }
    found = fingerprints(section)
    assert list(found) == ["fingerprinted_features"]
    assert len(found["fingerprinted_features"]) == 64


def test_what_a_module_from_outside_registered_counts_by_its_short_name(module):
    registry: Registry = Registry("thing")
    registry.register("thing of mine")(load_object("fingerprinted_features:f"))
    registry.register("ours")(Registry)
    assert list(fingerprints(["thing of mine", "ours"])) == ["fingerprinted_features"]


@pytest.mark.parametrize(
    ("key", "stage"),
    [
        ("features.columns=[{name: 'fingerprinted_features:f'}]", "feature_engineering"),
        ("trading.reward=fingerprinted_features:f", "training"),
        ("trading.reward={name: 'fingerprinted_features:f', eta: 2}", "training"),
        ("strategy.hyperparameters.loss=fingerprinted_features:f", "training"),
        ("strategy.hyperparameters.exploration_schedule=fingerprinted_features:f", "training"),
        ("strategy.hyperparameters.head=fingerprinted_features:Head", "training"),
        ("strategy={name: 'fingerprinted_features:Rule'}", "training"),
        ("deployment.broker=fingerprinted_features:f", "deployment"),
    ],
)
def test_whatever_names_a_module_the_stage_depends_on_its_file(module, key, stage):
    one = ["strategy.name=dqn"] if key.startswith("strategy.hyperparameters") else []
    config = load_config(RunConfig, None, [*one, key])
    (found,) = [s for s in build_stages() if s.name == stage]
    before = fingerprints(found.section(config))
    assert list(before) == ["fingerprinted_features"]
    module.write_text(module.read_text() + "# changed\n")
    assert fingerprints(found.section(config)) != before
