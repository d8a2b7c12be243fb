"""The size of a bar: average true range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.checks import Strict
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES,
    Bars,
    FloatArray,
    Tail,
)
from reinforcestrategycreator_pipeline.features.windows import (
    exponential_mean,
    exponential_window,
    late,
    wilder_decay,
)
from reinforcestrategycreator_pipeline.limits import Period


@FEATURES.register("atr")
@dataclass(frozen=True)
class Atr(Strict):
    """Average true range as a fraction of the close (Wilder 1978).

    The true range is max(high - low, |high - previous close|, |low - previous close|), smoothed by
    Wilder's mean. A flat price gives 0.

    Parameters
    ----------
    period : int
        Period of Wilder's smoothing, in bars, >= 1.
    tail : float
        Fraction of the smoothing's weight that is cut off.
    """

    period: Period = 14
    tail: Tail = 1e-6

    @property
    def lookback(self) -> int:
        """Number of rows without a value; the first bar has no previous close."""
        return exponential_window(wilder_decay(self.period), self.tail)

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"atr_{self.period}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1), as fractions of the close."""
        high, low, previous = bars["high"][1:], bars["low"][1:], bars["close"][:-1]
        # The range of the bar and the previous close equals the maximum of the three.
        true_range = np.maximum(high, previous) - np.minimum(low, previous)
        smooth = exponential_mean(true_range, wilder_decay(self.period), self.tail)
        return (late(smooth) / bars["close"])[:, None]
