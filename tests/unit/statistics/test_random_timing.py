"""What is random about a policy's redrawn timing, and what is not."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.backtesting.compare import RANDOM, compare
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.policies.oracle import OraclePolicy
from reinforcestrategycreator_pipeline.seeding import Seeds, generator
from reinforcestrategycreator_pipeline.statistics.random_timing import percent_below, redraw_timing
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    GRIDS,
    random_asset,
    random_targets,
    repeatable,
)


def drawn(targets, draws=21, seed=0):
    return redraw_timing(np.asarray(targets, dtype=float), draws, np.random.default_rng(seed))


@repeatable
@given(st.integers(2, 80), st.integers(0, 10_000), st.sampled_from(GRIDS), st.floats(0, 1))
def test_turnover_and_time_in_each_exposure_are_the_policys(n, seed, grid, stay):
    policy = random_targets(n - 1, grid, seed, stay)
    runs = policy[np.concatenate([[True], np.diff(policy) != 0])]
    for draw in drawn(policy, 7, seed):
        assert Counter(draw.tolist()) == Counter(policy.tolist())
        switches = np.concatenate([[True], np.diff(draw) != 0])
        np.testing.assert_array_equal(draw[switches], runs)  # and so the sum of |changes|


def test_uniform_over_the_ways_to_divide_the_time():
    # 0 0 1 1 1 0 0 0: 1 keeps its 3 bars; the 5 bars of 0 are divided 1+4, 2+3, 3+2 or 4+1.
    first = drawn([0, 0, 1, 1, 1, 0, 0, 0], 8_000).argmax(axis=1)  # length of the first run
    counts = np.bincount(first, minlength=6)
    assert counts[[0, 5]].tolist() == [0, 0]
    # 3 degrees of freedom: below 16.3 with probability 0.999.
    assert ((counts[1:5] - 2_000) ** 2 / 2_000).sum() < 16.3


def test_draws_differ():
    assert len({t.tobytes() for t in drawn(random_targets(80, (-1.0, 0.0, 1.0), 0), 50)}) == 50


@pytest.mark.parametrize("exposure", [0.0, 1.0])
def test_policy_that_never_switches(exposure):
    assert (drawn(np.full(29, exposure)) == exposure).all()


def test_policy_that_switches_at_every_bar_leaves_no_choice():
    policy = np.resize([0.0, 1.0], 29)
    assert (drawn(policy) == policy).all()


def test_single_decision():
    assert drawn([1.0], 3).tolist() == [[1.0]] * 3


def test_a_policy_is_not_above_itself():
    assert percent_below(np.full(7, 1.1), 1.1 * (1 + 1e-15)) == 0.0
    assert percent_below(np.array([1.0, 2.0, 3.0, 4.0]), 3.0) == 50.0


class Fixed:
    """Given targets, whatever the bars."""

    def __init__(self, targets):
        self._targets = targets

    def targets(self, asset):
        return self._targets[: len(asset.close) - 1]


class TestComparison:
    def compared(self, *policies, draws=21):
        assets = (random_asset(80, 1, "A"), random_asset(80, 2, "B"))
        span = MarketSpan(assets, Inputs(("f",)), TradingRules((0.0, 1.0), DEAR))
        labeled = {f"p{i}": policy for i, policy in enumerate(policies)}
        return span, compare(labeled, span, draws, Seeds(5))

    def test_the_row_is_the_draw_with_the_median_result(self):
        targets = random_targets(79, (0.0, 1.0), 3, stay=0.8)
        span, found = self.compared(Fixed(targets))
        for asset in span.assets:
            rng = generator(5, f"benchmarks/{RANDOM}/{asset.symbol}")
            ends = [
                run_backtest("r", asset, t, DEAR, 50_000.0).equity[-1]
                for t in redraw_timing(targets, 21, rng)
            ]
            shown = found.results[asset.symbol][RANDOM].equity[-1]
            assert shown == pytest.approx(np.median(ends), rel=1e-12)
            own = found.results[asset.symbol]["p0"].equity[-1]
            below = 100 * np.mean(np.array(ends) < own)
            assert found.percentile[asset.symbol] == pytest.approx(below)

    def test_planted_skill_stands_out(self):
        """The oracle's timing beats every random timing of the same turnover."""
        oracle = OraclePolicy((0.0, 1.0), Inputs(("f",)), DEAR)
        _, found = self.compared(oracle, draws=200)
        assert set(found.percentile.values()) == {100.0}

    def test_portfolio_first_judged_policy_first_random_timing_last(self):
        _, found = self.compared(Fixed(np.ones(79)), Fixed(np.zeros(79)))
        assert list(found.results) == [PORTFOLIO, "A", "B"]
        assert list(found.results["A"]) == ["p0", "p1", RANDOM]
