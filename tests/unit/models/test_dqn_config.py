"""The DQN's configuration: defaults, refusals, round trip."""

import dataclasses
import json
import re

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import (
    DQN,
    DQNConfig,
    DQNHyperparameters,
)
from reinforcestrategycreator_pipeline.models.presets import PRESETS, preset
from reinforcestrategycreator_pipeline.replay.ring import RingReplay


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
    assert message == f"DQNHyperparameters has no parameter {wrong!r}. Did you mean {right!r}?"


def test_an_unknown_key_beside_the_hyperparameters_names_the_nearest():
    with pytest.raises(ConfigError, match=r"no parameter 'sed'\. Did you mean 'seed'\?"):
        DQN({"sed": 1})


NAN, INF = float("nan"), float("inf")


UNIT = [-0.1, 1.1, NAN, "0.5", True, None]
ABOVE_0 = [0, -1, NAN, INF, "1", True, None]
SWITCH = [1, 0, "yes", None]


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "hidden_layers": [[], [0], [-3], [2.5], [True], ["8"], 64, "64", None],
        "learning_rate": [0, -1e-3, NAN, INF, 1e31, "0.001", True, None],
        "adam_beta1": [-0.1, 1, 1.5, NAN, "0.9"],
        "adam_beta2": [-0.1, 1, NAN],
        "adam_epsilon": [0, -1e-8, 1e-13, NAN, INF],
        "weight_decay": [-1e-9, NAN, INF, "0", None],
        "learning_rate_schedule": [3, None, True],
        "learning_rate_final": [-1e-9, 1e31, NAN, "0"],
        "gamma": [-0.1, 1.1, NAN],
        "batch_size": [0, -1, 32.0, True],
        "buffer_size": [0, 31],
        "n_step": [0, -1, 1.5, True, "3"],
        "prioritized_replay": SWITCH,
        "priority_alpha": UNIT,
        "priority_beta_initial": UNIT,
        "priority_beta_final": UNIT,
        "priority_epsilon": [0, -1e-6, 1.5, NAN],
        "double_dqn": SWITCH,
        "dueling": SWITCH,
        "layer_norm": SWITCH,
        "noisy": SWITCH,
        "noisy_sigma": [-0.1, NAN, INF],
        "head": [51, None, True],
        "n_atoms": [1, 0, 2.5, True, 10_001],
        "v_min": [NAN, -INF, "0", None],
        "v_max": [NAN, INF, -10, -11],
        "loss": [2, None],
        "huber_delta": ABOVE_0,
        "max_grad_norm": [0, -1, NAN, INF, "10"],
        "tau": [0, -0.1, 1.1, NAN],
        "target_update_interval": [0, 1.5],
        "exploration_initial": [-0.1, 1.1],
        "exploration_final": [-0.1, NAN],
        "exploration_fraction": [0, 1.5],
        "exploration_schedule": [0, None],
        "normalize_observations": SWITCH,
        "observation_clip": ABOVE_0,
        "learning_starts": [-1, 0.5, True],
        "train_frequency": [0],
        "gradient_steps": [0, -2, 1.0, True, None],
        "on_divergence": ["halt", "", None, True],
        "log_interval": [-1, 0.5],
    }.items(),
)
def test_wrong_values_are_refused_in_one_line_with_name_rule_and_value(name, values):
    assert name in {f.name for f in dataclasses.fields(DQNHyperparameters)}
    for value in values:
        with pytest.raises(ConfigError) as caught:
            config_of(**{name: value})
        message = str(caught.value)
        whose = rf"The {name}(\[0\])? parameter of DQNHyperparameters must be "
        assert re.match(whose, message), message
        item = value[0] if value and isinstance(value, list) else value
        got = rf" Got {re.escape(repr(item))}(\.0)? instead\.( Did you mean .*)?$"
        assert re.search(got, message), message
        assert "\n" not in message


NAMED = "a name, a mapping of a name and parameters, or the object itself"
BETWEEN = "a number in [0, 1]"
RULES = {
    "weight_decay": (-1, "a number in [0, 1000]"),
    "learning_rate_schedule": (3, NAMED),
    "learning_rate_final": (-1, "a number in [0, 1e30]"),
    "n_step": (0, "an integer in [1, 10000]"),
    "prioritized_replay": (1, "true or false"),
    "priority_alpha": (2, BETWEEN),
    "priority_beta_initial": (2, BETWEEN),
    "priority_beta_final": (2, BETWEEN),
    "priority_epsilon": (0, "a number in [1e-12, 1]"),
    "dueling": ("on", "true or false"),
    "noisy_sigma": (-1, "a number in [0, 1000]"),
    "head": (51, NAMED),
    "n_atoms": (1, "an integer in [2, 10000]"),
    "v_max": (-10.0, "greater than v_min (-10.0)"),
    "huber_delta": (0, "a number in [1e-12, 1e12]"),
    "max_grad_norm": (0, "a number in [1e-12, 1e12] or null"),
    "tau": (0, "a number in [1e-12, 1]"),
    "gradient_steps": (0, "-1 or an integer in [1, 1e9]"),
    "on_divergence": ("halt", "'stop', 'warn' or 'ignore'"),
}


