"""The backtest against a plain account of cash and shares, with every cost, to 1e-12."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger import keep_ledger

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.market.sources.sample import SampleSource
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

DEFAULT = CostConfig()


def ledger_of(bars, targets, costs, money=100_000.0):
    return keep_ledger(bars.open, bars.close, bars.times / 1e9, targets, costs, money)


def assert_same(bars, targets, costs, rtol=1e-12):
    result = run_backtest("it", bars, targets, costs, 100_000.0)
    ledger = ledger_of(bars, targets, costs)
    np.testing.assert_allclose(result.equity, ledger.equity, rtol=rtol)
    np.testing.assert_allclose(
        result.costs, ledger.paid, rtol=1e-9, atol=1e-12 * max(ledger.equity)
    )
    return result, ledger


@pytest.mark.parametrize("costs", [FREE, DEFAULT, DEAR], ids=["free", "default", "dear"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_random_targets_on_a_random_walk(grid, costs):
    for seed in range(4):
        bars = random_asset(250, seed)
        assert_same(bars, random_targets(249, grid, seed), costs)


@repeatable
@given(
    st.integers(0, 10_000),
    st.lists(st.floats(-1.5, 2.5), min_size=1, max_size=40),
    st.tuples(
        st.floats(0, 80), st.floats(0, 80), st.floats(0, 80), st.floats(0, 900), st.floats(0)
    ),
)
def test_any_targets_and_costs(seed, targets, rates):
    costs = CostConfig(*rates[:4], min(rates[4], 2_000.0))
    assert_same(random_asset(len(targets) + 1, seed), np.array(targets), costs, 1e-11)


def test_turnover_is_what_the_ledger_traded():
    bars, costs = random_asset(200, 9), DEAR
    targets = random_targets(199, GRIDS[3], 9)
    result, ledger = assert_same(bars, targets, costs)
    held = np.concatenate([[0.0], ledger.shares[:-1]])
    # Equity at the open before the order: what it is after it, plus the order's cost.
    money, opens = np.array(ledger.equity[:-1]), bars.open[1:]
    equity = money + held * (opens - bars.close[:-1])
    carried = held * bars.close[:-1]
    owed = 0.03 * np.maximum(-carried, 0) + 0.08 * np.maximum(carried - money, 0)
    equity -= owed * np.diff(bars.times) / (365 * DAY)
    turnover = np.abs(ledger.bought) * opens / equity
    np.testing.assert_allclose(result.turnover, turnover, rtol=1e-9, atol=1e-12)


def test_ruin_ends_the_account_in_both():
    # Short; the price doubles over a gap at bar 3, or within bar 3.
    for opens in ([10, 10, 10, 21, 10, 10], [10, 10, 10, 10, 10, 10]):
        closes = [10, 10, 10, 22, 10, 10]
        bars = asset_of(opens, closes)
        targets = np.array([-1.0, -1.0, -1.0, 1.0, -1.0])
        result = run_backtest("it", bars, targets, DEFAULT, 1_000.0)
        ledger = ledger_of(bars, targets, DEFAULT, 1_000.0)
        np.testing.assert_allclose(result.equity, ledger.equity, rtol=1e-12)
        assert result.equity[3] / result.equity[2] == pytest.approx(1e-6)
        assert (result.equity[3:] == result.equity[3]).all()


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_real_prices(symbol):
    frame = SampleSource(symbols=(symbol,)).load(np.random.default_rng(0)).bars[symbol]
    times = frame.index.asi8
    bars = asset_of(frame["open"], frame["close"], times, symbol=symbol)
    for grid in GRIDS:
        assert_same(bars, random_targets(len(bars.close) - 1, grid, 1, stay=0.95), DEFAULT, 1e-11)


@pytest.mark.parametrize(
    "fault",
    ["decide_late", "fill_at_close", "no_carry", "no_rebalance", "cost_before_target"],
)
def test_planted_fault_is_seen(fault, monkeypatch):
    """The comparison must see each of the classic mistakes of a backtest."""
    bars, targets = random_asset(120, 4), random_targets(119, GRIDS[3], 4)
    wrong_bars, wrong_targets, wrong_costs = bars, targets, DEAR
    if fault == "decide_late":
        wrong_targets = np.concatenate([targets[1:], targets[-1:]])
    elif fault == "fill_at_close":
        wrong_bars = asset_of(np.concatenate([bars.open[:1], bars.close[:-1]]), bars.close)
    elif fault == "no_carry":
        wrong_costs = CostConfig(10.0, 20.0, 30.0, 0.0, 0.0)
    elif fault == "no_rebalance":
        wrong_bars = asset_of(bars.open * 1.001, bars.close, bars.times)
    else:
        wrong_costs = CostConfig(10.001, 20.0, 30.0, 300.0, 800.0)
    wrong = run_backtest("it", wrong_bars, wrong_targets, wrong_costs, 100_000.0)
    right = ledger_of(bars, targets, DEAR)
    assert np.abs(wrong.equity / right.equity - 1.0).max() > 1e-6
