"""Paper trading of recorded bars, and its comparison with the backtest, bar by bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Bools
from reinforcestrategycreator_pipeline.deployment.brokers.base import Fill
from reinforcestrategycreator_pipeline.deployment.live_bars import LiveBar
from reinforcestrategycreator_pipeline.deployment.paper import (
    Decided,
    PaperBar,
    PaperTrader,
    Stepped,
)
from reinforcestrategycreator_pipeline.deployment.streaming import RecordedBars, recorded
from reinforcestrategycreator_pipeline.errors import DataError, RunError
from reinforcestrategycreator_pipeline.features.tolerance import SETTLED_SHARE, deviation
from reinforcestrategycreator_pipeline.policies.base import Confidence

TOLERANCE = 1e-9
"""Relative difference above which equity differs: rounding stays far below it."""
FEATURE_TOLERANCE = 10 * SETTLED_SHARE
"""Difference above which a feature differs, as a fraction of its typical deviation. The table is
computed from all bars, the stream from the lookback, which was found at a few rows."""
BLOCK = 2_048
"""Bars whose features and decisions are computed at once."""
_REPORTED = 64  # bars between two reports of progress
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
    in_blocks : int
        Number of bars whose features and decisions were computed as tables; the others were pushed
        one by one.
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
    in_blocks: int = 0

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
            "bars_one_by_one": len(self.times) - self.in_blocks,
            "bars_in_blocks": self.in_blocks,
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


class Replay:
    """Recorded bars on their way through a trader, some of them one by one and the rest in blocks.

    In a block, features and decisions are computed as tables: features from no more than its bars
    and the lookback before them, apart from the table that the backtest read. The account goes
    through every bar in either way.

    Parameters
    ----------
    trader : PaperTrader
        Trader that has seen no bar yet.
    frame : DataFrame
        Bars of its symbol by close time (UTC), including history before the first decision. Gaps
        and jumps in them are taken as real.
    start : int
        Row of the first decision; rows before it are warm-up.
    singly : ndarray of bool, shape (len(frame) - start,), optional
        Bars to push one by one, as in live trading; all by default. See `sampling.bars_to_push`.

    Raises
    ------
    DataError
        If there are too few bars before `start`, or if a bar breaks a rule.
    """

    def __init__(
        self, trader: PaperTrader, frame: pd.DataFrame, start: int, singly: Bools | None = None
    ) -> None:
        n = len(frame) - 1 - start
        if start < 0 or n < 1:
            raise DataError(
                f"{trader.symbol}: the first decision must be at a row from 0 to "
                f"{len(frame) - 2}. Got {start} instead."
            )
        trader.warm_up(frame.iloc[:start])
        columns = trader.stream.rules.columns
        self.trader, self.times = trader, pd.DatetimeIndex(frame.index[start:])
        self.singly = np.ones(n + 1, bool) if singly is None else singly.copy()
        self._frame = frame.iloc[start:]
        self._bars = None if self.singly.all() else RecordedBars.of(self._frame, columns)
        self._live: Iterator[LiveBar] = iter(())  # the bars that are pushed next
        self._next = 0
        self._block: Decided | None = None
        self._from = self._until = 0  # rows of the block, or of the stretch
        self._equity, self._exposure = np.empty(n + 1), np.empty(n + 1)
        self._features = np.full((n + 1, len(trader.policy.inputs.names)), np.nan)
        self._sure = np.full((2, n + 1), np.nan)
        self._fills: list[Fill] = []
        self._says = False

    def step(self, deposit: float = 0.0) -> float:
        """Trade the next bar; return the equity at its close.

        Parameters
        ----------
        deposit : float
            Money that comes in at its open; see `PaperTrader.push`.

        Raises
        ------
        RscError
            As `PaperTrader.push`.
        """
        i = self._next
        if i == self._until:
            self._begin()
        if self._block is None:
            done: PaperBar | Stepped
            bar = next(self._live)
            done = self.trader.push(bar, confirmed=True, now=bar.time, deposit=deposit)
            self._features[i] = done.features
            if done.confidence is not None:
                self._sure[:, i], self._says = done.confidence, True
        else:
            j = i - self._from
            done = self.trader.step(self._block, j, deposit)
            if done.held is not None:
                self._features[i] = self._block.features[j]
                if (said := self._block.confidence) is not None:
                    self._sure[:, i], self._says = [x[j, done.held] for x in said], True
        self._equity[i], self._exposure[i] = done.equity, done.exposure
        self._fills += done.fills
        self._next = i + 1
        return done.equity

    def _begin(self) -> None:
        """Begin the next stretch of bars that are pushed, or the next block."""
        i = self._from = self._next
        rest = self.singly[i:]
        changes = np.flatnonzero(rest != rest[0])
        self._until = i + (int(changes[0]) if len(changes) else len(rest))
        self._block = None
        if not rest[0] and self._bars is not None:
            self._until = min(self._until, i + BLOCK)
            self._block = self.trader.begin(self._bars.part(i, self._until))
        if self._block is None:
            self.singly[i : self._until] = True
            columns = self.trader.stream.rules.columns
            if self._bars is None:
                part = self._frame.iloc[i : self._until]
                self._live = recorded(part, self.trader.symbol, columns)
            else:
                self._live = self._bars.part(i, self._until).live(self.trader.symbol, columns)

    def result(self) -> PaperResult:
        """Return the result, once all bars are traded."""
        account = self.trader.account
        said = Confidence(*self._sure[:, :-1]) if self._says else None
        return PaperResult(
            symbol=self.trader.symbol,
            times=self.times,
            equity=self._equity,
            exposure=self._exposure[1:],
            features=self._features[:-1],
            fills=tuple(self._fills),
            fees_paid=account.fees,
            ruined=account.blocked,
            confidence=said,
            in_blocks=int((~self.singly).sum()),
        )


def paper_trade(
    trader: PaperTrader,
    frame: pd.DataFrame,
    start: int,
    progress: Callable[[int, int], None] | None = None,
    singly: Bools | None = None,
) -> PaperResult:
    """Trade recorded bars of one symbol; gaps and jumps in them are taken as real.

    Parameters
    ----------
    trader, frame, start, singly
        As in `Replay`.
    progress : callable, optional
        Called with the number of bars done and that of all bars, every so often and at the end.

    Raises
    ------
    DataError
        If there are too few bars before `start`, or if a bar breaks a rule.
    RscError
        As `PaperTrader.push`.
    """
    replay = Replay(trader, frame, start, singly)
    n = len(replay.times)
    for done in range(1, n + 1):
        replay.step()
        if progress is not None and (done == n or not done % _REPORTED):
            progress(done, n)
    return replay.result()


def _ratio(difference: F64, size: F64) -> F64:
    """Return difference / size, 0 where both are 0; NaN stays NaN."""
    ratio: F64 = np.divide(difference, size, out=difference.copy(), where=size > 0.0)
    return ratio
