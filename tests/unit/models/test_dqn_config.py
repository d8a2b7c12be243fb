"""The DQN's configuration: defaults, refusals, round trip."""

import dataclasses
import json

import pytest
from pydantic import TypeAdapter, ValidationError

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import (
    DQN,
    DQNConfig,
    DQNHyperparameters,
)


def config_of(**hyperparameters):
    return DQN({"hyperparameters": hyperparameters}).hyperparameters


def test_nothing_given_means_defaults():
    assert DQN().config == DQN({}).config == DQN({"hyperparameters": {}}).config == DQNConfig()
    assert DQNConfig().dtype == "float32"


def test_given_values_are_kept():
    hp = config_of(hidden_layers=[3, 4], adam_beta1=0.5, double_dqn=False, gamma=1)
    assert hp.hidden_layers == (3, 4)
    assert (hp.adam_beta1, hp.double_dqn, hp.gamma) == (0.5, False, 1)


def test_the_typed_config_is_taken_as_it_is():
    config = DQNConfig(DQNHyperparameters(hidden_layers=(7,)), seed=3, dtype="float64")
    assert DQN(config).config is config


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DQNConfig().seed = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        DQNHyperparameters().gamma = 0.5


def test_it_round_trips_through_json():
    config = DQN({"hyperparameters": {"hidden_layers": [3, 4], "gamma": 0.5}, "seed": 9}).config
    assert DQN(json.loads(json.dumps(dataclasses.asdict(config)))).config == config


def test_pydantic_composes_it():
    adapter = TypeAdapter(DQNConfig)
    config = adapter.validate_python({"hyperparameters": {"hidden_layers": [3]}, "seed": 2})
    assert config == DQNConfig(DQNHyperparameters(hidden_layers=(3,)), seed=2)
    with pytest.raises(ValidationError, match="Unexpected keyword argument"):
        adapter.validate_python({"hyperparameters": {"hiden_layers": [3]}})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("learning_rat", "learning_rate"),
        ("hiden_layers", "hidden_layers"),
        ("adam_beta_1", "adam_beta1"),
        ("beta2", "adam_beta2"),
        ("epsilon", "adam_epsilon"),
        ("target_update_freq", "target_update_interval"),
    ],
)
def test_an_unknown_hyperparameter_names_the_nearest(wrong, right):
    with pytest.raises(ConfigError) as caught:
        config_of(**{wrong: 1})
    message = str(caught.value)
    assert message == f"DQN's hyperparameters has no parameter {wrong!r}. Did you mean {right!r}?"


def test_an_unknown_key_beside_the_hyperparameters_names_the_nearest():
    with pytest.raises(ConfigError, match=r"no parameter 'sed'\. Did you mean 'seed'\?"):
        DQN({"sed": 1})


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "hidden_layers": [[], [0], [-3], [2.5], [True], ["8"], 64, "64", None],
        "learning_rate": [0, -1e-3, NAN, INF, 1e31, "0.001", True, None],
        "adam_beta1": [-0.1, 1, 1.5, NAN, "0.9"],
        "adam_beta2": [-0.1, 1, NAN],
        "adam_epsilon": [0, -1e-8, 1e-13, NAN, INF],
        "gamma": [-0.1, 1.1, NAN],
        "batch_size": [0, -1, 32.0, True],
        "buffer_size": [0, 31],
        "double_dqn": [1, "yes", None],
        "target_update_interval": [0, 1.5],
        "exploration_initial": [-0.1, 1.1],
        "exploration_final": [-0.1, NAN],
        "exploration_fraction": [0, 1.5],
        "learning_starts": [0],
        "train_frequency": [0],
        "gradient_steps": [0, -1],
        "log_interval": [-1, 0.5],
    }.items(),
)
def test_wrong_values_are_refused_in_one_line_with_name_rule_and_value(name, values):
    assert name in {f.name for f in dataclasses.fields(DQNHyperparameters)}
    for value in values:
        with pytest.raises(ConfigError) as caught:
            config_of(**{name: value})
        message = str(caught.value)
        assert message.startswith(f"The {name} parameter of DQN must be "), message
        assert message.endswith(f"Got {value!r} instead."), message
        assert "\n" not in message


def test_every_hyperparameter_has_a_test_of_its_refusals():
    fields = {f.name for f in dataclasses.fields(DQNHyperparameters)}
    marks = test_wrong_values_are_refused_in_one_line_with_name_rule_and_value.pytestmark
    assert {name for name, _ in marks[0].args[1]} == fields


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"seed": -1}, "The seed parameter of DQN must be an integer >= 0. Got -1 instead."),
        ({"seed": 1.5}, "The seed parameter"),
        ({"dtype": "float16"}, "must be one of float32, float64. Got 'float16' instead."),
        ({"hyperparameters": 3}, "must be a mapping of names to values. Got 3 instead."),
        ("config.yaml", "must be a mapping of names to values. Got 'config.yaml' instead."),
        ([1], "must be a mapping"),
    ],
)
def test_other_wrong_values_are_refused(config, text):
    with pytest.raises(ConfigError) as caught:
        DQN(config)
    assert text in str(caught.value)
