"""Momentum: relative strength index, and moving average convergence/divergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.checks import Strict, require
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES,
    RELATIVE_ZERO,
    Bars,
    FloatArray,
    Tail,
)
from reinforcestrategycreator_pipeline.features.windows import (
    ema_decay,
    exponential_mean,
    exponential_window,
    late,
    stack,
    wilder_decay,
)
from reinforcestrategycreator_pipeline.limits import LongPeriod, Period


@FEATURES.register("rsi")
@dataclass(frozen=True)
class Rsi(Strict):
    """Relative strength index, 0 to 100: 100 * gains / (gains + losses) (Wilder 1978).

    Gains and losses of the close are smoothed by Wilder's mean. No movement gives 50.

    Parameters
    ----------
    period : int
        Period of Wilder's smoothing, in bars, >= 1.
    tail : float
        Fraction of the smoothing's weight that is cut off; a smaller one is closer to the infinite
        mean and needs more bars.
    """

    period: Period = 14
    tail: Tail = 1e-6

    @property
    def lookback(self) -> int:
        return exponential_window(wilder_decay(self.period), self.tail)

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"rsi_{self.period}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1), from 0 to 100."""
        close = bars["close"]
        moves = np.diff(close)
        ways = np.maximum(np.stack([moves, -moves]), 0.0)
        gains, losses = late(exponential_mean(ways, wilder_decay(self.period), self.tail))
        both = gains + losses
        share = np.where(np.isnan(both), np.nan, 0.5)
        np.divide(gains, both, out=share, where=both > RELATIVE_ZERO * close)
        return 100.0 * share[:, None]


@FEATURES.register("macd")
@dataclass(frozen=True)
class Macd(Strict):
    """Moving average convergence/divergence (Appel): line and histogram, as fractions of the close.

    The line is EMA(fast) - EMA(slow), the histogram is the line minus EMA(signal) of the line. A
    flat price gives 0.

    Parameters
    ----------
    fast, slow, signal : int
        Periods in bars, fast < slow, signal >= 2.
    tail : float
        Fraction of each mean's weight that is cut off.
    """

    fast: Period = 12
    slow: Period = 26
    signal: LongPeriod = 9  # with 1, the histogram would always be 0
    tail: Tail = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.slow > self.fast, "Macd", "slow", f"above fast, {self.fast}", self.slow)

    @property
    def _line_lookback(self) -> int:
        return exponential_window(ema_decay(self.slow), self.tail) - 1

    @property
    def lookback(self) -> int:
        return self._line_lookback + exponential_window(ema_decay(self.signal), self.tail) - 1

    @property
    def columns(self) -> tuple[str, ...]:
        periods = f"{self.fast}_{self.slow}_{self.signal}"
        return (f"macd_{periods}", f"macd_histogram_{periods}")

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 2), as fractions of the close."""
        close = bars["close"]
        line = exponential_mean(close, ema_decay(self.fast), self.tail) - exponential_mean(
            close, ema_decay(self.slow), self.tail
        )
        start = min(self._line_lookback, len(close))
        signal = exponential_mean(line[start:], ema_decay(self.signal), self.tail)
        return stack([line, line - late(signal, start)]) / close[:, None]