@pytest.mark.parametrize("name", RULES)
def test_the_rule_is_said(name):
    value, rule = RULES[name]
    with pytest.raises(ConfigError) as caught:
        config_of(**{name: value})
    message = f"The {name} parameter of DQNHyperparameters must be {rule}. Got {value!r} instead."
    assert str(caught.value) == message


def test_too_many_atoms_are_refused():
    with pytest.raises(ConfigError) as caught:
        config_of(n_atoms=10_001)
    assert str(caught.value).endswith("must be an integer in [2, 10000]. Got 10001 instead.")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head": "c52"}, "unknown head 'c52'. Did you mean 'c51'?"),
        ({"loss": "hubr"}, "unknown loss 'hubr'. Did you mean 'huber'?"),
        (
            {"learning_rate_schedule": "linaer"},
            "unknown schedule 'linaer'. Did you mean 'linear'?",
        ),
        (
            {"exploration_schedule": "cosin"},
            "unknown schedule 'cosin'. Did you mean 'cosine'?",
        ),
        (
            {"learning_rate_schedule": "exponential"},
            "The learning_rate_final parameter of DQNHyperparameters must be > 0 with an "
            "exponential learning_rate_schedule. Got 0.0 instead.",
        ),
        (
            {"exploration_schedule": "exponential", "exploration_final": 0.0},
            "The exploration_final parameter of DQNHyperparameters must be > 0, like "
            "exploration_initial, with an exponential exploration_schedule. Got 0.0 instead.",
        ),
        (
            {"exploration_schedule": "exponential", "exploration_initial": 0.0},
            "The exploration_final parameter of DQNHyperparameters must be > 0, like "
            "exploration_initial, with an exponential exploration_schedule. Got 0.05 instead.",
        ),
        (
            {"batch_size": 64, "buffer_size": 63},
            "The buffer_size parameter of DQNHyperparameters must be at least batch_size (64). "
            "Got 63 instead.",
        ),
    ],
)
def test_names_and_pairs_are_refused_before_anything_is_built(given, message):
    with pytest.raises(ConfigError) as caught:
        config_of(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "given",
    [
        {"learning_starts": 0},
        {"gradient_steps": -1},
        {"max_grad_norm": None},
        {"n_atoms": 10_000},
        {"n_atoms": 2},
        {"tau": 1},
        {"priority_alpha": 0, "priority_beta_initial": 1},
        {"exploration_initial": 0, "exploration_final": 0},
        {"learning_rate_schedule": "exponential", "learning_rate_final": 1e-9},
        {"v_min": -11, "v_max": -10},
    ],
)
def test_values_at_the_edge_are_taken(given):
    hp = config_of(**given)
    assert {name: getattr(hp, name) for name in given} == given


def test_a_preset_is_overridden_by_what_is_given_beside_it():
    own = {"n_step": 5, "hidden_layers": [7]}
    hp = DQN({"preset": "rainbow", "hyperparameters": own, "seed": 3}).config
    assert (hp.hyperparameters.n_step, hp.hyperparameters.hidden_layers) == (5, (7,))
    assert hp.hyperparameters.head == "c51"
    assert hp.seed == 3
    assert DQN({"preset": "rainbow"}).hyperparameters.n_step == 3
    assert DQN({"hyperparameters": own}).hyperparameters.head == "expected"


def test_every_preset_is_valid_and_differs_from_the_defaults():
    for name, values in PRESETS.items():
        hp = DQN({"preset": name}).hyperparameters
        expected = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        assert {k: getattr(hp, k) for k in values} == expected
        assert hp != DQNHyperparameters()


def test_rainbow_is_the_papers():
    # Hessel et al. 2018, table 1, and all six extensions.
    hp = DQN({"preset": "rainbow"}).hyperparameters
    assert hp.double_dqn
    assert hp.dueling
    assert hp.noisy
    assert hp.prioritized_replay
    assert (hp.head, hp.n_atoms, hp.v_min, hp.v_max) == ("c51", 51, -10.0, 10.0)
    assert (hp.n_step, hp.noisy_sigma, hp.adam_epsilon) == (3, 0.5, 1.5e-4)
    betas = (hp.priority_beta_initial, hp.priority_beta_final)
    assert (hp.priority_alpha, *betas) == (0.5, 0.4, 1.0)
    assert (hp.exploration_initial, hp.exploration_final) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["rainbo", "", 3, None, ["rainbow"]])
