"""Backtests by foreign packages: their cases, how each package runs one, and frozen figures.

The packages are the extra `oracles`. Without them the tests compare with `frozen/*.json`, which
`frozen/freeze.py` wrote.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ledger import keep_ledger

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.market.sources.sample import SampleSource
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    FREE,
    asset_of,
    random_asset,
    random_targets,
)

FROZEN = Path(__file__).parent / "frozen"
TRADING = CostConfig(2.0, 4.0, 3.0, 0.0, 0.0)  # vectorbt has no borrow fee and no interest
COMMISSION = CostConfig(10.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Case:
    """A backtest: `targets[t]` is decided at the close of bar t, filled at the next open."""

    name: str
    bars: AssetBars
    targets: np.ndarray
    costs: CostConfig
    cash: float
    by_shares: bool = False

    def equity(self, bars: AssetBars | None = None, costs: CostConfig | None = None) -> np.ndarray:
        """Return our equity, perhaps with planted faults."""
        bars, costs = bars or self.bars, costs or self.costs
        return run_backtest("it", bars, self.targets, costs, self.cash).equity

    def frozen_bars(self) -> list[int]:
        """Return the bars whose equity is frozen: every fiftieth, and the last.

        Equity carries every earlier fill, so a difference at any bar stays visible.
        """
        last = len(self.bars.close) - 1
        return [*range(0, last, 50), last]

    def inputs(self) -> list[float]:
        """Return sums that show whether the figures are of these inputs."""
        return [float(np.sum(x)) for x in (self.bars.open, self.bars.close, self.targets)]


@dataclass(frozen=True)
class Theirs:
    """A foreign package's equity at some bars."""

    at: Any
    equity: np.ndarray

    def worst(self, ours: np.ndarray) -> float:
        """Return the largest relative difference."""
        return float(np.abs(ours[self.at] / self.equity - 1.0).max())


def frozen(package: str, case: Case) -> Theirs:
    """Return what `freeze.py` wrote down."""
    found = _figures(package)["cases"][case.name]
    same = "the frozen figures are of other inputs: run tests/oracles/frozen/freeze.py"
    np.testing.assert_allclose(case.inputs(), found["inputs"], 1e-12, 1e-9, err_msg=same)
    return Theirs(case.frozen_bars(), np.array(found["equity"]))


@functools.cache
def _figures(package: str) -> dict[str, Any]:
    return json.loads((FROZEN / f"{package}.json").read_text("utf-8"))


def oracle(package: str, source: str) -> Callable[[Case], Theirs]:
    """Return what runs a case: the frozen figures, or the package; skip if it is not installed."""
    if source == "frozen":
        return lambda case: frozen(package, case)
    pytest.importorskip(package)
    return lambda case: Theirs(slice(None), RUNS[package](case))


# ---- vectorbt: its ledger, its fees, its slippage

BARS = ("AAPL", "IBM", "random walk")
LONG_OR_FLAT = {f"long or flat, stay {stay}": stay for stay in (0.0, 0.9)}
HOLD = "buy and hold"
WITHOUT_COSTS = {
    f"without costs {grid}": grid
    for grid in [(-1.0, 0.0, 1.0), (0.0, 0.5, 1.0), (-0.7, -0.2, 0.0, 0.9)]
}
BY_SHARES = {
    f"by shares {grid}, {name}": (grid, costs)
    for grid in [(-1.0, 0.0, 1.0), (0.0, 0.5, 1.0), (-0.5, 0.0, 0.3, 1.5, 2.0)]
    for name, costs in (("free", FREE), ("costs", TRADING))
}
KINDS = (*LONG_OR_FLAT, HOLD, *WITHOUT_COSTS, *BY_SHARES)


@functools.cache
def bars_of(name: str) -> AssetBars:
    """Return the bars called so."""
    if name == "random walk":
        return random_asset(1500, 5)
    frame = SampleSource(symbols=(name,)).load(np.random.default_rng(0)).bars[name]
    return asset_of(frame["open"], frame["close"], frame.index.asi8, symbol=name)


