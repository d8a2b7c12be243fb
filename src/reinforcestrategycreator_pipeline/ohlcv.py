"""The columns of a bar, and the valid range of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

PRICES = ("open", "high", "low", "close")
OHLCV = (*PRICES, "volume")
ADJUSTED_CLOSE = "adj_close"
LARGEST = 1e30
"""Largest size of a number of a bar, and the inverse of the smallest price: products of a few such
numbers are still floats."""


@dataclass(frozen=True)
class BadValue:
    """An invalid number in a bar; `str` gives the error in words."""

    column: str
    row: int
    value: float

    def __str__(self) -> str:
        return f"{self.column} must be finite and {bound(self.column)}. Got {self.value}"


def bound(column: str) -> str:
    """Return the lower bound of a column's values: ``"> 0"`` or ``">= 0"``."""
    return ">= 0" if column == "volume" else "> 0"


def out_of_bounds(column: str, values: Any) -> Any:
    """Tell which values violate the `bound` of the column; NaN does not."""
    return values < 0.0 if column == "volume" else values <= 0.0


def too_large(values: Any) -> Any:
    """Tell which values are finite but larger in size than `LARGEST`."""
    return np.isfinite(values) & (np.abs(values) > LARGEST)


def too_small(column: str, values: Any) -> Any:
    """Tell which prices are above 0 but below 1 / `LARGEST`; other columns have no such bound."""
    is_price = column in (*PRICES, ADJUSTED_CLOSE)
    return is_price & (values > 0.0) & (values < 1.0 / LARGEST)


def first_bad(columns: Mapping[str, ArrayLike]) -> BadValue | None:
    """Return the first value that is not finite or is out of bounds, column by column.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (T,) or float
        Columns of T bars, or the values of one bar; names from `OHLCV`.

    Returns
    -------
    BadValue or None
        None if all values are valid.
    """
    for column, values in columns.items():
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        bad = ~np.isfinite(array) | out_of_bounds(column, array)
        if bad.any():
            row = int(bad.argmax())
            return BadValue(column, row, float(array[row]))
    return None
