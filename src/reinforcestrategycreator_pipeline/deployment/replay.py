"""Paper trading of recorded bars, and its comparison with the backtest, bar by bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Bools
from reinforcestrategycreator_pipeline.deployment.brokers.base import Fill
from reinforcestrategycreator_pipeline.deployment.paper import PaperBar, PaperTrader
from reinforcestrategycreator_pipeline.deployment.streaming import recorded
from reinforcestrategycreator_pipeline.errors import DataError, RunError
from reinforcestrategycreator_pipeline.features.tolerance import SETTLED_SHARE, deviation
from reinforcestrategycreator_pipeline.policies.base import Confidence

TOLERANCE = 1e-9
"""Relative difference above which equity differs: rounding stays far below it."""
FEATURE_TOLERANCE = 10 * SETTLED_SHARE
"""Difference above which a feature differs, as a fraction of its typical deviation. The table is
computed from all bars, the stream from the lookback, which was found at a few rows."""
_ROUNDING = 1e-6  # a deviation below this fraction of the value may be rounding


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
    confidence : Confidence or None
        Advantage and spread of each decision, in bps, each of shape (n,), NaN after ruin; None if
        the policy does not say.
    """

    symbol: str
    times: pd.DatetimeIndex
    equity: F64
    exposure: F64
    features: F64
    fills: tuple[Fill, ...]
    fees_paid: float
    ruined: bool
    confidence: Confidence | None = None

    def require_equal(
        self, equity: F64, exposure: F64, features: pd.DataFrame
    ) -> tuple[float, float]:
        """Compare with a backtest of the same bars: equity, decisions and features.

        Parameters
        ----------
        equity : ndarray of float64, shape (n + 1,)
            Equity of the backtest, in money.
        exposure : ndarray of float64, shape (n,)
            Targets of the backtest.
        features : DataFrame with F columns and n rows or more
            Features that it decided from.

        Returns
        -------
        (float, float)
            Largest relative difference in equity, and in a feature as a fraction of its typical
            deviation over these bars.

        Raises
        ------
        RunError
            If a difference exceeds `TOLERANCE` or `FEATURE_TOLERANCE`, or if a decision differs.
            The message names the first bar, and what differs there: equity, else a feature, else
            the decision.
        """
        n = len(self.exposure)
        table = features.to_numpy(dtype=np.float64)[:n]
        shapes = (equity.shape, exposure.shape, table.shape)
        if shapes != (self.equity.shape, self.exposure.shape, self.features.shape):
            raise RunError(
                f"{self.symbol}: paper trading has {n + 1} closes and {self.features.shape[1]} "
                f"features, the backtest has equity, exposure and features of shapes {shapes}"
            )
        received: Bools = np.asarray(np.isfinite(self.features).any(axis=1))
        size = deviation(table) + _ROUNDING * np.abs(table)
        gaps = np.where(received[:, None], _ratio(np.abs(self.features - table), size), 0.0)
        losses = _ratio(np.abs(self.equity - equity), np.abs(equity))
        # In order of time: the account at a close is known before its features and decision.
        apart = np.zeros((n + 1, 3), bool)
        apart[:, 0] = ~(losses <= TOLERANCE)
        apart[:n, 1] = ~(gaps <= FEATURE_TOLERANCE).all(axis=1)
        apart[:n, 2] = self.exposure != exposure
        if apart.any():
            t, kind = (int(i) for i in np.argwhere(apart)[0])
            raise RunError(
                f"{self.symbol}: paper trading and backtest differ from bar {t} ({self.times[t]}) "
                f"on: {self._difference(t, kind, equity, exposure, features, gaps)}"
            )
        return float(losses.max()), float(gaps.max(initial=0.0))

    def summary(self) -> dict[str, Any]:
        """Return the asset's entry in ``paper_trading.json``.

        If the policy says how sure it was, the entry lists each change of the target with that.
        """
        summary = {
            "final_equity": float(self.equity[-1]),
            "fills": len(self.fills),
            "fees_paid": self.fees_paid,
            "ruined": self.ruined,
        }
        return summary if self.confidence is None else {**summary, "moves": self._moves()}

    def _moves(self) -> list[dict[str, Any]]:
        """Return the time of each decision to change the target, the new one, and how sure it was.

        What a ruined account does is no decision.
        """
        assert self.confidence is not None
        moved = np.diff(self.exposure, prepend=0.0) != 0.0
        return [
            {
                "decided": self.times[t].isoformat(),
                "target": float(self.exposure[t]),
                **{name: float(values[t]) for name, values in self.confidence._asdict().items()},
            }
            for t in np.flatnonzero(moved & np.isfinite(self.confidence.advantage_bps)).tolist()
        ]

    def _difference(
        self,
        t: int,
        kind: int,
        equity: F64,
        exposure: F64,
        features: pd.DataFrame,
        gaps: F64,
    ) -> str:
        if kind == 0:
            ours, theirs = float(self.equity[t]), float(equity[t])
            return (
                f"equity is {ours!r} on paper, {theirs!r} in the backtest (relative tolerance "
                f"{TOLERANCE:g})"
            )
        if kind == 1:
            f = int(np.argmax(~(gaps[t] <= FEATURE_TOLERANCE)))
            ours, theirs = float(self.features[t, f]), float(features.to_numpy(np.float64)[t, f])
            return (
                f"the feature {str(features.columns[f])!r} is {ours!r} bar by bar, {theirs!r} in "
                "the table. Does it use later bars, or bars before its declared lookback?"
            )
        ours, theirs = float(self.exposure[t]), float(exposure[t])
        text = f"the target is {ours!r} on paper, {theirs!r} in the backtest"
        if gaps[t].any():
            f = int(np.argmax(gaps[t]))
            text += (
                f"; the feature {str(features.columns[f])!r} differs by {gaps[t, f]:.1g} of its "
                "deviation, and the decision was that close: give it a longer lookback"
            )
        return text


