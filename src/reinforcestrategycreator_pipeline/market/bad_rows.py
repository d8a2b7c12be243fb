"""The rows that a `DataError` carries, and their names in its message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.errors import DataError, shorten


def bad_rows(
    origin: str,
    column: str,
    values: Sequence[Any] | ArrayLike,
    rule: str,
    *,
    symbol: str | None = None,
    rows: ArrayLike | None = None,
    times: pd.DatetimeIndex | None = None,
) -> pd.DataFrame:
    """Return the table `DataError.rows` of n values that break one rule.

    Parameters
    ----------
    origin : str
        Path of the file, or name of the source.
    column : str
        Name of the column.
    values : sequence, length n
        Values as read: numbers or text.
    rule : str
        What they break: ``"must be > 0"``.
    symbol : str, optional
        Name of the symbol, where it is known.
    rows : array of int, shape (n,), optional
        Lines in a text file, else rows counted from 1.
    times : DatetimeIndex, length n, optional
        Close times, with a time zone.
    """
    found = pd.DataFrame({"value": values})
    none = pd.array([None] * len(found), dtype="Int64")
    found["row"] = none if rows is None else pd.array(np.asarray(rows), dtype="Int64")
    known = [pd.NaT] * len(found) if times is None else times.tz_convert("UTC")
    found["time"] = pd.DatetimeIndex(known, dtype="datetime64[ns, UTC]")
    found[["origin", "symbol", "column", "rule"]] = origin, symbol, column, rule
    return found[["origin", "symbol", "row", "time", "column", "value", "rule"]]


@dataclass(frozen=True)
class Where:
    """The rows of one file, by position.

    Parameters
    ----------
    path : Path
        Path of the file.
    lines : ndarray of int, optional
        Line of each row in a text file.
    """

    path: Path
    lines: Ints | None = None

    def __call__(self, row: int) -> str:
        """Return the name of a row for messages: ``"prices.csv: line 7"``."""
        kind = "row" if self.lines is None else "line"
        return f"{self.path}: {kind} {self._numbers([row])[0]}"

    def table(
        self, rows: Sequence[int] | Ints, column: str, values: Sequence[Any], rule: str
    ) -> pd.DataFrame:
        """Return `bad_rows` of these positions."""
        return bad_rows(str(self.path), column, values, rule, rows=self._numbers(rows))

    def error(
        self,
        rows: Sequence[int] | Ints,
        column: str,
        values: Sequence[Any],
        rule: str,
        end: str = ".",
    ) -> DataError:
        """Return an error whose message names the first of the rows and its value."""
        message = f"{self(int(rows[0]))}: {column} {shorten(repr(values[0]), 80)} {rule}{end}"
        return DataError(message, rows=self.table(rows, column, values, rule))

    def _numbers(self, rows: Sequence[int] | Ints) -> Ints:
        positions = np.asarray(rows, dtype=np.int64)
        return positions + 1 if self.lines is None else self.lines[positions]
