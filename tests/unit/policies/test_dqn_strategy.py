"""The DQN as a strategy: what it refuses, and that a scope gives other draws."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQNHyperparameters
from reinforcestrategycreator_pipeline.policies.base import Work
from reinforcestrategycreator_pipeline.policies.dqn import MARKET_HYPERPARAMETERS, DQNStrategy
from reinforcestrategycreator_pipeline.policies.dqn_training import TrainingConfig
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.testing.strategy_contract import make_span

SMALL = DQNHyperparameters(
    hidden_layers=(8,), batch_size=8, buffer_size=500, learning_starts=50, log_interval=5
)
FAST = DQNStrategy(
    hyperparameters=SMALL,
    training=TrainingConfig(steps=30, trajectories=8, validation_interval=10),
)


def test_returns_over_several_bars_are_refused():
    with pytest.raises(ConfigError, match=r"n_step parameter of DQN must be 1 on a market.* Got 3"):
        DQNStrategy(hyperparameters=DQNHyperparameters(n_step=3))


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ({"head": "c52"}, "'c51'"),
        ({"loss": "hubr"}, "'huber'"),
        ({"exploration_schedule": "cosin"}, "'cosine'"),
        ({"learning_rate_schedule": "cosin"}, "'cosine'"),
    ],
)
def test_names_are_looked_up_when_the_configuration_is_read(setting, hint):
    with pytest.raises(ConfigError, match=f"Did you mean {hint}"):
        DQNStrategy(hyperparameters=DQNHyperparameters(**setting))


def test_defaults_suit_markets():
    assert DQNStrategy().hyperparameters is MARKET_HYPERPARAMETERS


def test_what_a_fit_tells():
    work = Work(Seeds(3))
    FAST.fit(make_span(), make_span(60, 7), work)
    assert [row["step"] for row in work.history] == [5, 10, 15, 20, 25, 30]
    assert work.facts["steps"] == 30
    assert work.facts["best_step"] in (10, 20, 30)
    assert work.facts["loss_floor"] > 0


def test_two_folds_of_one_seed_draw_different_numbers():
    """Regression: generators were named by the seed alone, so that folds and trials repeated it."""
    tables = []
    for seeds in (Seeds(3), Seeds(3).within("fold 1"), Seeds(3).within("fold 2"), Seeds(3)):
        policy = FAST.fit(make_span(), make_span(60, 7), Work(seeds))
        tables.append(policy.values(np.zeros((1, 3))).tobytes())
    assert tables[0] == tables[3]
    assert len(set(tables)) == 3
