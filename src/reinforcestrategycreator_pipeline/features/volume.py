"""How unusual the bar's volume is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Strict
from reinforcestrategycreator_pipeline.features.base import FEATURES, Bars, FloatArray
from reinforcestrategycreator_pipeline.features.windows import moving_mean

_LOG_QUIET = math.log(0.01)
"""Log share of the window's mean volume below which volumes are not told apart."""


def _sum_rows(rows: FloatArray) -> FloatArray:
    """Return the sum over the first axis, halving it each time.

    NumPy's own sum along an axis may order its terms by the array's shape, and so give a window
    other bits when there are fewer windows.
    """
    while len(rows) > 1:
        half = len(rows) // 2
        pairs = rows[:half] + rows[half : 2 * half]
        if len(rows) % 2:
            pairs[0] += rows[-1]
        rows = pairs
    total: FloatArray = rows[0]
    return total


@FEATURES.register("volume_zscore")
@dataclass(frozen=True)
class VolumeZscore(Strict):
    """Log volume against its own last bars: (ln v - mean) / deviation.

    Mean and deviation (ddof 0) are over the window that ends at the bar. Volumes under 1% of the
    window's mean, zero too, count as that 1%. Constant volume, or none at all, gives 0. The level
    of volume does not matter, so a split changes nothing.

    Parameters
    ----------
    period : int
        Bars of the window, >= 2.
    """

    period: Annotated[int, Ge(2)] = 20

    @property
    def lookback(self) -> int:
        return self.period - 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"volume_zscore_{self.period}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1), in standard deviations."""
        volume, n = bars["volume"], self.period
        out = np.full((len(volume), 1), np.nan)
        valid = len(volume) - n + 1
        if valid < 1:
            return out
        level = moving_mean(volume, n)[n - 1 :]
        traded = level > 0.0
        log_level = np.log(level, out=np.zeros(valid), where=traded)
        # ln 0 stands at the bottom of the numbers, so that the floor lifts it.
        bottom = np.full(len(volume), np.finfo(np.float64).min)
        log_volume = np.log(volume, out=bottom, where=volume > 0.0)
        windows = np.lib.stride_tricks.sliding_window_view(log_volume, n).T
        # Row i holds each window's bar i, relative to the window's level.
        logs = np.maximum(windows, log_level + _LOG_QUIET, out=np.empty((n, valid)))
        logs -= log_level
        above = logs - _sum_rows(logs) / n
        deviation = np.sqrt(_sum_rows(np.square(above)) / n)
        zscore = np.zeros(valid)
        # Logarithms of relative volume are of order 1, so this floor is far above their rounding.
        np.divide(above[-1], deviation, out=zscore, where=deviation > 1e-9)
        out[n - 1 :, 0] = zscore
        return out
