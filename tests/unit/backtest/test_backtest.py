"""The backtest: hand-worked equity, refusals, ruin, and no look-ahead."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.results import TRADE_COLUMNS
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.execution.accounting import RUIN_GROWTH
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DAY,
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
    random_targets,
)

ONE_PERCENT = CostConfig(100.0, 0.0, 0.0, 0.0, 0.0)


def run(bars, targets, costs=FREE, money=1_000.0):
    return run_backtest("it", bars, np.asarray(targets, dtype=float), costs, money)


def test_equity_by_hand():
    # 1010 of cash. Decided at the first close (10), filled at 11: 1000 of shares and 10 of
    # commission. Closes 12 and, held through a gap to 9, 6: 1000 * 6 / 11 ... then sold at 8 for
    # 1000 * 8 / 11 * 0.99.
    bars = asset_of([10, 11, 9, 8], [10, 12, 6, 5])
    result = run(bars, [1, 1, 0], ONE_PERCENT, 1_010.0)
    share = 1_000 / 11
    np.testing.assert_allclose(result.equity, [1010, 12 * share, 6 * share, 8 * share * 0.99])
    np.testing.assert_array_equal(result.exposure, [1, 1, 0])
    np.testing.assert_allclose(result.turnover, [1_000 / 1_010, 0, 1], atol=1e-15)
    np.testing.assert_allclose(result.costs, [10, 0, 0.08 * share], atol=1e-12)
    assert result.strategy == "it"
    assert result.symbol == "A"
    assert result.timestamps.tolist() == list(pd.date_range("1970-01-01", periods=4, tz="UTC"))


def test_buy_and_hold_by_hand():
    bars = asset_of([10, 20, 22, 26], [10, 21, 24, 30])
    # Bought at 20 after 1%: 1 / 1.01 of the money; what follows is price alone.
    result = run(bars, [1, 1, 1], ONE_PERCENT)
    np.testing.assert_allclose(result.equity[1:], 1_000 / 1.01 / 20 * np.array([21, 24, 30]))
    assert result.costs.sum() == pytest.approx(1_000 / 1.01 * 0.01)


def test_never_in_the_market():
    result = run(random_asset(30), np.zeros(29), DEAR)
    assert (result.equity == 1_000.0).all()
    assert (result.costs == 0.0).all()
    assert (result.turnover == 0.0).all()
    assert len(result.trades) == 0
    assert tuple(result.trades.columns) == TRADE_COLUMNS


def test_empty_and_full_trades_have_the_same_types():
    none = run(random_asset(30), np.zeros(29)).trades
    some = run(random_asset(30), random_targets(29, (0, 1))).trades
    assert none.dtypes.drop(["symbol", "side"]).equals(some.dtypes.drop(["symbol", "side"]))


def test_single_decision():
    result = run(asset_of([10, 10], [10, 11]), [1])
    np.testing.assert_allclose(result.equity, [1000, 1100])
    assert result.trades["open"].tolist() == [True]


@pytest.mark.parametrize("money", [1.0, 1e12])
def test_money_is_only_a_unit(money):
    bars, targets = random_asset(100), random_targets(99, GRIDS[3])
    one, other = run(bars, targets, DEAR), run(bars, targets, DEAR, money)
    np.testing.assert_allclose(other.equity / money, one.equity / 1_000.0, rtol=1e-13)
    np.testing.assert_allclose(other.costs / money, one.costs / 1_000.0, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(other.trades["return"], one.trades["return"], rtol=1e-11)


@pytest.mark.parametrize("shape", [(28,), (30,), (29, 1), ()])
def test_wrong_number_of_targets(shape):
    with pytest.raises(DataError, match="it on A: 30 bars need 29 targets"):
        run(random_asset(30), np.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_target_that_is_not_finite_is_no_order(bad):
    targets = np.zeros(29)
    targets[7] = bad
    with pytest.raises(DataError, match="it on A: the target of decision 7 is not finite"):
        run(random_asset(30), targets)


def test_targets_of_the_caller_are_left_alone():
    bars = asset_of([10] * 5, [10, 21, 10, 10, 10])
    targets = np.array([-1.0, 1.0, 1.0, 1.0])
    run(bars, targets)
    assert targets.tolist() == [-1.0, 1.0, 1.0, 1.0]


class TestRuin:
    def test_within_a_session(self):
        # Short at 10, 21 at the close: a debt of 0.1; it is limited to the stake.
        bars = asset_of([10] * 5, [10, 21, 10, 40, 10])
        result = run(bars, [-1, 1, 1, 1])
        np.testing.assert_allclose(result.equity, [1000, *[1000 * RUIN_GROWTH] * 4])
        assert result.exposure.tolist() == [-1, 0, 0, 0]
        assert len(result.trades) == 1

    def test_by_a_gap(self):
        bars = asset_of([10, 10, 25, 10, 10], [10, 10, 25, 40, 10])
        result = run(bars, [-1, -1, 1, 1])
        np.testing.assert_allclose(result.equity, [1000, 1000, *[1000 * RUIN_GROWTH] * 3])

    def test_by_a_gap_fills_no_order_at_that_open(self):
        """There is nothing left to trade with, so no reversal and no second trade."""
        bars = asset_of([10, 10, 25, 10, 10], [10, 10, 25, 40, 10])
        result = run(bars, [-1, 1, 1, 1])
        assert result.exposure.tolist() == [-1, 0, 0, 0]
        assert result.trades["side"].tolist() == ["short"]
        assert result.trades["pnl"].sum() == pytest.approx(1000 * (RUIN_GROWTH - 1))

    def test_at_the_last_bar(self):
        result = run(asset_of([10, 10, 10], [10, 10, 30]), [-1, -1])
        assert result.equity[-1] == pytest.approx(1000 * RUIN_GROWTH)
        assert result.trades["pnl"].sum() == pytest.approx(1000 * (RUIN_GROWTH - 1))

    def test_trades_add_up_through_it(self):
        for seed in range(40):
            bars = random_asset(30, seed, volatility=0.4)
            result = run(bars, random_targets(29, GRIDS[3], seed), DEAR)
            change = result.equity[-1] - result.equity[0]
            assert result.trades["pnl"].sum() == pytest.approx(change, abs=1e-6)
            assert (result.equity > 0).all()


class TestNoLookAhead:
    def test_session_of_a_bar_changes_nothing_before_its_close(self):
        """No. 6 of the list: bar t+1's high, low and close leave the fill at open(t+1) alone."""
        bars = random_asset(40, 2)
        targets = random_targets(39, GRIDS[3], 2)
        before = run(bars, targets, DEAR)
        for t in range(1, 40):
            close = bars.close.copy()
            close[t] *= 1.07
            after = run(asset_of(bars.open, close, bars.times), targets, DEAR)
            assert after.equity[:t].tobytes() == before.equity[:t].tobytes()
            assert after.turnover[:t].tobytes() == before.turnover[:t].tobytes()
            assert after.costs[:t].tobytes() == before.costs[:t].tobytes()
            entered = before.trades["entry_time"] <= before.timestamps[t]
            np.testing.assert_array_equal(
                after.trades["entry_price"][entered], before.trades["entry_price"][entered]
            )

    def test_future_changes_no_past_equity(self):
        bars, targets = random_asset(40, 3), random_targets(39, GRIDS[1], 3)
        before = run(bars, targets, DEAR)
        for t in range(1, 39):
            cut = asset_of(bars.open[: t + 1], bars.close[: t + 1], bars.times[: t + 1])
            after = run(cut, targets[:t], DEAR)
            assert after.equity.tobytes() == before.equity[: t + 1].tobytes()


