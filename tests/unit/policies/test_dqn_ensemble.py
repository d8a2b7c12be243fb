"""The ensemble as a strategy: its baseline, its prior, and what it does on planted markets."""

from dataclasses import replace

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.envs.afterstates import odd_reward
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.policies.base import Work
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.policies.ensemble_policy import (
    BaselinePolicy,
    EnsemblePolicy,
)
from reinforcestrategycreator_pipeline.policies.ensemble_training import (
    EnsembleTrainer,
    EnsembleTraining,
)
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.testing.strategy_contract import INPUTS, make_span
from reinforcestrategycreator_pipeline.testing.trading_cases import FREE, asset_of, random_asset

ONE_PERCENT = CostConfig(100, 0, 0, 0, 0)
SMALL = EnsembleTraining(
    agents=4, hidden_layers=(8,), batch_size=32, screening_steps=100, steps=100, caution=0.0
)
SHORTS = (-1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("baseline", "grid", "expected"),
    [
        ("auto", (0.0, 1.0), 1.0),
        ("auto", SHORTS, 0.0),
        ("auto", (0.0, 0.5, 1.0, 2.0), 1.0),
        ("auto", (0.0, 2.0), 0.0),
        ("auto", (0.0, 0.5), 0.5),
        ("flat", (0.0, 1.0), 0.0),
        ("long", SHORTS, 1.0),
        ("best", SHORTS, -1.0),
    ],
)
def test_the_baseline(baseline, grid, expected):
    falling = asset_of([10, 9, 8, 7], [9.5, 8.5, 7.5, 6.5])
    market = ExogenousMarket([falling], grid, FREE)
    assert grid[DQNEnsemble(baseline=baseline).baseline_of(market)] == expected


def test_quick_is_never_more_than_what_was_set():
    quick = DQNEnsemble(kappa=2.0).quick()
    assert (quick.kappa, quick.training.agents, quick.training.total_steps) == (2.0, 4, 1_200)
    assert DQNEnsemble(SMALL).quick() == DQNEnsemble(SMALL)
    assert DQNStrategy().quick().training.steps == 1_000


class TestDrift:
    """What agents learn of a target, whatever the features are: risk, and drift if it is real."""

    def test_the_part_of_a_reward_that_turns_with_the_price(self):
        bars = asset_of([10, 10, 10], [10, 11, 11])
        market = ExogenousMarket([bars], SHORTS, FREE, reward_scale=2.0)
        long = np.log(1.1) - np.log(0.9)  # half the difference, times the scale
        np.testing.assert_allclose(odd_reward(market, [0.1])[0], [-long, 0, long], rtol=1e-14)
        # Returns are scaled before they are mirrored: -2 is mirrored to ruin, which is bounded.
        assert np.isfinite(odd_reward(market, [-0.999, 3.0])).all()

    @pytest.mark.parametrize("drift", [0.0, 0.02])
    def test_only_a_drift_on_which_samples_agree_is_learned(self, drift):
        rng = np.random.default_rng(12)
        r = 0.01 * rng.standard_normal(600)
        r += drift - r.mean() + 2e-4  # a t value of 0.5, or of 49
        close = 100 * np.exp(np.cumsum(r))
        asset = asset_of(np.concatenate([[100.0], close[:-1]]), close)
        market = ExogenousMarket([asset], SHORTS, FREE, reward_scale=1.0)
        training = replace(SMALL, agents=8, block_days=5.0)
        trainer = EnsembleTrainer(market, training, Seeds(3))
        for k, pool in enumerate(trainer._pools):
            learned = trainer._returns_of(k, pool, 0.0).mean(axis=0, dtype=np.float64)
            growth = close[pool + 1] / close[pool]
            own = np.array([np.log(2 - growth).mean(), 0.0, np.log(growth).mean()])
            risk = np.array([1, 0, 1]) * (np.log(growth) + np.log(2 - growth)).mean() / 2
            expected = own if drift else risk
            np.testing.assert_allclose(learned, expected, atol=1e-4 if drift else 1e-6)
        np.testing.assert_allclose(trainer.drift, [-drift, 0, drift], atol=1e-3)


