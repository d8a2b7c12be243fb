"""The position of the price relative to its moving averages and bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES,
    RELATIVE_ZERO,
    Bars,
    FloatArray,
    Periods,
    Tail,
)
from reinforcestrategycreator_pipeline.features.windows import (
    ema_decay,
    exponential_mean,
    exponential_window,
    moving_mean_and_deviation,
    moving_means,
    stack,
)
from reinforcestrategycreator_pipeline.limits import LongPeriod


@FEATURES.register("moving_average_distance")
@dataclass(frozen=True)
class MovingAverageDistance(Strict):
    """Log distance of the close from its moving average: ln(close / average).

    A flat price gives 0.

    Parameters
    ----------
    periods : tuple of int
        Periods of the averages, in bars, >= 1.
    average : {"sma", "ema"}
        Kind of average: simple, or exponential with alpha = 2 / (period + 1).
    tail : float
        Fraction of an exponential mean's weight that is cut off; unused for a simple mean.
    """

    periods: Periods = (20, 50, 200)
    average: Literal["sma", "ema"] = "sma"
    tail: Tail = 1e-6

    @property
    def lookback(self) -> int:
        longest = max(self.periods)
        if self.average == "sma":
            return longest - 1
        return exponential_window(ema_decay(longest), self.tail) - 1

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.average}_distance_{p}" for p in self.periods)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, len(periods)), as fractions."""
        close = bars["close"]
        if self.average == "sma":
            averages = moving_means(close, self.periods)
        else:
            averages = [exponential_mean(close, ema_decay(p), self.tail) for p in self.periods]
        return stack([np.log(close / average) for average in averages])


@FEATURES.register("bollinger")
@dataclass(frozen=True)
class Bollinger(Strict):
    """Position within the Bollinger bands: (close - mean) / (width * deviation).

    The upper band is +1, the lower band -1. The deviation is the population standard deviation
    (ddof 0). A flat price gives 0.

    Parameters
    ----------
    period : int
        Number of bars for mean and deviation, >= 2.
    width : float
        Distance of a band from the mean, in standard deviations, > 0.
    """

    period: LongPeriod = 20
    width: Annotated[float, Ge(1e-6), Le(1e6)] = 2.0

    @property
    def lookback(self) -> int:
        return self.period - 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"bollinger_{self.period}_{self.width:g}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1); 1 is the upper band."""
        close = bars["close"]
        mean, deviation = moving_mean_and_deviation(close, self.period)
        position = np.where(np.isnan(mean), np.nan, 0.0)
        moved = deviation > RELATIVE_ZERO * mean
        np.divide(close - mean, self.width * deviation, out=position, where=moved)
        return position[:, None]
