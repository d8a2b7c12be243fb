"""The DQN as a strategy: what it refuses, and that a scope gives other draws."""

from dataclasses import replace

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQNHyperparameters
from reinforcestrategycreator_pipeline.policies import dqn
from reinforcestrategycreator_pipeline.policies.base import Work, load_policy
from reinforcestrategycreator_pipeline.policies.baselines import FallbackPolicy, best_constant
from reinforcestrategycreator_pipeline.policies.dqn import MARKET_HYPERPARAMETERS, DQNStrategy
from reinforcestrategycreator_pipeline.policies.dqn_training import TrainingConfig
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.testing.strategy_contract import make_span
from reinforcestrategycreator_pipeline.testing.trading_cases import FREE, asset_of

SMALL = DQNHyperparameters(
    hidden_layers=(8,), batch_size=8, buffer_size=500, learning_starts=50, log_interval=5
)
FAST = DQNStrategy(
    hyperparameters=SMALL,
    training=TrainingConfig(steps=30, trajectories=8, validation_interval=10, fallback=False),
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


def test_best_constant_by_hand():
    """Closes 100, 110, 121, without costs: long earns ln 1.1 from the open of bar 1 (at 110).

    Bar 1 opens at 110 and closes at 110; bar 2 opens at 110 and closes at 121. Two assets, of which
    the other one halves: ln(121 / 110) and ln(55 / 110), so that flat is best in the mean.
    """
    rises = asset_of([100, 110, 110], [100, 110, 121])
    halves = asset_of([100, 110, 110], [100, 110, 55], symbol="B")
    for assets, best, growth in (
        ([rises], 2, np.log(1.1)),
        ([halves], 0, np.log(1.5)),
        ([rises, halves], 0, (np.log(0.9) + np.log(1.5)) / 2),
    ):
        market = ExogenousMarket(assets, (-1.0, 0.0, 1.0), FREE)
        found = best_constant(market)
        assert found == (best, pytest.approx(growth))


def fitted(fallback, **options):
    work = Work(Seeds(3), **options)
    strategy = replace(FAST, training=replace(FAST.training, fallback=fallback))
    return strategy.fit(make_span(), make_span(60, 7), work), work


def test_what_is_no_better_than_a_constant_is_one(tmp_path):
    """Thirty steps learn nothing, and the constant says whose place it has taken."""
    policy, work = fitted(True)
    learned, plain = fitted(False)
    assert isinstance(learned, QPolicy)
    assert "fallback" not in plain.facts
    assert isinstance(policy, FallbackPolicy)
    assert policy.learned_growth == plain.facts["best_validation_growth"] <= policy.growth
    assert policy.growth == work.facts["constant_validation_growth"]
    assert {row["constant_growth"] for row in work.history} == {policy.growth}
    assert work.facts["fallback"] == f"The policy is a {policy.describe()}."
    assert "a fallback, since what was learned grew by" in policy.describe()
    # In the package's file, and again.
    policy.save(tmp_path / "policy.safetensors")
    loaded = load_policy(tmp_path / "policy.safetensors")
    assert (loaded.describe(), loaded.target) == (policy.describe(), policy.target)
    assert fitted(True)[0].describe() == policy.describe()


def test_what_is_better_than_every_constant_stays(monkeypatch):
    monkeypatch.setattr(dqn, "best_constant", lambda market: (0, -1.0))
    policy, work = fitted(True)
    assert isinstance(policy, QPolicy)
    assert "fallback" not in work.facts


def test_as_good_as_a_constant_is_not_better(monkeypatch):
    growth = fitted(False)[1].facts["best_validation_growth"]
    monkeypatch.setattr(dqn, "best_constant", lambda market: (1, growth))
    assert isinstance(fitted(True)[0], FallbackPolicy)


def test_a_resumed_training_falls_back_as_well(tmp_path):
    whole, _ = fitted(True)
    fitted(True, folder=tmp_path)
    again, work = fitted(True, folder=tmp_path, resume=True)
    assert again.describe() == whole.describe()
    assert work.facts["fallback"]


def test_two_folds_of_one_seed_draw_different_numbers():
    """Regression: generators were named by the seed alone, so that folds and trials repeated it."""
    tables = []
    for seeds in (Seeds(3), Seeds(3).within("fold 1"), Seeds(3).within("fold 2"), Seeds(3)):
        policy = FAST.fit(make_span(), make_span(60, 7), Work(seeds))
        tables.append(policy.values(np.zeros((1, 3))).tobytes())
    assert tables[0] == tables[3]
    assert len(set(tables)) == 3
