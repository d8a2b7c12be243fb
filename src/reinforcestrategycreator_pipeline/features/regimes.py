"""The regime of a market: whether the price trends, and whether it moves more than usual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict, require
from reinforcestrategycreator_pipeline.features.base import FEATURES, Bars, FloatArray
from reinforcestrategycreator_pipeline.features.windows import (
    late,
    moving_mean,
    moving_means,
    over_windows,
    stack,
    sum_rows,
)
from reinforcestrategycreator_pipeline.limits import MAX_PERIOD, LongPeriod, Period

_LARGEST_T = 50.0
_ROUNDING = 1e-12  # of a log price
_LOG_CALM = math.log(0.01)
_EQUAL = 1e-9  # relative; the same moves may round differently in another order

TrendPeriod = Annotated[int, Ge(3), Le(MAX_PERIOD)]


def _t_of_slope(log_close: FloatArray) -> FloatArray:
    n = len(log_close)
    time = (np.arange(n) - (n - 1) / 2.0)[:, None]
    spread = float(np.square(time).sum())
    y = log_close - log_close[-1]  # the level of prices cancels here
    y -= sum_rows(y) / n
    slope = sum_rows(time * y) / spread
    # Rounding of the log price leaves residuals that are no deviation from a line.
    floor = n * _ROUNDING**2
    errors = np.maximum(sum_rows(np.square(y - slope * time)), floor)
    t = slope / np.sqrt(errors / (n - 2) / spread)
    moved = sum_rows(np.square(y)) > floor
    return np.clip(np.where(moved, t, 0.0), -_LARGEST_T, _LARGEST_T)


@FEATURES.register("trend")
@dataclass(frozen=True)
class Trend(Strict):
    """Strength and direction of the trend of the log close over the last bars.

    Two columns: the t statistic of the slope of the least-squares line through the last closes,
    limited to [-50, 50]; and the efficiency ratio (Kaufman 1995, Smarter Trading), with the sign of
    the move: the move from end to end over the sum of the moves of the bars, from -1 to 1. Both are
    0 on a flat price.

    Parameters
    ----------
    period : int
        Number of bars, >= 3: so many closes for the line, so many moves for the ratio.
    """

    period: TrendPeriod = 60

    @property
    def lookback(self) -> int:
        return self.period

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"trend_t_{self.period}", f"trend_efficiency_{self.period}")

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 2)."""
        close, n = bars["close"], self.period
        slope_t = over_windows(_t_of_slope, n, np.log(close))
        moves = np.log(close[1:] / close[:-1])
        net, path = moving_mean(moves, n), moving_mean(np.abs(moves), n)
        ratio = np.divide(net, path, out=np.zeros(len(net)), where=~(path <= _ROUNDING))
        # A mean may round above the largest of equal moves.
        return stack([slope_t, late(np.clip(ratio, -1.0, 1.0))])


@FEATURES.register("volatility_regime")
@dataclass(frozen=True)
class VolatilityRegime(Strict):
    """Recent volatility against that of a longer past.

    Volatility is the root mean square of log returns. Two columns: the log of the volatility of the
    last `short` bars over that of the last `long`, where less than 1% counts as 1%; and the
    percentile of the `short` volatility among its last `long` values, from 0 to 1, ties half. A
    flat price gives 0 and 0.5.

    Parameters
    ----------
    short : int
        Number of returns of the recent volatility, >= 1.
    long : int
        Number of returns, and of values of the recent volatility, > `short`.
    """

    short: Period = 20
    long: LongPeriod = 250

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"larger than short, {self.short}"
        require(self.long > self.short, "VolatilityRegime", "long", rule, self.long)

    @property
    def lookback(self) -> int:
        return self.short + self.long - 1

    @property
    def columns(self) -> tuple[str, ...]:
        periods = f"{self.short}_{self.long}"
        return (f"volatility_ratio_{periods}", f"volatility_percentile_{periods}")

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 2)."""
        close = bars["close"]
        squares = np.square(np.log(close[1:] / close[:-1]))
        short, long = moving_means(squares, (self.short, self.long))
        moved = ~(long <= _ROUNDING**2)
        share = np.divide(short, long, out=np.ones(len(long)), where=moved)
        ratio = 0.5 * np.log(np.maximum(share, math.exp(2.0 * _LOG_CALM)))
        percentile = np.full(len(short), np.nan)
        percentile[self.short - 1 :] = over_windows(_percentile, self.long, short[self.short - 1 :])
        return stack([late(ratio), late(percentile)])


def _percentile(values: FloatArray) -> FloatArray:
    """Return the share of the values that are below the last one, ties half."""
    newest = values[-1]
    near = _EQUAL * newest
    below = (values < newest - near).sum(axis=0)
    equal = (np.abs(values - newest) <= near).sum(axis=0)
    share: FloatArray = (below + 0.5 * equal) / len(values)
    return share