def vectorbt_case(bars: str, kind: str) -> Case:
    """Return one of `BARS` x `KINDS`."""
    asset = bars_of(bars)
    n = len(asset.close) - 1
    costs, by_shares = TRADING, False
    if kind in LONG_OR_FLAT:
        targets = random_targets(n, (0.0, 1.0), 2, LONG_OR_FLAT[kind])
    elif kind == HOLD:
        targets = np.ones(n)
    elif kind in WITHOUT_COSTS:
        targets, costs = random_targets(n, WITHOUT_COSTS[kind], 3), FREE
    else:
        grid, costs = BY_SHARES[kind]
        targets, by_shares = random_targets(n, grid, 4, stay=0.95), True
    return Case(f"{bars}: {kind}", asset, targets, costs, 100_000.0, by_shares)


def vectorbt_equity(case: Case) -> np.ndarray:
    """Fill what was decided at each close at the next open; value at the closes.

    By shares: their number is from the plain ledger's equation; vectorbt does the cash, the fills
    and the fees. It has no negative cash, so a leveraged account gets an idle loan without
    interest, which is taken off its value again.
    """
    import vectorbt

    bars, size, loan = case.bars, case.targets, 0.0
    if case.by_shares:
        seconds = bars.times / 1e9
        ledger = keep_ledger(bars.open, bars.close, seconds, case.targets, case.costs, case.cash)
        size, loan = np.array(ledger.shares), 10.0 * max(ledger.equity)
    portfolio = vectorbt.Portfolio.from_orders(
        bars.close,
        size=np.concatenate([[np.nan], size]),
        size_type="targetamount" if case.by_shares else "targetpercent",
        price=bars.open,
        val_price=bars.open,
        fees=case.costs.commission_bps / 10_000,
        slippage=(case.costs.spread_bps / 2 + case.costs.slippage_bps) / 10_000,
        init_cash=case.cash + loan,
    )
    return portfolio.value().to_numpy() - loan


# ---- backtesting.py: whole shares, but so much cash that a share does not matter

LONG, HALVES = "long or flat with commission", "shorts and halves without costs"
SEEDS = {LONG: (0, 1, 2), HALVES: (0, 1)}


def backtesting_case(kind: str, seed: int) -> Case:
    """Return one of `SEEDS`."""
    if kind == LONG:
        targets, costs = random_targets(399, (0.0, 1.0), seed, stay=0.8), COMMISSION
    else:
        targets, costs = random_targets(399, (-1.0, -0.5, 0.0, 0.5, 1.0), seed), FREE
    targets[0] = 0.0  # it skips the signal of bar 0
    return Case(f"{kind}, seed {seed}", random_asset(400, seed), targets, costs, 1e12)


def backtesting_equity(case: Case) -> np.ndarray:
    """Follow the targets with its relative orders.

    They rebalance only when closed and opened again, which is exact where nothing costs anything.
    """
    import backtesting

    targets, reopen = case.targets, case.costs == FREE

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

    prices = np.stack([case.bars.open, case.bars.close])
    frame = pd.DataFrame(
        {
            "Open": case.bars.open,
            "High": prices.max(axis=0),
            "Low": prices.min(axis=0),
            "Close": case.bars.close,
        },
        index=pd.to_datetime(case.bars.times),
    )
    commission = case.costs.commission_bps / 10_000
    test = backtesting.Backtest(frame, Follow, cash=case.cash, commission=commission)
    return test.run()["_equity_curve"]["Equity"].to_numpy()


RUNS = {"vectorbt": vectorbt_equity, "backtesting": backtesting_equity}
CASES: dict[str, Callable[[], list[Case]]] = {
    "vectorbt": lambda: [vectorbt_case(bars, kind) for bars in BARS for kind in KINDS],
    "backtesting": lambda: [backtesting_case(k, s) for k, seeds in SEEDS.items() for s in seeds],
}
