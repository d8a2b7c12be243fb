"""A preset in a run's configuration: a layer of hyperparameters below those given beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQNHyperparameters
from reinforcestrategycreator_pipeline.models.presets import PRESETS
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import (
    MARKET_HYPERPARAMETERS,
    ModelConfig,
    RunConfig,
)
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_schema, config_to_yaml

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "configuration.md"


@pytest.fixture
def load(tmp_path):
    def _load(text=None, *sets, **environ):
        file = tmp_path / "my.yaml"
        file.write_text(text or "{}")
        return load_config(RunConfig, file, sets, environ).model

    return _load


def test_without_one_the_market_has_its_own(load):
    assert load().preset is None
    assert load().hyperparameters == MARKET_HYPERPARAMETERS
    # Those that were measured on the sample, whatever else can be chosen.
    for switch in ("prioritized_replay", "dueling", "layer_norm", "noisy"):
        assert getattr(MARKET_HYPERPARAMETERS, switch) is False


def test_what_is_beside_it_wins_and_what_it_leaves_out_is_the_markets(load):
    text = "model: {hyperparameters: {n_step: 1, n_atoms: 21}, preset: rainbow}"
    hp = load(text).hyperparameters
    assert (hp.head, hp.dueling, hp.priority_alpha) == ("c51", True, 0.5)  # the preset's
    assert (hp.n_step, hp.n_atoms) == (1, 21)  # the file's
    assert (hp.hidden_layers, hp.gamma, hp.batch_size) == ((32, 32), 0.9, 128)  # the market's


def test_layers_keep_their_order(load):
    one = "model.hyperparameters.n_step=1"
    text = "model: {hyperparameters: {gamma: 0.5, adam_epsilon: 1e-3}}"
    hp = load(text, "model.preset=rainbow", one).hyperparameters
    assert hp.adam_epsilon == 1.5e-4  # the preset is in the later layer
    assert hp.gamma == 0.5  # of which it says nothing
    text = "model: {preset: rainbow, hyperparameters: {n_step: 1}}"
    hp = load(text, "model.hyperparameters.head=qr").hyperparameters
    assert (hp.head, hp.noisy) == ("qr", True)
    model = load(text, RSC_CONFIG__MODEL__PRESET="zoo_acrobot")
    assert (model.preset, model.hyperparameters.hidden_layers) == ("zoo_acrobot", (256, 256))
    assert model.hyperparameters.loss == "huber"


def test_a_section_given_at_once(load):
    model = load(None, "model={preset: rainbow, hyperparameters: {n_step: 1}}")
    assert (model.hyperparameters.head, model.hyperparameters.n_step) == ("c51", 1)


def test_the_resolved_configuration_loads_back_equal(load):
    text = "model: {preset: rainbow, hyperparameters: {n_step: 1, head: qr}}"
    model = load(text)
    shown = config_to_yaml(RunConfig(model=model))
    assert "preset: rainbow" in shown
    assert load(shown) == model


def test_an_unknown_one_is_refused_where_it_stands(load):
    with pytest.raises(ConfigError, match=r"my\.yaml:2: model\.preset: no preset is called 'ranb"):
        load("model:\n  preset: ranbow")
    with pytest.raises(ConfigError, match=r"Did you mean 'rainbow'\?"):
        load(None, "model.preset=ranbow")
    with pytest.raises(ConfigError, match=r"model\.preset: must be text.* Got 3 instead"):
        load(None, "model.preset=3")


def test_returns_over_several_bars_are_refused_where_they_stand(load):
    place = r"my\.yaml:2: model\.hyperparameters\.n_step: The n_step parameter of DQN must be 1 on"
    with pytest.raises(ConfigError, match=f"{place}.* Got 3 instead"):
        load("model:\n  preset: rainbow")
    with pytest.raises(ConfigError, match=f"{place}.* Got 2 instead"):
        load("model:\n  hyperparameters: {n_step: 2}")


@pytest.mark.parametrize(
    ("key", "hint"),
    [("head=c52", "'c51'"), ("loss=hubr", "'huber'"), ("exploration_schedule=cosin", "'cosine'")],
)
def test_names_are_looked_up_when_the_configuration_is_read(load, key, hint):
    name = key.partition("=")[0]
    with pytest.raises(ConfigError, match=f"model.hyperparameters.{name}: no .* mean {hint}"):
        load(None, f"model.hyperparameters.{key}")


def test_python_code_gets_it_too():
    hp = ModelConfig(preset="zoo_cartpole").hyperparameters
    assert (hp.hidden_layers, hp.learning_rate, hp.log_interval) == ((256, 256), 2.3e-3, 100)
    assert (hp.gamma, hp.exploration_initial) == (0.99, 1.0)
    own = DQNHyperparameters(gamma=0.3)  # given whole, it stands
    assert ModelConfig(preset="zoo_cartpole", hyperparameters=own).hyperparameters is own
    assert ModelConfig().hyperparameters is MARKET_HYPERPARAMETERS


def test_the_schema_knows_every_key():
    schema = config_schema(RunConfig)["$defs"]
    model, hp = schema["ModelConfig"]["properties"], schema["DQNHyperparameters"]["properties"]
    assert "take the defaults' place" in model["preset"]["description"]
    assert set(hp) == {f.name for f in dataclasses.fields(DQNHyperparameters)}
    assert hp["on_divergence"]["enum"] == ["stop", "warn", "ignore"]
    assert {kind["type"] for kind in hp["max_grad_norm"]["anyOf"]} == {"number", "null"}
    assert [name for name in hp if "description" not in hp[name]] == []


def test_the_documentation_names_them_all():
    (row,) = [r for r in DOCUMENTATION.read_text().splitlines() if r.startswith("| `model.preset`")]
    assert [name for name in PRESETS if f"`{name}`" not in row] == []
