"""Paper trading: a policy and a broker, bar by bar, in the order in which things become known.

At the close of bar t the policy is given the features of that bar and its own previous target,
and orders; the broker is told the open of bar t + 1 and fills, then the close, and marks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.deployment.broker import Broker, Fill
from reinforcestrategycreator_pipeline.deployment.streaming import FeatureStream
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, RunError
from reinforcestrategycreator_pipeline.execution.costs import SECONDS_PER_YEAR
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.policies.base import Policy

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PaperResult:
    """What paper trading of n + 1 bars of one asset did.

    Attributes
    ----------
    symbol : str
        The asset.
    seconds : ndarray of float64, shape (n + 1,)
        Close times, seconds since 1970 UTC.
    equity : ndarray of float64, shape (n + 1,)
        Money at each close, net of all costs.
    exposure : ndarray of float64, shape (n,)
        Target ordered at close t, in force from the open of bar t + 1; 0 after ruin, and where
        the gap before that open ruins the account.
    fills : tuple of Fill
        In order.
    fees_paid : float
        Borrow fees and margin interest, in money.
    ruined : bool
        Whether the account lost everything.
    """

    symbol: str
    seconds: F64
    equity: F64
    exposure: F64
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

    def require_equal(self, equity: F64, tolerance: float = 1e-9) -> float:
        """Return `gap_to`, and refuse one above `tolerance`.

        Raises
        ------
        RunError
            With the first bar at which the curves part.
        """
        gap = self.gap_to(equity)
        if not gap <= tolerance:
            apart = ~(np.abs(self.equity - equity) <= tolerance * np.abs(equity))
            t = int(np.argmax(apart))
            raise RunError(
                f"{self.symbol}: paper trading and backtest part at bar {t}: equity "
                f"{self.equity[t]!r} against {equity[t]!r} (tolerance {tolerance:g} relative)"
            )
        return gap


def paper_trade(
    policy: Policy,
    *,
    symbol: str,
    seconds: F64,
    open_: F64,
    close: F64,
    features: F64,
    broker: Broker,
) -> PaperResult:
    """Trade T bars whose raw features are given, row by row.

    Parameters
    ----------
    policy : Policy
        Who decides.
    symbol : str
        The asset.
    seconds : ndarray, shape (T,)
        Close times, seconds since 1970 UTC, increasing.
    open_, close : ndarray, shape (T,)
        Adjusted prices.
    features : ndarray, shape (T, F)
        Unscaled; row t is read at the close of bar t, the last row never.
    broker : Broker
        Whose account; it starts without a position.

    Raises
    ------
    DataError
        If the shapes do not fit together, or a price breaks its rule.
    NonFiniteError
        If a feature or an action value is not finite.
    """
    if features.shape != (len(close), len(policy.inputs.names)):
        raise DataError(
            f"{symbol}: {len(close)} bars and {len(policy.inputs.names)} features need a matrix "
            f"of as many rows and columns. Got the shape {features.shape} instead."
        )
    past = {"open": open_, "close": close}

    def bars_at(t: int) -> dict[str, F64]:
        return {name: x[: t + 1] for name, x in past.items()}

    return _replay(policy, symbol, seconds, open_, close, features.__getitem__, bars_at, broker)


def paper_trade_from_bars(
    policy: Policy,
    specs: Sequence[FeatureSpec],
    frame: pd.DataFrame,
    start: int,
    broker: Broker,
    *,
    symbol: str = "",
) -> PaperResult:
    """Trade bars whose features are computed as the bars arrive; see `FeatureStream`.

    Parameters
    ----------
    policy : Policy
        Who decides.
    specs : sequence of FeatureSpec
        How its features are computed: ``parse_specs(policy.feature_specs)``.
    frame : DataFrame
        One symbol's bars by close time (UTC), history before the first decision included.
    start : int
        Row of the first decision. Rows before it are warm-up.
    broker : Broker
        Whose account; it starts without a position.
    symbol : str
        For messages and the result.

    Raises
    ------
    ConfigError
        If the specifications give other features than the policy's.
    DataError
        If there are too few bars before `start`, or a bar breaks a rule.
    """
    if not 0 <= start < len(frame) - 1:
        raise DataError(
            f"{symbol}: the first decision must be at a row from 0 to {len(frame) - 2}. "
            f"Got {start} instead."
        )
    columns = [str(name) for name in frame.columns]
    values = frame.to_numpy(dtype=np.float64)
    stamps = pd.DatetimeIndex(frame.index)
    stream = FeatureStream(specs, columns, symbol)

    def push(t: int) -> None:
        stream.push(dict(zip(columns, values[t].tolist(), strict=True)), stamps[t])

    def row_at_close(t: int) -> F64:
        push(start + t)
        newest = stream.row()
        if newest is None:
            raise DataError(
                f"{symbol}: the features need {policy.inputs.lookback} bars before the first "
                f"decision. "
                f"Got {start} instead."
            )
        names, row = newest
        if names != policy.inputs.names:
            raise ConfigError(
                f"{symbol}: the policy's features are {', '.join(policy.inputs.names)}. "
                f"Got {', '.join(names)} instead."
            )
        return row

    for t in range(start):
        push(t)
    return _replay(
        policy,
        symbol,
        stamps.as_unit("ns").asi8[start:] / 1e9,
        frame["open"].to_numpy(dtype=np.float64)[start:],
        frame["close"].to_numpy(dtype=np.float64)[start:],
        row_at_close,
        lambda t: {name: x[: start + t + 1] for name, x in zip(columns, values.T, strict=True)},
        broker,
    )


def _replay(
    policy: Policy,
    symbol: str,
    seconds: F64,
    open_: F64,
    close: F64,
    row_at_close: Callable[[int], F64],
    bars_at: Callable[[int], Mapping[str, F64]],
    broker: Broker,
) -> PaperResult:
    bars = len(close)
    if bars < 2 or not len(seconds) == len(open_) == bars:
        raise DataError(
            f"{symbol}: paper trading needs at least 2 bars, each with a time, an open and a "
            f"close. Got {len(seconds)}, {len(open_)} and {bars} of them."
        )
    years = np.diff(seconds) / SECONDS_PER_YEAR
    equity, exposure = np.empty(bars), np.zeros(bars - 1)
    equity[0] = broker.equity
    held = policy.flat
    for t in range(bars - 1):
        if not broker.ruined:
            held = policy.decide(row_at_close(t), held, bars_at(t))
            exposure[t] = policy.positions[held]
            broker.submit_target(float(exposure[t]))
        time = float(seconds[t + 1])
        fill = broker.on_open(float(open_[t + 1]), time=time, years=float(years[t]))
        if broker.ruined and fill is None:  # by the gap: the order was never executed
            exposure[t] = 0.0
        equity[t + 1] = broker.on_close(float(close[t + 1]))
    return PaperResult(
        symbol=symbol,
        seconds=np.array(seconds, dtype=np.float64),
        equity=equity,
        exposure=exposure,
        fills=tuple(broker.fills),
        fees_paid=broker.fees_paid,
        ruined=broker.ruined,
    )
