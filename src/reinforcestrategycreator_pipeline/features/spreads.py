"""The spread between bid and ask, estimated from bars."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict
from reinforcestrategycreator_pipeline.features.base import FEATURES, Bars, FloatArray
from reinforcestrategycreator_pipeline.features.windows import (
    late,
    moving_mean,
    over_windows,
    sum_rows,
)
from reinforcestrategycreator_pipeline.limits import MAX_PERIOD, Period

_CORWIN = 3.0 - 2.0 * math.sqrt(2.0)


@FEATURES.register("corwin_schultz")
@dataclass(frozen=True)
class CorwinSchultz(Strict):
    """Spread between bid and ask from highs and lows, as a fraction of the price.

    The high of a bar is mostly a buy and its low a sell. The range of two bars holds twice the
    variance of one, and the spread only once, which tells them apart (Corwin and Schultz 2012, A
    Simple Way to Estimate Bid-Ask Spreads from Daily High and Low Prices, equations 14 and 18). A
    bar that lies beyond the close before it is moved to it, as they do for nights.
    Estimates of two bars below 0 count as 0; the value is the mean of the last ones. A flat price
    gives 0.

    Parameters
    ----------
    period : int
        Number of pairs of consecutive bars, >= 1.
    """

    period: Period = 20

    @property
    def lookback(self) -> int:
        return self.period

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"corwin_schultz_{self.period}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1), as fractions of the price."""
        close, old_high, old_low = (bars[name][:-1] for name in ("close", "high", "low"))
        gap = np.maximum(bars["low"][1:] - close, 0.0) + np.minimum(bars["high"][1:] - close, 0.0)
        high, low = bars["high"][1:] - gap, bars["low"][1:] - gap
        beta = np.square(np.log(old_high / old_low)) + np.square(np.log(high / low))
        gamma = np.square(np.log(np.maximum(high, old_high) / np.minimum(low, old_low)))
        alpha = (math.sqrt(2.0) - 1.0) * np.sqrt(beta) / _CORWIN - np.sqrt(gamma / _CORWIN)
        spread = 2.0 * np.tanh(0.5 * np.maximum(alpha, 0.0))  # 2 (e^a - 1) / (e^a + 1)
        return late(moving_mean(spread, self.period))[:, None]


@FEATURES.register("roll")
@dataclass(frozen=True)
class Roll(Strict):
    """Spread between bid and ask from the bounce of the close, as a fraction of the price.

    Twice the root of minus the autocovariance of log returns at lag 1, with the sample's means
    subtracted; 0 where the autocovariance is not negative (Roll 1984, A Simple Implicit Measure of
    the Effective Bid-Ask Spread in an Efficient Market). A flat price gives 0.

    Parameters
    ----------
    period : int
        Number of pairs of consecutive returns, >= 2.
    """

    period: Annotated[int, Ge(2), Le(MAX_PERIOD)] = 60

    @property
    def lookback(self) -> int:
        return self.period + 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"roll_{self.period}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1), as fractions of the price."""
        close = bars["close"]
        returns = np.log(close[1:] / close[:-1])

        def spread(newer: FloatArray, older: FloatArray) -> FloatArray:
            n = len(newer)
            newer -= sum_rows(newer) / n
            older -= sum_rows(older) / n
            covariance = sum_rows(newer * older) / n
            return 2.0 * np.sqrt(np.maximum(-covariance, 0.0))

        found = over_windows(spread, self.period, returns[1:], returns[:-1])
        return late(found, 2)[: len(close), None]
