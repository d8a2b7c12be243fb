"""What a joint circular shift of a policy's exposures changes, and what it leaves."""

from collections import Counter

import numpy as np
import pytest
from chance import rates
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.backtesting.compare import RANDOM, Decider, compare, ends_of
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.policies.oracle import OraclePolicy
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.statistics.random_timing import (
    joint_shifts,
    percent_below,
    shift_by,
)
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
    random_targets,
    repeatable,
)


def shifts_of(*exposures, draws=1_000, seed=0):
    arrays = [np.asarray(x, dtype=float) for x in exposures]
    return joint_shifts(arrays, draws, np.random.default_rng(seed))


@repeatable
@given(st.integers(2, 80), st.integers(0, 10_000), st.sampled_from(GRIDS), st.floats(0, 1))
def test_exposures_and_holding_times_are_the_policys(n, seed, grid, stay):
    policy = random_targets(n, grid, seed, stay)
    circle = Counter(zip(policy.tolist(), np.roll(policy, -1).tolist(), strict=True))
    for row in shift_by(policy, shifts_of(policy, draws=7, seed=seed)):
        assert Counter(row.tolist()) == Counter(policy.tolist())
        # Around the circle the same switches follow one another, so turnover is the same.
        assert Counter(zip(row.tolist(), np.roll(row, -1).tolist(), strict=True)) == circle


def test_a_shift_by_hand():
    # Half of six bars is three, of four bars two: the end comes to the front.
    half = np.array([0.5])
    assert shift_by(np.array([1.0, 2, 3, 4, 5, 6]), half).tolist() == [[4, 5, 6, 1, 2, 3]]
    assert shift_by(np.array([1.0, 2, 3, 4]), half).tolist() == [[3, 4, 1, 2]]


def test_small_shifts_that_hardly_move_anything_are_dropped():
    """Ten bars long, ten flat: shifted by s, the exposures correlate by 1 - s / 5.

    So s = 1 and 2 are above one half, and 18 and 19 from the other side; 3 to 17 are 0.4 or less.
    """
    policy = np.repeat([1.0, 0.0], 10)
    np.testing.assert_allclose(shifts_of(policy) * 20, np.arange(3, 18))


def test_one_that_trades_at_every_bar_drops_every_second_shift():
    # 0 1 0 1: shifted by two it is itself, shifted by one its opposite.
    np.testing.assert_allclose(shifts_of(np.resize([0.0, 1.0], 8)) * 8, [1, 3, 5, 7])


def test_draws_are_distinct_and_of_no_more_than_there_are():
    policy = random_targets(300, (-1.0, 0.0, 1.0), 0)
    some = shifts_of(policy, draws=50)
    assert len(some) == len(set(some)) == 50
    assert (np.diff(some) > 0).all()
    assert len(shifts_of(policy)) < 300
    assert not np.array_equal(some, shifts_of(policy, draws=50, seed=1))


@pytest.mark.parametrize("exposure", [0.0, 1.0])
def test_what_never_changes_cannot_be_shifted(exposure):
    assert len(shifts_of(np.full(29, exposure))) == 0
    assert len(shifts_of([exposure])) == 0
    assert percent_below(np.empty(0), 1.0) is None


def test_a_policy_is_not_above_itself():
    assert percent_below(np.full(7, 1.1), 1.1 * (1 + 1e-15)) == 0.0
    assert percent_below(np.array([1.0, 2.0, 3.0, 4.0]), 3.0) == 50.0


class Fixed(Decider):
    """Given targets, whatever the bars."""

    def __init__(self, targets):
        self._targets = targets

    def targets(self, asset):
        return self._targets[: len(asset.close) - 1]


class TestComparison:
    def compared(self, *policies, draws=21, seeds=(1, 2)):
        assets = tuple(random_asset(80, s, n) for s, n in zip(seeds, "AB", strict=True))
        span = MarketSpan(assets, Inputs(("f",)), TradingRules((0.0, 1.0), DEAR))
        labeled = {f"p{i}": policy for i, policy in enumerate(policies)}
        return span, compare(labeled, span, draws, Seeds(5))

    def test_one_shift_for_all_assets_and_the_median_of_the_portfolio(self):
        targets = random_targets(79, (0.0, 1.0), 3, stay=0.8)
        span, found = self.compared(Fixed(targets), draws=1_000)
        shown = {a.symbol: found.results[a.symbol][RANDOM].exposure for a in span.assets}
        np.testing.assert_array_equal(shown["A"], shown["B"])
        shifts = [s for s in range(1, 79) if np.corrcoef(np.roll(targets, s), targets)[0, 1] <= 0.5]
        ends = dict.fromkeys(shifts, 0.0)
        for s in shifts:
            for asset in span.assets:
                own = run_backtest("r", asset, np.roll(targets, s), DEAR, 50_000.0)
                ends[s] += own.equity[-1]
        median = sorted(ends.values())[len(ends) // 2]
        assert found.results[PORTFOLIO][RANDOM].equity[-1] == pytest.approx(median, rel=1e-12)
        own = found.results[PORTFOLIO]["p0"].equity[-1]
        below = 100 * np.mean(np.array(list(ends.values())) < own)
        assert found.percentile[PORTFOLIO] == pytest.approx(below)

    def test_planted_skill_stands_out(self):
        """The oracle's timing beats its own exposures at any other time."""
        oracle = OraclePolicy((0.0, 1.0), Inputs(("x", "y", "z")), DEAR)
        _, found = self.compared(oracle, draws=200)
        assert set(found.percentile.values()) == {100.0}

    def test_a_constant_has_no_percentile_and_is_its_own_row(self):
        _, found = self.compared(Fixed(np.ones(79)))
        assert found.percentile == {PORTFOLIO: None, "A": None, "B": None}
        own = found.results[PORTFOLIO]
        np.testing.assert_array_equal(own[RANDOM].equity, own["p0"].equity)

    def test_portfolio_first_judged_policy_first_random_timing_last(self):
        _, found = self.compared(Fixed(np.ones(79)), Fixed(np.zeros(79)))
        assert list(found.results) == [PORTFOLIO, "A", "B"]
        assert list(found.results["A"]) == ["p0", "p1", RANDOM]


def test_the_end_of_a_ruined_account_is_its_ruin():
    # Short, the price doubles within bar 2: a millionth is left, and what follows changes nothing.
    bars = asset_of([10, 10, 10, 21, 21], [10, 10, 21, 21, 42])
    ends = ends_of(bars, np.array([[-1.0, -1.0, 1.0, 1.0]]), FREE)
    assert ends.tolist() == pytest.approx([1e-6])


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["trend", "contrarian"])
def test_how_often_policies_without_skill_look_skilled(policy):
    """A small form of `python -m benchmarks.chance`: 120 trials, standard error 2 points at 5%.

    The percentile of a contrarian is too high more often than it should be, which is why it only
    describes; independent shifts would say so in 16 to 26% of the trials. The excess over buy and
    hold decides, and is within its 5%.
    """
    for assets, correlation in ((1, 0.0), (4, 0.6)):
        shifted, excess = rates(120, policy, assets, correlation, draws=99)
        assert shifted <= (0.12 if policy == "trend" else 0.16)
        assert excess <= 0.12
