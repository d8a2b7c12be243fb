"""Other features over their own last values: standardized, or all of them side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Le
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES,
    Bars,
    FloatArray,
    evaluate,
)
from reinforcestrategycreator_pipeline.features.inner import Of, OfAnother, name_of
from reinforcestrategycreator_pipeline.features.windows import over_windows, stack, sum_rows
from reinforcestrategycreator_pipeline.limits import LongPeriod

_ROUNDING = 1e-12  # of the largest value of a window
_MOST_LAGS = 1_000


def _returns_1() -> dict[str, Any]:
    return {"name": "returns", "horizons": [1]}


@dataclass(frozen=True)
class _Over(OfAnother):
    """Base of features over the last values of another feature."""

    of: Of = field(default_factory=_returns_1)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self._feature.columns)

    @property
    def _first(self) -> int:
        return self._feature.lookback or 0

    def _values(self, bars: Bars) -> FloatArray:
        return evaluate(self._feature, name_of(self.of), bars).values


@FEATURES.register("rolling_zscore")
@dataclass(frozen=True)
class RollingZscore(_Over):
    """Another feature in standard deviations from its own mean over the last bars.

    ``(x - mean) / deviation`` over the window that ends at the bar, with the population deviation
    (ddof 0). What was usual ten years ago does not count, as it does for a scaler that is fitted
    once. Where nothing varies it is 0.

    Parameters
    ----------
    of : str or mapping
        The other feature, by name and parameters.
    period : int
        Number of values in the window, >= 2.
    """

    period: LongPeriod = 250

    @property
    def lookback(self) -> int:
        return self._first + self.period - 1

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{name}_zscore_{self.period}" for name in self._names)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, k), in standard deviations."""
        values, n, first = self._values(bars), self.period, self._first

        def zscore(window: FloatArray) -> FloatArray:
            size = np.abs(window).max(axis=0)
            window -= sum_rows(window) / n
            deviation = np.sqrt(sum_rows(np.square(window)) / n)
            varies = deviation > _ROUNDING * size
            found: FloatArray = np.zeros(len(size))
            np.divide(window[-1], deviation, out=found, where=varies)
            return found

        out = np.full(values.shape, np.nan)
        for c in range(values.shape[1]):
            out[first:, c] = over_windows(zscore, n, np.ascontiguousarray(values[first:, c]))
        return out


@FEATURES.register("lagged")
@dataclass(frozen=True)
class Lagged(_Over):
    """The last values of another feature, side by side: the newest first.

    So a policy sees not only where a feature is, but how it came there.

    Parameters
    ----------
    of : str or mapping
        The other feature, by name and parameters.
    bars : int
        Number of values, the newest included, 2 to 1,000.
    """

    bars: Annotated[int, Ge(2), Le(_MOST_LAGS)] = 5

    @property
    def lookback(self) -> int:
        return self._first + self.bars - 1

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{name}_lag_{i}" for i in range(self.bars) for name in self._names)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, k times bars), in the feature's units."""
        values = self._values(bars)
        n_rows, columns = len(values), []
        for lag in range(self.bars):
            for x in values.T:
                column = np.full(n_rows, np.nan)
                column[lag:] = x[: max(n_rows - lag, 0)]
                columns.append(column)
        return stack(columns)
