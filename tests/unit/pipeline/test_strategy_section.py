"""The strategy's section in a run's configuration."""

from __future__ import annotations

import dataclasses

import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQNHyperparameters
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_schema, config_to_yaml
from reinforcestrategycreator_pipeline.policies.dqn import MARKET_HYPERPARAMETERS, DQNStrategy
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.policies.dqn_training import TrainingConfig
from reinforcestrategycreator_pipeline.policies.ensemble_training import EnsembleTraining
from reinforcestrategycreator_pipeline.policies.linear import Linear


@pytest.fixture
def load(tmp_path):
    def _load(text=None, *sets, **environ):
        file = tmp_path / "my.yaml"
        file.write_text(text or "{}")
        return load_config(RunConfig, file, sets, environ).strategy

    return _load


def test_without_one_it_is_the_ensemble(load):
    assert load() == DQNEnsemble() == load(None, RSC_CONFIG__STRATEGY__NAME="dqn_ensemble")


def test_one_agent_has_hyperparameters_for_markets(load):
    assert load("strategy: dqn").hyperparameters == MARKET_HYPERPARAMETERS
    # Those that were measured on the sample, whatever else can be chosen.
    for switch in ("prioritized_replay", "dueling", "layer_norm", "noisy"):
        assert getattr(MARKET_HYPERPARAMETERS, switch) is False


def test_presets_belong_to_the_library(load):
    with pytest.raises(ConfigError, match=r"strategy\.preset: unknown key\."):
        load("strategy: {preset: zoo_cartpole}")


def test_returns_over_several_bars_are_refused_where_they_stand(load):
    place = r"my\.yaml:3: strategy\.hyperparameters\.n_step: must be 1 on"
    with pytest.raises(ConfigError, match=f"{place}.* Got 2 instead"):
        load("strategy:\n  name: dqn\n  hyperparameters: {n_step: 2}")


@pytest.mark.parametrize(
    ("key", "hint"),
    [("head=c52", "'c51'"), ("loss=hubr", "'huber'"), ("exploration_schedule=cosin", "'cosine'")],
)
def test_names_are_looked_up_when_the_configuration_is_read(load, key, hint):
    name = key.partition("=")[0]
    with pytest.raises(
        ConfigError, match=f"strategy.hyperparameters.{name}: unknown .* mean {hint}"
    ):
        load("strategy: dqn", f"strategy.hyperparameters.{key}")


def test_another_strategy_brings_its_own_keys(load):
    few = load("strategy: {training: {steps: 3}}")
    assert few == DQNEnsemble(training=EnsembleTraining(steps=3))
    few = load("strategy: {name: dqn, training: {steps: 3}}")
    assert few == DQNStrategy(training=TrainingConfig(steps=3))
    assert load("strategy: linear") == load(None, "strategy.name=linear") == Linear()
    name = dataclasses.fields(Linear)[0].name
    assert f"  {name}: " in config_to_yaml(RunConfig(strategy=Linear()))
    with pytest.raises(ConfigError, match=r"strategy\.training: unknown key"):
        load("strategy: {name: linear, training: {steps: 3}}")
    with pytest.raises(ConfigError, match=r"unknown strategy 'linaer'. Did you mean 'linear'"):
        load("strategy: linaer")


def test_the_environment_names_a_strategy_before_it_sets_its_keys(load):
    """Else the name would replace what was set before it: HYPERPARAMETERS sorts before NAME."""
    keys = {"HYPERPARAMETERS__GAMMA": "0.5", "NAME": "dqn", "TRAINING__STEPS": "3"}
    found = load(None, **{f"RSC_CONFIG__STRATEGY__{key}": value for key, value in keys.items()})
    assert (found.hyperparameters.gamma, found.training.steps) == (0.5, 3)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("model: dqn", r"strategy\.model: unknown key\. It is a key of 'dqn': set strategy\.name"),
        ("training: {patience: 3}", r"patience: unknown key\. It is a key of 'dqn': set strategy"),
        ("alpha: 1", r"strategy\.alpha: unknown key\. It is a key of 'linear': set strategy"),
        ("training: {stps: 3}", r"stps: unknown key\. Did you mean 'steps'"),
    ],
)
def test_a_key_of_another_strategy_says_whose_it_is(load, key, hint):
    with pytest.raises(ConfigError, match=hint):
        load(f"strategy: {{{key}}}")


def test_the_schema_knows_every_key():
    schema = config_schema(RunConfig)
    forms = schema["properties"]["strategy"]["anyOf"]
    assert {"dqn", "linear", "flat"} <= {form.get("const") for form in forms}
    hp = schema["$defs"]["DQNHyperparameters"]["properties"]
    assert hp["learning_rate"]["minimum"] == 1e-12
    assert set(hp) == {f.name for f in dataclasses.fields(DQNHyperparameters)}
    assert hp["on_divergence"]["enum"] == ["stop", "warn", "ignore"]
    assert {kind["type"] for kind in hp["max_grad_norm"]["anyOf"]} == {"number", "null"}
    assert [name for name in hp if "description" not in hp[name]] == []
