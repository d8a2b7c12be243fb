"""Equity against backtesting.py: whole shares, but so much cash that a share does not matter.

It skips the signal of bar 0, and its relative orders rebalance only when closed and opened anew,
which is exact where nothing costs anything.
"""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    FREE,
    random_asset,
    random_targets,
)

pytestmark = pytest.mark.filterwarnings(
    # Its note that positions open at the end are not in its list of trades; the equity has them.
    "ignore:Some trades remain open at the end of backtest:UserWarning",
    # Its statistics, with pandas 3.1.
    "ignore:DatetimeIndex.dayofweek is deprecated:DeprecationWarning",
)

CASH = 1e12


@pytest.fixture(scope="module")
def backtesting():
    import backtesting

    return backtesting


def their_equity(backtesting, bars, targets, commission, *, reopen):
    class Follow(backtesting.Strategy):
        def init(self):
            pass

        def next(self):
            t = len(self.data) - 1
            if t >= len(targets):
                return
            target, held = targets[t], self.position.size
            if reopen or target == 0.0:
                self.position.close()
            if target and (reopen or not held):
                full = 1 - np.finfo(float).eps
                size = min(abs(target), full)
                (self.buy if target > 0 else self.sell)(size=size)

    prices = np.stack([bars.open, bars.close])
    frame = pd.DataFrame(
        {
            "Open": bars.open,
            "High": prices.max(axis=0),
            "Low": prices.min(axis=0),
            "Close": bars.close,
        },
        index=pd.to_datetime(bars.times),
    )
    test = backtesting.Backtest(frame, Follow, cash=CASH, commission=commission)
    return test.run()["_equity_curve"]["Equity"].to_numpy()


def our_equity(bars, targets, costs):
    return run_backtest("it", bars, targets, costs, CASH).equity


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_long_or_flat_with_commission(backtesting, seed):
    bars, costs = random_asset(400, seed), CostConfig(10.0, 0.0, 0.0, 0.0, 0.0)
    targets = random_targets(399, (0.0, 1.0), seed, stay=0.8)
    targets[0] = 0.0
    theirs = their_equity(backtesting, bars, targets, 10e-4, reopen=False)
    np.testing.assert_allclose(our_equity(bars, targets, costs), theirs, rtol=1e-7)


@pytest.mark.parametrize("seed", [0, 1])
def test_shorts_and_halves_without_costs(backtesting, seed):
    bars = random_asset(400, seed)
    targets = random_targets(399, (-1.0, -0.5, 0.0, 0.5, 1.0), seed)
    targets[0] = 0.0
    theirs = their_equity(backtesting, bars, targets, 0.0, reopen=True)
    np.testing.assert_allclose(our_equity(bars, targets, FREE), theirs, rtol=1e-7)


def test_a_tenth_of_a_basis_point_is_seen(backtesting):
    bars, targets = random_asset(400, 0), random_targets(399, (0.0, 1.0), 0, stay=0.8)
    targets[0] = 0.0
    theirs = their_equity(backtesting, bars, targets, 10e-4, reopen=False)
    ours = our_equity(bars, targets, CostConfig(10.1, 0.0, 0.0, 0.0, 0.0))
    assert np.abs(ours / theirs - 1).max() > 1e-6