@pytest.mark.parametrize("before_ms", [0, 1, 7, 333, 999])
def test_stamps_of_any_millisecond_survive(before_ms):
    """Regression: through float seconds, 0 of 1,000 stamps at 1 or 999 ms came back."""
    hours = pd.date_range("2024-01-01", periods=200, freq="h", tz="UTC", unit="ns")
    stamps = (hours - pd.Timedelta(milliseconds=before_ms)).rename("timestamp")
    bars = asset_of(np.full(200, 10.0), np.full(200, 10.0), stamps.asi8)
    result = run(bars, np.resize([0.0, 1.0], 199), FREE)
    assert result.timestamps.equals(stamps)
    assert set(result.trades["entry_time"]) <= set(stamps)


def test_weekend_costs_three_days_of_borrowing():
    # Friday to Monday: 3 days at 36.5% a year of 100: 0.3; a night: 0.1.
    costs = CostConfig(0, 0, 0, 3_650.0, 0)
    for days, fee in ((1, 0.1), (3, 0.3)):
        bars = asset_of([10] * 3, [10] * 3, [0, DAY, (1 + days) * DAY])
        result = run(bars, [-1, -1], costs, 100.0)
        assert result.costs[1] == pytest.approx(fee, rel=1e-12)
        assert result.equity[2] == pytest.approx(100 - fee, rel=1e-12)
