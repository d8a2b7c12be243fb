"""Paper trading: a policy and a broker, bar by bar, each with only the information at the time.

At the close of bar t the policy chooses a target from the features of that bar and its previous
target. At the open of bar t + 1, equity and price are known, and the target becomes an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.deployment.brokers.base import (
    Broker,
    Fill,
    Order,
    OrderError,
    Orders,
)
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.deployment.streaming import FeatureStream
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, RunError
from reinforcestrategycreator_pipeline.execution.account import shares_to_trade
from reinforcestrategycreator_pipeline.policies.base import Policy


@dataclass(frozen=True, eq=False)
class PaperResult:
    """The result of paper trading n + 1 bars of one asset.

    Attributes
    ----------
    symbol : str
        Symbol of the asset.
    times : DatetimeIndex of length n + 1
        Close times, UTC.
    equity : ndarray of float64, shape (n + 1,)
        Equity at each close, in money, net of all costs.
    exposure : ndarray of float64, shape (n,)
        Target chosen at close t, in force from the open of bar t + 1; 0 after ruin, and if the
        gap before that open ruins the account.
    features : ndarray of float64, shape (n, F)
        Features that the policy received, unscaled; NaN after ruin.
    fills : tuple of Fill
        Executions in order of time.
    fees_paid : float
        Borrow fees and margin interest, in money.
    ruined : bool
        Whether the account lost everything.
    """

    symbol: str
    times: pd.DatetimeIndex
    equity: F64
    exposure: F64
    features: F64
    fills: tuple[Fill, ...]
    fees_paid: float
    ruined: bool

    def gap_to(self, equity: F64) -> float:
        """Return the largest relative difference to another equity curve, such as the backtest's.

        Raises
        ------
        RunError
            If the lengths differ.
        """
        if equity.shape != self.equity.shape:
            raise RunError(
                f"{self.symbol}: paper trading has {len(self.equity)} closes, "
                f"the other equity curve has the shape {equity.shape}"
            )
        return float(np.max(np.abs(self.equity - equity) / np.abs(equity)))

    def require_equal(
        self, equity: F64, features: pd.DataFrame | None = None, tolerance: float = 1e-9
    ) -> float:
        """Return `gap_to`, which may not exceed `tolerance`.

        Parameters
        ----------
        equity : ndarray of float64, shape (n + 1,)
            Equity curve to compare with, in money.
        features : DataFrame with F columns and n rows or more, optional
            Features behind that curve, to report the first difference.
        tolerance : float
            Largest allowed relative difference.

        Raises
        ------
        RunError
            If the gap is larger; the message names the first bar at which the curves differ, and
            the first feature that differs before it.
        """
        gap = self.gap_to(equity)
        if not gap <= tolerance:
            apart = ~(np.abs(self.equity - equity) <= tolerance * np.abs(equity))
            t = int(np.argmax(apart))
            raise RunError(
                f"{self.symbol}: paper trading and backtest differ from bar {t} ({self.times[t]}) "
                f"on: equity {float(self.equity[t])!r} on paper, {float(equity[t])!r} in the "
                f"backtest (relative tolerance {tolerance:g}){self._first_difference(features, t)}"
            )
        return gap

    def summary(self) -> dict[str, Any]:
        """Return the asset's entry in ``paper_trading.json``."""
        return {
            "final_equity": float(self.equity[-1]),
            "fills": len(self.fills),
            "fees_paid": self.fees_paid,
            "ruined": self.ruined,
        }

    def _first_difference(self, features: pd.DataFrame | None, end: int) -> str:
        """Describe which feature differs first before bar `end`, and at which bar."""
        if features is None:
            return ""
        ours, theirs = self.features[:end], features.to_numpy(dtype=np.float64)[:end]
        differ = np.abs(ours - theirs) > 1e-9 * np.maximum(np.abs(ours), np.abs(theirs))
        if not differ.any():
            return "; the features before it are equal"
        t, f = (int(i) for i in np.argwhere(differ)[0])
        return (
            f"; the feature {str(features.columns[f])!r} differs from bar {t} ({self.times[t]}) "
            f"on: {float(ours[t, f])!r} bar by bar, {float(theirs[t, f])!r} in the table. Does it "
            "use later bars, or bars before its declared lookback?"
        )


