"""Log returns over several horizons, and their volatility."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.checks import Strict
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES,
    Bars,
    FloatArray,
    Periods,
)
from reinforcestrategycreator_pipeline.features.windows import late, moving_means, stack


@FEATURES.register("returns")
@dataclass(frozen=True)
class Returns(Strict):
    """Log return of the close over each horizon: ln(close[t] / close[t - h]).

    Parameters
    ----------
    horizons : tuple of int
        Horizons in bars, >= 1.
    """

    horizons: Periods = (1, 2, 5, 10, 20, 60)

    @property
    def lookback(self) -> int:
        return max(self.horizons)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"log_return_{h}" for h in self.horizons)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, len(horizons)), as fractions."""
        close = bars["close"]
        out = np.full((len(close), len(self.horizons)), np.nan)
        for i, h in enumerate(self.horizons):
            out[h:, i] = np.log(close[h:] / close[:-h])
        return out


@FEATURES.register("realized_volatility")
@dataclass(frozen=True)
class RealizedVolatility(Strict):
    """Root mean square of the last log returns, per bar (not annualized, mean not subtracted).

    A flat price gives 0.

    Parameters
    ----------
    periods : tuple of int
        Numbers of returns, >= 1.
    """

    periods: Periods = (10, 60)

    @property
    def lookback(self) -> int:
        return max(self.periods)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"realized_volatility_{p}" for p in self.periods)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, len(periods)), as fractions per bar."""
        close = bars["close"]
        squares = np.square(np.log(close[1:] / close[:-1]))
        return stack([late(np.sqrt(mean)) for mean in moving_means(squares, self.periods)])
