"""The z-score of a bar's volume."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.checks import Strict
from reinforcestrategycreator_pipeline.features.base import FEATURES, Bars, FloatArray
from reinforcestrategycreator_pipeline.features.windows import in_chunks, moving_mean, sum_rows
from reinforcestrategycreator_pipeline.limits import LongPeriod

_LOG_QUIET = math.log(0.01)
"""Log fraction of the window's mean volume below which volumes are treated as equal."""


@FEATURES.register("volume_zscore")
@dataclass(frozen=True)
class VolumeZscore(Strict):
    """Z-score of log volume over the last bars: (ln v - mean) / deviation.

    Mean and standard deviation (ddof 0) are over the window that ends at the bar. Volumes below 1%
    of the window's mean, including zero, count as 1%. Constant or zero volume gives 0. The result
    does not depend on the level of volume, so a split changes nothing.

    Parameters
    ----------
    period : int
        Number of bars in the window, >= 2.
    """

    period: LongPeriod = 20

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
        # ln 0 becomes the smallest number, which the floor raises.
        bottom = np.full(len(volume), np.finfo(np.float64).min)
        log_volume = np.log(volume, out=bottom, where=volume > 0.0)
        zscore = np.zeros(valid)
        for part, logs in in_chunks(log_volume, n):
            level_of = log_level[part]
            # Relative to each window's level.
            np.maximum(logs, level_of + _LOG_QUIET, out=logs)
            logs -= level_of
            above = logs - sum_rows(logs) / n
            deviation = np.sqrt(sum_rows(np.square(above)) / n)
            # Logs of relative volume are of order 1, so this threshold is far above their rounding.
            np.divide(above[-1], deviation, out=zscore[part], where=deviation > 1e-9)
        out[n - 1 :, 0] = zscore
        return out
