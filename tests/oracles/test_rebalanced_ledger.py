"""Rebalanced portfolios against plain accounts of cash and shares, one bar after the other."""

import numpy as np
import pytest
from ledger import keep_books

from reinforcestrategycreator_pipeline.backtesting.rebalancing import trade_together
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.execution.schedule import rebalancing_bars
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DAY,
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
    random_targets,
)

MONEY = 100_000.0


def portfolio(bars, targets, costs, rule):
    stamps = rebalancing_bars({b.symbol: b.times for b in bars}, rule)
    return trade_together("it", bars, targets, costs, MONEY, stamps), stamps


def books(bars, targets, costs, stamps):
    times = bars[0].times
    equal_at = set(np.searchsorted(times, stamps).tolist())
    opens, closes = [b.open for b in bars], [b.close for b in bars]
    return keep_books(opens, closes, times / 1e9, targets, costs, MONEY, equal_at)


def market(n, symbols, grid, seed, volatility=0.02):
    bars = [random_asset(n, 100 * seed + i, s, volatility) for i, s in enumerate(symbols)]
    return bars, [random_targets(n - 1, grid, 100 * seed + i) for i in range(len(symbols))]


@pytest.mark.parametrize("rule", [1, 7, "weekly", "monthly"])
@pytest.mark.parametrize("costs", [FREE, CostConfig(), DEAR], ids=["free", "default", "dear"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_random_targets_on_random_walks(grid, costs, rule):
    bars, targets = market(200, "ABC", grid, seed=GRIDS.index(grid))
    result, stamps = portfolio(bars, targets, costs, rule)
    ledgers = books(bars, targets, costs, stamps)
    assert len(stamps) >= 8
    equity = np.sum([x.equity for x in ledgers], axis=0)
    np.testing.assert_allclose(result.equity, equity, rtol=1e-11)
    paid = np.sum([x.paid for x in ledgers], axis=0)
    np.testing.assert_allclose(result.costs, paid, rtol=1e-9, atol=1e-12 * max(equity))
    assert result.trades["pnl"].sum() == pytest.approx(equity[-1] - equity[0], rel=1e-9)
    assert result.trades["costs"].sum() == pytest.approx(paid.sum(), rel=1e-9, abs=1e-6)


def test_ruined_accounts_keep_nothing_and_get_nothing():
    """Short at four times the equity: gaps and sessions ruin accounts, before and at the bars."""
    ruined = 0
    for seed in range(5):
        bars, targets = market(80, "ABCD", (-4.0, 0.0, 3.0), seed, volatility=0.12)
        for rule in (1, 5):
            result, stamps = portfolio(bars, targets, DEAR, rule)
            ledgers = books(bars, targets, DEAR, stamps)
            equity = np.sum([x.equity for x in ledgers], axis=0)
            np.testing.assert_allclose(result.equity, equity, rtol=1e-9)
            ruined += sum(x.equity[-1] < 1e-3 * MONEY and x.shares[-1] == 0 for x in ledgers)
    assert ruined > 8


def test_rebalanced_at_every_bar_without_costs_the_return_is_the_mean_return():
    bars, targets = market(300, "ABCDE", (-1.0, 0.0, 0.5, 1.0), seed=3)
    bars = [
        asset_of(np.append(b.close[:1], b.close[:-1]), b.close, b.times, symbol=b.symbol)
        for b in bars
    ]
    result, _ = portfolio(bars, targets, FREE, 1)
    returns = np.array([b.close[1:] / b.close[:-1] - 1.0 for b in bars])
    expected = 5 * MONEY * np.cumprod(1.0 + (np.array(targets) * returns).mean(axis=0))
    np.testing.assert_allclose(result.equity[1:], expected, rtol=1e-11)


@pytest.mark.parametrize("fault", ["a bar late", "never", "a cost of 1% less"])
def test_planted_fault_is_seen(fault):
    bars, targets = market(120, "ABC", GRIDS[1], seed=4)
    right, stamps = portfolio(bars, targets, DEAR, 10)
    if fault == "a bar late":
        wrong = books(bars, targets, DEAR, stamps[:-1] + DAY)
    elif fault == "never":
        wrong = books(bars, targets, DEAR, stamps[:0])
    else:
        wrong = books(bars, targets, CostConfig(9.9, 20.0, 30.0, 300.0, 800.0), stamps)
    equity = np.sum([x.equity for x in wrong], axis=0)
    assert np.abs(right.equity / equity - 1.0).max() > 1e-6
