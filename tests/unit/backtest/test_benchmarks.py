"""The benchmarks' own rules: averages against pandas, and what is random about the random ones."""

import dataclasses
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.backtest.run import run_backtest
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.policies.benchmarks import (
    BENCHMARKS,
    BenchmarkConfig,
    random_policies,
)
from reinforcestrategycreator_pipeline.testing.benchmark_contract import make_context
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    GRIDS,
    random_asset,
    random_targets,
    repeatable,
)


def test_constant_benchmarks():
    context = make_context(9)
    assert BENCHMARKS.get("buy and hold")(context).tolist() == [1.0] * 8
    assert BENCHMARKS.get("flat")(context).tolist() == [0.0] * 8


class TestMovingAverageCrossover:
    def targets(self, context, **config):
        context = dataclasses.replace(context, config=BenchmarkConfig(**config))
        return BENCHMARKS.get("moving-average crossover")(context)

    @pytest.mark.parametrize("past", [0, 1, 5, 39, 40, 41, 300])
    @pytest.mark.parametrize(("fast", "slow"), [(1, 2), (3, 40), (20, 21)])
    @pytest.mark.parametrize("grid", [(0.0, 1.0), (-1.0, 0.0, 1.0), (-0.5, 0.0, 0.7)])
    def test_against_pandas(self, past, fast, slow, grid):
        context = make_context(120, grid, seed=past + slow, past=past)
        close = pd.Series(np.concatenate([context.past_close, context.bars.close]))
        gap = close.rolling(fast).mean() - close.rolling(slow).mean()
        expected = np.where(gap.isna(), 0.0, np.where(gap > 0, 1.0, min(grid)))[past:-1]
        assert np.abs(gap.dropna()).min() > 1e-9  # no tie that rounding decides
        np.testing.assert_array_equal(self.targets(context, fast=fast, slow=slow), expected)

    def test_by_hand(self):
        # Closes 4 3 2 (past) 3 4 5 1 1: means of 1 and 2 at the last five: 2.5 3.5 4.5 3 1.
        context = make_context(5, (-1.0, 0.0, 1.0))
        bars = dataclasses.replace(context.bars, close=np.array([3.0, 4.0, 5.0, 1.0, 1.0]))
        context = dataclasses.replace(context, bars=bars, past_close=np.array([4.0, 3.0, 2.0]))
        assert self.targets(context, fast=1, slow=2).tolist() == [1, 1, 1, -1]

    def test_flat_where_history_is_too_short(self):
        context = make_context(30, (-1.0, 0.0, 1.0), past=4)
        targets = self.targets(context, fast=2, slow=10)
        assert (targets[:5] == 0.0).all()  # 4 of the past and 5 of the test are 9 bars
        assert (targets[5:] != 0.0).all()

    def test_longer_than_everything(self):
        assert (self.targets(make_context(20, past=5), fast=2, slow=100) == 0.0).all()


class TestRandomPolicies:
    def drawn(self, context, draws=21):
        config = BenchmarkConfig(random_draws=draws)
        return random_policies(dataclasses.replace(context, config=config))

    @repeatable
    @given(st.integers(2, 80), st.integers(0, 10_000), st.sampled_from(GRIDS), st.floats(0, 1))
    def test_turnover_and_time_in_each_exposure_are_the_policys(self, n, seed, grid, stay):
        bars = random_asset(n, seed)
        policy = random_targets(n - 1, grid, seed, stay)
        context = dataclasses.replace(make_context(2, grid, seed), bars=bars, policy_targets=policy)
        targets, _ = self.drawn(context, 7)
        runs = policy[np.concatenate([[True], np.diff(policy) != 0])]
        for draw in targets:
            assert Counter(draw.tolist()) == Counter(policy.tolist())
            switches = np.concatenate([[True], np.diff(draw) != 0])
            np.testing.assert_array_equal(draw[switches], runs)  # and so the sum of |changes|

    def test_growth_is_the_backtests(self):
        context = make_context(60, (-1.0, 0.0, 1.0))
        for targets, growth in zip(*self.drawn(context), strict=True):
            equity = run_backtest("r", context.bars, targets, DEAR, 1.0).equity
            assert np.log(equity[-1]) == pytest.approx(growth, abs=1e-11)

    def test_benchmark_is_the_median_draw(self):
        context = dataclasses.replace(make_context(60, seed=2), config=BenchmarkConfig(3, 10, 21))
        chosen = BENCHMARKS.get("random (same turnover)")(context)
        again = dataclasses.replace(context, rng=make_context(60, seed=2).rng)
        targets, growth = random_policies(again)
        equity = run_backtest("r", context.bars, chosen, DEAR, 1.0).equity
        assert np.log(equity[-1]) == pytest.approx(np.median(growth), abs=1e-12)
        assert any((chosen == t).all() for t in targets)

    def test_uniform_over_the_ways_to_divide_the_time(self):
        # 0 0 1 1 1 0 0 0: 1 keeps its 3 bars; the 5 bars of 0 are divided 1+4, 2+3, 3+2 or 4+1.
        context = dataclasses.replace(
            make_context(9), policy_targets=np.array([0.0, 0, 1, 1, 1, 0, 0, 0])
        )
        targets, _ = self.drawn(context, 8_000)
        first = targets.argmax(axis=1)  # length of the first run
        counts = np.bincount(first, minlength=6)
        assert counts[[0, 5]].tolist() == [0, 0]
        # 3 degrees of freedom: below 16.3 with probability 0.999.
        assert ((counts[1:5] - 2_000) ** 2 / 2_000).sum() < 16.3

    def test_draws_differ(self):
        targets, growth = self.drawn(make_context(80, (-1.0, 0.0, 1.0)), 50)
        assert len({t.tobytes() for t in targets}) == 50
        assert growth.std() > 0.0

    @pytest.mark.parametrize("exposure", [0.0, 1.0])
    def test_policy_that_never_switches(self, exposure):
        context = dataclasses.replace(make_context(30), policy_targets=np.full(29, exposure))
        targets, growth = self.drawn(context)
        assert (targets == exposure).all()
        assert growth.std() < 1e-15

    def test_policy_that_switches_at_every_bar_leaves_no_choice(self):
        policy = np.resize([0.0, 1.0], 29)
        context = dataclasses.replace(make_context(30), policy_targets=policy)
        assert (self.drawn(context)[0] == policy).all()

    def test_single_decision(self):
        context = dataclasses.replace(make_context(2), policy_targets=np.array([1.0]))
        targets, growth = self.drawn(context, 3)
        assert targets.tolist() == [[1.0]] * 3
        assert growth.shape == (3,)

    def test_planted_skill_stands_out(self):
        """The oracle's timing beats every random timing of the same turnover."""
        context = make_context(80)
        best = BENCHMARKS.get("oracle")(context)
        _, growth = self.drawn(dataclasses.replace(context, policy_targets=best), 200)
        oracle = run_backtest("o", context.bars, best, DEAR, 1.0).equity[-1]
        assert np.log(oracle) > growth.max()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"fast": 0}, "fast parameter of BenchmarkConfig must be an integer >= 1"),
        ({"slow": 1}, "slow parameter of BenchmarkConfig must be an integer >= 2"),
        (
            {"fast": 100, "slow": 100},
            r"slow parameter of BenchmarkConfig must be above fast",
        ),
        ({"random_draws": 0}, "random_draws parameter of BenchmarkConfig must be an integer >= 1"),
        ({"random_draws": 10_001}, "random_draws parameter"),
        ({"fast": 2.5}, "fast parameter"),
    ],
)
def test_bad_config_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        BenchmarkConfig(**config)
