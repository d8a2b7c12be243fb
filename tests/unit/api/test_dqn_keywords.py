"""``DQN(preset=..., seed=..., learning_rate=...)`` beside the mapping."""

import dataclasses

import numpy as np
import pytest

from reinforcestrategycreator_pipeline import DQN, Population
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import (
    DQNHyperparameters,
    HyperparameterKeywords,
)


def test_keywords_are_the_mapping():
    mapping = {"hyperparameters": {"hidden_layers": [8], "gamma": 0.5}, "seed": 3}
    assert DQN(hidden_layers=[8], gamma=0.5, seed=3).config == DQN(mapping).config
    assert DQN(mapping, gamma=0.25).hyperparameters.gamma == 0.25
    assert DQN(DQN(mapping).config, seed=4).config.seed == 4
    assert DQN(DQN(mapping).config, seed=4).hyperparameters == DQN(mapping).hyperparameters


def test_a_preset_lies_below_both():
    dqn = DQN({"hyperparameters": {"batch_size": 16}}, preset="best_cartpole", learning_rate=1e-3)
    hp = dqn.hyperparameters
    assert (hp.batch_size, hp.learning_rate, hp.gradient_steps) == (16, 1e-3, 128)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"learning_rat": 1}, "DQN has no parameter 'learning_rat'. Did you mean 'learning_rate'"),
        ({"sed": 1}, "DQN has no parameter 'sed'. Did you mean 'seed'"),
        ({"gamma": 2}, "gamma"),
        ({"preset": "best_cartpol"}, "Did you mean 'best_cartpole'"),
    ],
)
def test_wrong_keywords(keywords, message):
    with pytest.raises(ConfigError, match=message):
        DQN(**keywords)


def test_editors_know_every_hyperparameter():
    fields = {field.name for field in dataclasses.fields(DQNHyperparameters)}
    assert set(HyperparameterKeywords.__annotations__) == fields


def test_what_they_are_called():
    dqn = DQN(hidden_layers=[64, 64], batch_size=4, buffer_size=100)
    assert repr(dqn) == "DQN(? -> 64 -> 64 -> ?, not built)"
    dqn.build((4,), (2,))
    assert repr(dqn) == "DQN(4 -> 64 -> 64 -> 2, 4,610 weights, t=0)"
    for _ in range(4):
        dqn.replay_buffer.push(np.zeros(4), 0, 0.0, np.zeros(4), False)
    dqn.train_step()
    assert repr(dqn) == "DQN(4 -> 64 -> 64 -> 2, 4,610 weights, t=1)"
    assert repr(dqn.replay_buffer) == "RingReplay(4 of 100 rows)"
    assert repr(Population([{}, {}])) == "Population(2 x DQN(? -> 64 -> 64 -> ?, not built))"
