"""Consecutive bars of assets, ready for trading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.execution.accounting import (
    BarPrices,
    prices_of,
)
from reinforcestrategycreator_pipeline.execution.costs import SECONDS_PER_YEAR

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class AssetBars:
    """One asset's consecutive bars of one span, ready for trading.

    Attributes
    ----------
    symbol : str
        Its name.
    seconds : ndarray of float64, shape (T,)
        Close times, seconds since 1970 UTC, increasing.
    open, close : ndarray of float64, shape (T,)
        Adjusted prices, > 0.
    features : ndarray, shape (T, F)
        Scaled features, known at each bar's close; finite.
    """

    symbol: str
    seconds: F64
    open: F64
    close: F64
    features: NDArray[Any]

    def __post_init__(self) -> None:
        names = ("seconds", "open", "close", "features")
        lengths = {name: len(getattr(self, name)) for name in names}
        if len(set(lengths.values())) > 1:
            parts = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise DataError(f"{self.symbol}: its parts must have one length. Got {parts} instead.")
        if len(self.close) < 2:
            raise DataError(
                f"{self.symbol}: {len(self.close)} bars; a decision and its outcome need 2"
            )
        for name in ("open", "close"):  # the kernel would read a NaN as ruin
            price = getattr(self, name)
            bad = np.flatnonzero(~((price > 0) & (price < np.inf)))
            if bad.size:
                raise DataError(
                    f"{self.symbol}: the {name} of row {bad[0]} must be finite and > 0. "
                    f"Got {price[bad[0]]} instead."
                )
        backwards = np.flatnonzero(~(np.diff(self.seconds) > 0))
        if backwards.size:
            raise DataError(f"{self.symbol}: the close times do not rise at row {backwards[0] + 1}")
        if not np.isfinite(self.features).all():
            row = int(np.argmin(np.isfinite(self.features).all(axis=1)))
            raise DataError(f"{self.symbol}: the features of row {row} are not finite")

    @property
    def years(self) -> F64:
        """Calendar time between consecutive closes, in years of 365 days, shape (T - 1,)."""
        return np.diff(self.seconds) / SECONDS_PER_YEAR

    @property
    def prices(self) -> BarPrices:
        """Prices of each of the T - 1 decisions."""
        return prices_of(self.open, self.close, self.years)
