"""Equity against vectorbt, to 1e-9 relative, on real prices: its ledger, its fees, its slippage.

Importing vectorbt takes seconds and compiling it, once after an install, most of a minute.
"""

import numpy as np
import pytest
from ledger import keep_ledger

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.market.sources.sample import SampleSource
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    FREE,
    asset_of,
    random_asset,
    random_targets,
)

pytestmark = pytest.mark.slow

MONEY = 100_000.0
TRADING = CostConfig(2.0, 4.0, 3.0, 0.0, 0.0)  # vectorbt knows no borrow fee and no interest


@pytest.fixture(scope="module")
def vbt():
    import vectorbt

    return vectorbt


@pytest.fixture(scope="module", params=["AAPL", "IBM", "random walk"])
def bars(request):
    if request.param == "random walk":
        return random_asset(1500, 5)
    data = SampleSource(symbols=(request.param,)).load(np.random.default_rng(0))
    frame = data.bars[request.param]
    return asset_of(frame["open"], frame["close"], frame.index.asi8, symbol=request.param)


def vectorbt_value(vbt, bars, size, size_type, costs, cash=MONEY):
    """Fill `size`, decided at each close, at the next open; value at the closes."""
    portfolio = vbt.Portfolio.from_orders(
        bars.close,
        size=np.concatenate([[np.nan], size]),
        size_type=size_type,
        price=bars.open,
        val_price=bars.open,
        fees=costs.commission_bps / 10_000,
        slippage=(costs.spread_bps / 2 + costs.slippage_bps) / 10_000,
        init_cash=cash,
    )
    return portfolio.value().to_numpy()


def our_equity(bars, targets, costs):
    return run_backtest("it", bars, targets, costs, MONEY).equity


def worst(ours, theirs):
    return np.abs(ours / theirs - 1.0).max()


@pytest.mark.parametrize("stay", [0.0, 0.9])
def test_long_or_flat_with_costs(vbt, bars, stay):
    """A purchase for all the money is limited by the cash, so that costs come out of it."""
    targets = random_targets(len(bars.close) - 1, (0.0, 1.0), 2, stay)
    theirs = vectorbt_value(vbt, bars, targets, "targetpercent", TRADING)
    assert worst(our_equity(bars, targets, TRADING), theirs) < 1e-9


def test_buy_and_hold_with_costs(vbt, bars):
    targets = np.ones(len(bars.close) - 1)
    theirs = vectorbt_value(vbt, bars, targets, "targetpercent", TRADING)
    assert worst(our_equity(bars, targets, TRADING), theirs) < 1e-9


@pytest.mark.parametrize("grid", [(-1.0, 0.0, 1.0), (0.0, 0.5, 1.0), (-0.7, -0.2, 0.0, 0.9)])
def test_any_grid_without_costs(vbt, bars, grid):
    targets = random_targets(len(bars.close) - 1, grid, 3)
    theirs = vectorbt_value(vbt, bars, targets, "targetpercent", FREE)
    assert worst(our_equity(bars, targets, FREE), theirs) < 1e-9


@pytest.mark.parametrize(
    "grid", [(-1.0, 0.0, 1.0), (0.0, 0.5, 1.0), (-0.5, 0.0, 0.3, 1.5, 2.0)], ids=str
)
@pytest.mark.parametrize("costs", [FREE, TRADING], ids=["free", "costs"])
def test_any_grid_with_costs_by_numbers_of_shares(vbt, bars, grid, costs):
    """Shares from the plain ledger's equation; vectorbt does the cash, the fills and the fees.

    vectorbt has no negative cash, so that a leveraged account gets an idle loan without interest,
    which is taken off its value again.
    """
    targets = random_targets(len(bars.close) - 1, grid, 4, stay=0.95)
    shares = keep_ledger(bars.open, bars.close, bars.times / 1e9, targets, costs, MONEY)
    loan = 10.0 * max(shares.equity)
    theirs = vectorbt_value(vbt, bars, np.array(shares.shares), "targetamount", costs, MONEY + loan)
    assert worst(our_equity(bars, targets, costs), theirs - loan) < 1e-9


def test_one_basis_point_of_cost_is_seen(vbt, bars):
    targets = random_targets(len(bars.close) - 1, (0.0, 1.0), 2)
    theirs = vectorbt_value(vbt, bars, targets, "targetpercent", TRADING)
    wrong = CostConfig(2.0, 4.0, 3.01, 0.0, 0.0)
    assert worst(our_equity(bars, targets, wrong), theirs) > 1e-9


def test_fill_at_the_close_is_seen(vbt, bars):
    targets = random_targets(len(bars.close) - 1, (0.0, 1.0), 2)
    at_close = asset_of(np.concatenate([bars.open[:1], bars.close[:-1]]), bars.close)
    theirs = vectorbt_value(vbt, bars, targets, "targetpercent", FREE)
    assert worst(our_equity(at_close, targets, FREE), theirs) > 1e-3
