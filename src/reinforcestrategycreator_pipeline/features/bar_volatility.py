"""Volatility from the open, high, low and close of each bar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reinforcestrategycreator_pipeline.checks import Strict
from reinforcestrategycreator_pipeline.features.base import FEATURES, Bars, FloatArray
from reinforcestrategycreator_pipeline.features.windows import moving_mean
from reinforcestrategycreator_pipeline.limits import Period

Estimator = Literal["parkinson", "garman_klass", "rogers_satchell"]


def variance_of_bars(bars: Bars, estimator: Estimator) -> FloatArray:
    """Return an estimate of each bar's variance from its own prices.

    Parameters
    ----------
    bars : mapping of str to ndarray of shape (T,)
        Open, high, low and close.
    estimator : {"parkinson", "garman_klass", "rogers_satchell"}
        With u = ln(high / open), d = ln(low / open) and c = ln(close / open):
        ``(u - d)^2 / (4 ln 2)`` (Parkinson 1980);
        ``(u - d)^2 / 2 - (2 ln 2 - 1) c^2`` (Garman and Klass 1980);
        ``u (u - c) + d (d - c)`` (Rogers and Satchell 1991), which no drift biases.

    Returns
    -------
    ndarray of shape (T,)
        Variances of the log price, >= 0.
    """
    up, down, end = (np.log(bars[name] / bars["open"]) for name in ("high", "low", "close"))
    found: FloatArray
    if estimator == "parkinson":
        found = np.square(up - down) / (4.0 * math.log(2.0))
    elif estimator == "garman_klass":
        found = 0.5 * np.square(up - down) - (2.0 * math.log(2.0) - 1.0) * np.square(end)
    else:
        found = up * (up - end) + down * (down - end)
    found = np.maximum(found, 0.0)  # a high may lie below the close by rounding
    return found


@FEATURES.register("bar_volatility")
@dataclass(frozen=True)
class BarVolatility(Strict):
    """Volatility per bar from the range of each bar, without the gaps between bars.

    Root of the mean over the last bars of an estimate from their open, high, low and close. With as
    many bars, its error is a fraction of that of the closes alone. A flat price gives 0.

    Parameters
    ----------
    period : int
        Number of bars, >= 1.
    estimator : {"parkinson", "garman_klass", "rogers_satchell"}
        Estimator of the variance: Parkinson 1980, Garman and Klass 1980, or Rogers and Satchell
        1991; only the last is free of a bias by drift.
    """

    period: Period = 20
    estimator: Estimator = "garman_klass"

    @property
    def lookback(self) -> int:
        return self.period - 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"{self.estimator}_{self.period}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1), as fractions per bar."""
        variance = variance_of_bars(bars, self.estimator)
        return np.sqrt(moving_mean(variance, self.period))[:, None]
