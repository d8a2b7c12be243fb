"""Fractional differences of the log price."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import FEATURES, Bars, FloatArray
from reinforcestrategycreator_pipeline.features.windows import over_windows, sum_rows

MOST_BARS = 20_000
"""Longest window of a fractional difference."""


@functools.lru_cache(maxsize=64)
def fractional_weights(order: float, threshold: float) -> FloatArray:
    """Return the weights of a fractional difference, down to a threshold.

    ``w[0] = 1, w[k] = -w[k-1] (order - k + 1) / k``, up to the last one of size `threshold` or
    more (Lopez de Prado 2018, Advances in Financial Machine Learning, chapter 5).

    Parameters
    ----------
    order : float
        Order of the difference, > 0: 1 is the plain difference, with the weights 1 and -1.
    threshold : float
        Smallest size of a weight, in (0, 1).

    Returns
    -------
    ndarray of shape (K,), float64
        Weights of the values that are 0, 1, ... bars old, read-only.

    Raises
    ------
    ConfigError
        If there are more than `MOST_BARS`.
    """
    weights, k = [1.0], 1
    while abs(following := -weights[-1] * (order - k + 1) / k) >= threshold:
        weights.append(following)
        k += 1
        if k > MOST_BARS:
            raise ConfigError(
                f"a fractional difference of order {order:g} has more than {MOST_BARS} weights "
                f"above the threshold {threshold:g}. Use a larger threshold."
            )
    found = np.array(weights)
    found.flags.writeable = False
    return found


@FEATURES.register("fractional_difference")
@dataclass(frozen=True)
class FractionalDifference(Strict):
    """Fractional difference of the log close over a window of fixed width.

    Nearly stationary, and yet with a long memory of the price's level: the lower the order, the
    longer (Lopez de Prado 2018, chapter 5). Weights below the threshold are left out, and what is
    lacking to a sum of 0 goes to the oldest close of the window. So the level of prices cancels:
    the value is the sum of the last log returns, weighted by the cumulative weights. A flat price
    gives 0.

    Parameters
    ----------
    order : float
        Order of the difference, in [0.05, 2].
    threshold : float
        Smallest size of a weight, in [1e-6, 0.1]. Order 0.4 covers 55 bars at 1e-3, 282 at 1e-4,
        and 1,458 at 1e-5.
    """

    order: Annotated[float, Ge(0.05), Le(2)] = 0.4
    threshold: Annotated[float, Ge(1e-6), Le(0.1)] = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        fractional_weights(self.order, self.threshold)

    @property
    def lookback(self) -> int:
        return len(fractional_weights(self.order, self.threshold))

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"fractional_difference_{self.order:g}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1), in units of log price."""
        close = bars["close"]
        of_returns = fractional_weights(self.order, self.threshold).cumsum()[::-1, None]

        def weighted(returns: FloatArray) -> FloatArray:
            returns *= of_returns
            return sum_rows(returns)

        out = np.full((len(close), 1), np.nan)
        out[1:, 0] = over_windows(weighted, self.lookback, np.log(close[1:] / close[:-1]))
        return out