def planted(n, seed, edge, grid=SHORTS):
    """Return a span of one asset whose next return has a mean of `edge` times its first feature."""
    rng = np.random.default_rng(seed)
    signal = np.empty(n)
    signal[0] = 0.0
    for t in range(1, n):
        signal[t] = 0.9 * signal[t - 1] + np.sqrt(1 - 0.9**2) * rng.standard_normal()
    r = 0.01 * rng.standard_normal(n)
    r[1:] += edge * signal[:-1]
    close = 100 * np.exp(np.cumsum(r))
    open_ = np.concatenate([[100.0], close[:-1]])
    features = np.column_stack([signal, rng.standard_normal((n, 2))])
    bars = asset_of(open_, close, features=features)
    return MarketSpan((bars,), INPUTS, TradingRules(grid, CostConfig()))


def test_on_noise_it_holds_the_baseline_and_says_so():
    said = []
    work = Work(Seeds(1), say=said.append)
    training = replace(SMALL, caution=100.0)
    for grid, exposure in ((SHORTS, 0.0), ((0.0, 1.0), 1.0)):
        policy = DQNEnsemble(training).fit(planted(300, 0, 0, grid), planted(50, 1, 0, grid), work)
        assert isinstance(policy, BaselinePolicy)
        assert set(policy.targets(random_asset(30))) == {exposure}
        assert work.facts["fallback"] == said[-1]
        assert f"constant exposure of {exposure:g}, the baseline" in said[-1]
        assert set(work.facts["relevance"].values()) == {0.0}


def test_its_constants_favor_the_baseline_whatever_the_drift_was():
    for grid, exposure in ((SHORTS, 0.0), ((0.0, 1.0), 1.0)):
        span = planted(400, 3, 0, grid)
        policy = DQNEnsemble(SMALL).fit(span, planted(60, 4, 0, grid), Work(Seeds(2)))
        assert isinstance(policy, EnsemblePolicy)
        mean = np.stack(
            [
                n.values(policy.scaler.transform(span.assets[0].features, np.float32))
                for n in policy.networks
            ]
        ).mean(axis=(0, 1))
        against = mean - mean[policy.baseline]
        assert (np.delete(against, policy.baseline) < 0).all()
        assert grid[policy.baseline] == exposure


@pytest.mark.slow
def test_it_finds_a_planted_edge_among_features_that_mean_nothing():
    train, test = planted(3_000, 5, 30e-4), planted(2_000, 6, 30e-4)
    work = Work(Seeds(3))
    policy = DQNEnsemble().fit(train, planted(500, 7, 30e-4), work)
    assert work.facts["relevance"]["f0"] == 1.0
    assert max(work.facts["relevance"][name] for name in ("f1", "f2")) < 0.5
    market = ExogenousMarket(test.assets, SHORTS, CostConfig())
    path = [np.searchsorted(SHORTS, policy.targets(test.assets[0]))]
    signal = test.assets[0].features[:-1, 0]
    informed = [np.where(signal > 0, 2, 0)]
    found, known = (market.path_log_growth(p)[0] for p in (path, informed))
    assert found > 0.9 * known > 0.5
    sure = policy.confidence_of_targets(test.assets[0])
    assert sure is not None
    moved = np.diff(np.concatenate([[1], path[0]])) != 0
    assert (sure.advantage_bps[moved] > 0).mean() > 0.9


def test_the_fit_of_a_span_with_assets_of_different_lengths():
    policy = DQNEnsemble(SMALL).fit(make_span(), make_span(60, 7), Work(Seeds(0)))
    assert isinstance(policy, EnsemblePolicy)
    assert "ensemble of 4 action-value networks" in policy.describe()