def paper_trade(
    policy: Policy,
    frame: pd.DataFrame,
    start: int,
    market: PaperMarket,
    broker: Broker | None = None,
) -> PaperResult:
    """Trade bars one at a time, computing features as the bars arrive.

    Parameters
    ----------
    policy : Policy
        Policy to trade, with the specifications of its features.
    frame : DataFrame
        Bars of one symbol by close time (UTC), including history before the first decision.
    start : int
        Row of the first decision; rows before it are warm-up.
    market : PaperMarket
        Market that receives the prices as they become known, and whose costs size the orders.
    broker : Broker, optional
        Broker to trade with, without a position; by default, the market's own account.

    Raises
    ------
    ConfigError
        If the policy's specifications yield other features than it was trained on.
    DataError
        If there are too few bars before `start`, or if a bar breaks a rule.
    NonFiniteError
        If a feature or an action value is not finite.
    OrderError
        If the broker rejects an order, or if its updates are inconsistent.
    """
    n = len(frame) - 1 - start
    if start < 0 or n < 1:
        raise DataError(
            f"{market.symbol}: the first decision must be at a row from 0 to {len(frame) - 2}. "
            f"Got {start} instead."
        )
    broker = SimulatedBroker(market) if broker is None else broker
    orders = Orders(broker)
    columns = [str(name) for name in frame.columns]
    values = frame.to_numpy(dtype=np.float64)
    prices = frame[["open", "close"]].to_numpy(dtype=np.float64).tolist()
    by_column = dict(zip(columns, values.T, strict=True))
    stamps = pd.DatetimeIndex(frame.index)
    times = stamps.as_unit("ns").asi8.tolist()
    stream = FeatureStream(policy.inputs.parsed(), columns, market.symbol)
    equity, exposure = np.empty(n + 1), np.zeros(n)
    features = np.full((n, len(policy.inputs.names)), np.nan)
    fills: list[Fill] = []
    held = policy.flat
    for t, (open_, close) in enumerate(prices):
        i = t - start  # index of the decision at this close
        if i > 0:
            market.open(open_, times[t])
            if not broker.account().blocked:
                target = policy.positions[held]
                exposure[i - 1] = target
                fills += _rebalance(orders, broker, market, target, open_, times[t - 1])
        if i >= 0:
            market.close(close, times[t])
            equity[i] = broker.account().equity
        if i == n:
            break
        stream.push(dict(zip(columns, values[t].tolist(), strict=True)), stamps[t])
        if i >= 0 and not broker.account().blocked:
            features[i] = _newest_features(policy, stream, start)
            bars = {name: x[: t + 1] for name, x in by_column.items()}
            held = policy.decide(features[i], held, bars)
    account = broker.account()
    return PaperResult(
        symbol=market.symbol,
        times=stamps[start:],
        equity=equity,
        exposure=exposure,
        features=features,
        fills=tuple(fills),
        fees_paid=account.fees,
        ruined=account.blocked,
    )


def _rebalance(
    orders: Orders, broker: Broker, market: PaperMarket, target: float, price: float, decided: int
) -> list[Fill]:
    """Trade to the target; the time of the decision names the order, so it executes only once."""
    symbol = market.symbol
    shares = broker.positions().get(symbol, 0.0)
    equity = broker.account().equity
    quantity = shares_to_trade(target, equity, shares, price, market.ledger.costs)
    if quantity == 0.0:
        return []
    orders.submit(Order(f"{symbol}-{decided}", symbol, quantity))
    updates = orders.poll()
    for update in updates:
        if update.state == "rejected":
            raise OrderError(f"{symbol}: the broker rejected an order: {update.reason}")
    return [update.fill for update in updates if update.fill is not None]


def _newest_features(policy: Policy, stream: FeatureStream, bars: int) -> F64:
    newest = stream.row()
    if newest is None:
        raise DataError(
            f"{stream.symbol}: the features need {policy.inputs.lookback} bars before the first "
            f"decision. Got {bars} instead."
        )
    names, row = newest
    if names != policy.inputs.names:
        raise ConfigError(
            f"{stream.symbol}: the policy's features are {', '.join(policy.inputs.names)}. "
            f"Got {', '.join(names)} instead."
        )
    return row