def paper_trade(
    trader: PaperTrader,
    frame: pd.DataFrame,
    start: int,
    progress: Callable[[int, int], None] | None = None,
) -> PaperResult:
    """Trade recorded bars one at a time; gaps and jumps in them are taken as real.

    Parameters
    ----------
    trader : PaperTrader
        Trader that has seen no bar yet.
    frame : DataFrame
        Bars of its symbol by close time (UTC), including history before the first decision.
    start : int
        Row of the first decision; rows before it are warm-up.
    progress : callable, optional
        Called with the number of bars done and that of all bars, after each.

    Raises
    ------
    DataError
        If there are too few bars before `start`, or if a bar breaks a rule.
    RscError
        As `PaperTrader.push`.
    """
    n = len(frame) - 1 - start
    if start < 0 or n < 1:
        raise DataError(
            f"{trader.symbol}: the first decision must be at a row from 0 to {len(frame) - 2}. "
            f"Got {start} instead."
        )
    trader.warm_up(frame.iloc[:start])
    done: list[PaperBar] = []
    for bar in recorded(frame.iloc[start:], trader.symbol, trader.stream.rules.columns):
        done.append(trader.push(bar, confirmed=True, now=bar.time))
        if progress is not None:
            progress(len(done), n + 1)
    account = trader.account
    return PaperResult(
        symbol=trader.symbol,
        times=pd.DatetimeIndex(frame.index[start:]),
        equity=np.array([bar.equity for bar in done]),
        exposure=np.array([bar.exposure for bar in done[1:]]),
        features=np.array([bar.features for bar in done[:-1]]),
        fills=tuple(fill for bar in done for fill in bar.fills),
        fees_paid=account.fees,
        ruined=account.blocked,
        confidence=_joined([bar.confidence for bar in done[:-1]]),
    )


def _joined(said: Sequence[Confidence | None]) -> Confidence | None:
    """Return the confidence in all decisions, NaN where there was none; None if never any."""
    if not any(said):
        return None
    pairs = np.array([one or (np.nan, np.nan) for one in said], dtype=np.float64)
    return Confidence(*pairs.T)


def _ratio(difference: F64, size: F64) -> F64:
    """Return difference / size, 0 where both are 0; NaN stays NaN."""
    ratio: F64 = np.divide(difference, size, out=difference.copy(), where=size > 0.0)
    return ratio