def test_an_unknown_preset_is_refused(name):
    with pytest.raises(ConfigError, match=re.escape(f"unknown preset {name!r}.")):
        DQN({"preset": name})


def test_hyperparameters_beside_a_preset_must_be_a_mapping():
    with pytest.raises(ConfigError, match="must be a mapping if there is a preset"):
        DQN({"preset": "rainbow", "hyperparameters": 3})


def test_a_preset_that_was_handed_out_can_be_changed():
    mine = preset("zoo_cartpole")
    mine["hidden_layers"].append(1)
    mine["gamma"] = 0
    assert preset("zoo_cartpole")["hidden_layers"] == [256, 256]
    assert preset("zoo_cartpole")["gamma"] == 0.99


def test_every_hyperparameter_has_a_test_of_its_refusals():
    fields = {f.name for f in dataclasses.fields(DQNHyperparameters)}
    marks = test_wrong_values_are_refused_in_one_line_with_name_rule_and_value.pytestmark
    assert {name for name, _ in marks[0].args[1]} == fields


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"seed": -1},
            "The seed parameter of DQN's config must be an integer in [0, 9223372036854775807]. "
            "Got -1 instead.",
        ),
        ({"seed": 1.5}, "The seed parameter"),
        ({"dtype": "float16"}, "must be 'float32' or 'float64'. Got 'float16' instead."),
        ({"hyperparameters": 3}, "must be a section (a mapping of keys to values). Got 3 instead."),
        ("config.yaml", "must be a mapping. Got 'config.yaml' instead."),
        ([1], "must be a mapping"),
    ],
)
def test_other_wrong_values_are_refused(config, text):
    with pytest.raises(ConfigError) as caught:
        DQN(config)
    assert text in str(caught.value)


# -- numbers of NumPy, and arguments of methods -------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("batch_size", np.int64(64), 64),
        ("learning_rate", np.float32(0.5), 0.5),
        ("gamma", np.array(0.5), 0.5),
        ("noisy", np.True_, True),
        ("gradient_steps", np.int8(-1), -1),
        ("max_grad_norm", np.float16(1.0), 1.0),
        ("hidden_layers", np.array([4, 5]), (4, 5)),
        ("hidden_layers", [np.int64(4), np.uint8(5)], (4, 5)),
        ("head", np.str_("qr"), "qr"),
    ],
)
def test_numbers_of_numpy_are_settings(name, given, expected):
    for dqn in (DQN({"hyperparameters": {name: given}}), DQN(**{name: given})):
        found = getattr(dqn.hyperparameters, name)
        assert found == expected
        assert isinstance(found, type(expected))
    assert DQN(seed=np.int64(3)).config == DQN(seed=3).config


def small():
    dqn = DQN(batch_size=4)
    dqn.build((2,), (2,))
    for _ in range(8):
        dqn.replay_buffer.push([0.0, 1.0], 1, 1.0, [1.0, 0.0], False)
    return dqn


@pytest.mark.parametrize("value", [2.5, 0, -1, "8", True, np.float32(4)])
def test_a_batch_size_of_a_step(value):
    with pytest.raises(
        ConfigError, match=r"batch_size parameter of DQN\.train_step must be an int"
    ):
        small().train_step(batch_size=value)
    assert small().train_step(batch_size=np.int64(4)) == small().train_step(batch_size=4)


@pytest.mark.parametrize("value", [1.5, -0.1, NAN, INF, "0.9", True])
def test_a_discount_of_a_step(value):
    with pytest.raises(ConfigError, match=r"gamma parameter of DQN\.train_step must be a .*number"):
        small().train_step(gamma=value)
    assert small().train_step(gamma=np.float64(0.9)) == small().train_step(gamma=0.9)


@pytest.mark.parametrize("value", [1.5, -0.1, NAN, INF, "0.9", None, True])
def test_a_rate_of_exploration(value):
    for method, states in (("select_action", np.ones(2)), ("select_actions", np.ones((3, 2)))):
        with pytest.raises(ConfigError, match=f"exploration_rate parameter of DQN.{method} must b"):
            getattr(small(), method)(states, value)
    assert small().select_action(np.ones(2), np.float32(0.5)) in (0, 1)
    assert small().select_action(np.ones(2), 1) in (0, 1)


@pytest.mark.parametrize("arguments", [(0, 2), (5.0, 2), ("5", 2), (5, 0), (True, 2)])
def test_the_size_of_a_replay(arguments):
    with pytest.raises(ConfigError, match=r"parameter of RingReplay must be an integer >= 1"):
        RingReplay(*arguments, np.random.default_rng(0))
