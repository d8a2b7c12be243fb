"""Round trips: a list worked by hand, and that they add up whatever was traded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DAY,
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
    random_targets,
    repeatable,
)


def run(bars, targets, costs=FREE, money=1_000.0):
    return run_backtest("it", bars, np.asarray(targets, dtype=float), costs, money)


def test_list_by_hand():
    """Long, flipped to short, flat, and long again to the end of the data. 1% of commission.

    bar      0    1    2    3    4    5    6
    open    10   10   12   20   25   40   50
    close   10   11   16   25   20   50   60
    target   1    1   -1    0    1    1
    """
    opens, closes = [10, 10, 12, 20, 25, 40, 50], [10, 11, 16, 25, 20, 50, 60]
    bars = asset_of(opens, closes)
    result = run(bars, [1, 1, -1, 0, 1, 1], CostConfig(100, 0, 0, 0, 0), 1_010.0)
    # Bar 1: 100 shares at 10, 10 of commission. Bar 2: held. Bar 3, open 20: equity 2000, short
    # after the sale: e = 2000 - 1% of (2000 + e), e = 1980 / 1.01 = S; the cost is 2000 - S, of
    # which the long pays 2000 / (2000 + S). Close 25: the short loses S / 4.
    s = 1_980 / 1.01
    cost = 2_000 - s
    # Bar 4, open 25, no gap: 1.25 S is bought for 1% of it. Equity after: 0.75 S - 0.0125 S.
    e4 = 0.7375 * s
    # Bar 5, open 40: all in, E / 1.01 of shares; closes 50, then the gap to 50, then 60.
    value = e4 / 1.01
    trades = result.trades
    assert trades["side"].tolist() == ["long", "short", "long"]
    assert trades["open"].tolist() == [False, False, True]
    assert trades["bars"].tolist() == [2, 1, 2]
    assert trades["exposure"].tolist() == [1, -1, 1]
    assert trades["symbol"].tolist() == ["A"] * 3
    days = [int(x.value / DAY) for x in trades["entry_time"]]
    assert days == [1, 3, 5]
    assert [int(x.value / DAY) for x in trades["exit_time"]] == [3, 4, 6]
    assert trades["entry_price"].tolist() == [10, 20, 40]
    assert trades["exit_price"].tolist() == [20, 25, 60]
    long_share = cost * 2_000 / (2_000 + s)
    np.testing.assert_allclose(
        trades["costs"], [10 + long_share, cost - long_share + 0.0125 * s, value / 100]
    )
    np.testing.assert_allclose(
        trades["pnl"],
        [
            1_000 - 10 - long_share,
            -s / 4 - (cost - long_share) - 0.0125 * s,
            value * (60 / 40 - 1) - value / 100,
        ],
    )
    np.testing.assert_allclose(
        trades["return"], trades["pnl"] / np.array([1_010, 2_000, e4]), rtol=1e-12
    )
    assert trades["pnl"].sum() == pytest.approx(result.equity[-1] - 1_010)
    assert trades["costs"].sum() == pytest.approx(result.costs.sum())


def test_prices_are_those_of_the_fills():
    # Half of a spread of 2%, and 1% of slippage: fills 2% away from the open.
    costs = CostConfig(0, 200, 100, 0, 0)
    bars = asset_of([10, 10, 20, 30], [10, 10, 20, 30])
    long = run(bars, [1, 0, 0], costs).trades.iloc[0]
    assert (long["entry_price"], long["exit_price"]) == pytest.approx((10.2, 19.6))
    short = run(bars, [0, -1, 0], costs).trades.iloc[0]
    assert (short["entry_price"], short["exit_price"]) == pytest.approx((19.6, 30.6))


def test_resizing_is_one_trade():
    bars = random_asset(7)
    trades = run(bars, [0.5, 1.0, 0.7, 2.0, 0.5, 0.0]).trades
    assert len(trades) == 1
    assert trades["exposure"].tolist() == [0.5]
    assert trades["bars"].tolist() == [5]


def test_gap_before_the_exit_belongs_to_the_old_position():
    # Short at 10; the open at which it flips to long is at 15: the short lost half.
    bars = asset_of([10, 10, 15, 15], [10, 10, 15, 30])
    trades = run(bars, [-1, 1, 1]).trades
    np.testing.assert_allclose(trades["pnl"], [-500, 500])


def test_borrow_fees_are_the_shorts():
    costs = CostConfig(0, 0, 0, 3_650.0, 3_650.0)  # 0.1% a day of what is borrowed
    bars = asset_of([10] * 5, [10] * 5)
    trades = run(bars, [-1, 1, 2, 2], costs).trades
    # The short is carried one night. Of the long, exposure 2 is carried one night before the end.
    np.testing.assert_allclose(trades["costs"], [1.0, 999 * 0.001], rtol=1e-9)
    np.testing.assert_allclose(trades["pnl"], [-1.0, -0.999], rtol=1e-9)


def test_flip_at_the_last_open():
    bars = asset_of([10, 10, 12], [10, 11, 15])
    trades = run(bars, [1, -1]).trades
    assert trades["open"].tolist() == [False, True]
    np.testing.assert_allclose(trades["pnl"], [200, -1200 * 0.25])


@repeatable
@given(
    st.integers(0, 10_000),
    st.sampled_from(GRIDS),
    st.sampled_from([FREE, CostConfig(), DEAR]),
    st.integers(2, 60),
)
def test_they_add_up(seed, grid, costs, n):
    bars, targets = random_asset(n, seed), random_targets(n - 1, grid, seed, stay=0.5)
    result = run(bars, targets, costs)
    trades = result.trades
    assert trades["pnl"].sum() == pytest.approx(result.equity[-1] - 1_000, rel=1e-9, abs=1e-9)
    assert trades["costs"].sum() == pytest.approx(result.costs.sum(), rel=1e-9, abs=1e-9)
    assert trades["bars"].sum() == np.count_nonzero(targets)
    runs = np.count_nonzero(np.diff(np.sign(targets), prepend=0) * (targets != 0))
    assert len(trades) == runs
    stamps = bars.timestamps
    assert (trades["entry_time"].isin(stamps) & trades["exit_time"].isin(stamps)).all()
    # A trade left at the last bar's own open ends at that bar's stamp, as it began.
    assert (trades["entry_time"] <= trades["exit_time"]).all()
    assert trades["open"].sum() == (targets[-1] != 0)
    signs = trades["side"].map({"long": 1, "short": -1})
    assert (np.sign(trades["exposure"]) == signs).all()


@repeatable
@given(st.integers(0, 10_000), st.sampled_from([(0.0, 1.0), (-1.0, 0.0, 1.0)]))
def test_return_of_a_long_is_that_of_its_fills(seed, grid):
    """Exposure 1 is not rebalanced, so that a long trade is its two prices and commissions."""
    costs = CostConfig(7.0, 8.0, 9.0, 0.0, 0.0)
    bars, targets = random_asset(40, seed), random_targets(39, grid, seed, stay=0.7)
    trades = run(bars, targets, costs).trades
    k = 7e-4
    entries = bars.timestamps.get_indexer(trades["entry_time"]) - 1
    checked = 0
    for entry, trade in zip(entries, trades.itertuples(), strict=True):
        flat_before = entry == 0 or targets[entry - 1] == 0
        flat_after = not trade.open and targets[entry + trade.bars] == 0
        if trade.side == "long" and flat_before and flat_after:
            growth = trade.exit_price * (1 - k) / (trade.entry_price * (1 + k))
            assert trades["return"].iloc[trade.Index] == pytest.approx(growth - 1, abs=1e-12)
            checked += 1
    assert checked or len(trades) < 5 or grid[0] < 0


def test_a_trade_that_ruins_the_account_shows_the_bar_of_the_ruin():
    """Short from the open of bar 1; the price doubles within bar 2, or over the gap before it."""
    #                open            close           exit price: the close of the ruin, or its open
    for opens, closes, price in (
        ([10, 10, 10, 30, 30], [10, 10, 21, 30, 30], 21.0),
        ([10, 10, 21, 30, 30], [10, 10, 25, 30, 30], 21.0),
    ):
        result = run(asset_of(opens, closes), [-1, -1, -1, -1])
        trade = result.trades.iloc[0]
        assert len(result.trades) == 1
        assert (trade["exit_time"].value / DAY, trade["exit_price"]) == (2, price)
        assert not trade["open"]
        assert trade["return"] == pytest.approx(-1.0, abs=2e-6)
        assert result.equity[0] + trade["pnl"] == pytest.approx(result.equity[-1])


def test_a_ruin_at_the_last_bar_is_not_an_open_trade():
    trade = run(asset_of([10, 10, 10], [10, 10, 21]), [-1, -1]).trades.iloc[0]
    assert (trade["exit_time"].value / DAY, trade["exit_price"], trade["open"]) == (2, 21.0, False)
    assert trade["bars"] == 2


def test_how_sure_it_was_at_the_decision_to_enter():
    """Enters at decisions 1 (resized at 2), 3 (a reversal) and 5.

    decision   0    1    2    3    4    5
    target     0    1   0.5  -1    0    1
    """
    bars = random_asset(7)
    advantage, spread = np.array([0.0, 8, 3, 21, 5, 2]), np.array([0.0, 4, 1, 7, 9, 6])
    targets = np.array([0, 1, 0.5, -1, 0, 1])
    result = run_backtest("it", bars, targets, DEAR, 1e3, confidence=(advantage, spread))
    assert result.trades["advantage_bps"].tolist() == [8, 21, 2]
    assert result.trades["spread_bps"].tolist() == [4, 7, 6]
    assert result.advantage_bps.tolist() == advantage.tolist()
    assert result.spread_bps.tolist() == spread.tolist()
    silent = run(bars, targets, DEAR)
    assert (silent.advantage_bps, silent.spread_bps) == (None, None)
    assert list(silent.trades) == list(result.trades)[:-2]


def test_a_ruined_account_is_sure_of_nothing_after_the_bar_of_its_ruin():
    # Twice long at 10; the price falls to 4 in the session of bar 2, decided at 1.
    bars = asset_of([10, 10, 10, 4, 4], [10, 10, 4, 4, 4])
    said = (np.array([5.0, 0, 0, 0]), np.array([1.0, 0, 0, 0]))
    result = run_backtest("it", bars, np.full(4, 2.0), FREE, 1e3, confidence=said)
    for values, entry in ((result.advantage_bps, 5), (result.spread_bps, 1)):
        np.testing.assert_array_equal(values, [entry, 0, np.nan, np.nan])
