"""The rows of a file from which the bars of a symbol come, and the clock of their days."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Ints


@dataclass(frozen=True, eq=False)
class Places:
    """The places of one symbol's bars in what was read.

    Attributes
    ----------
    origin : str
        Path of the file or folder, or name of the source.
    rows : ndarray of int, shape (n,), optional
        Line of each bar in a text file, else its row counted from 1; None if the source has no
        rows that a user sees.
    word : str
        ``"line"`` or ``"row"``.
    files : tuple of str
        Names of the files, if there are several.
    owners : ndarray of int, shape (n,), optional
        Position in `files` of the file of each bar.
    duplicates : ndarray of int, shape (d, 2)
        Rows that repeat another and were dropped: the place of each, and the position of the bar
        that was kept. Without `rows`, places count from 1.
    timezone : str
        IANA time zone of the days.
    shift_ns : int
        Nanoseconds from a moment in a bar's day to its close, see `bars.day_of`.
    """

    origin: str
    rows: Ints | None = None
    word: str = "row"
    files: tuple[str, ...] = ()
    owners: Ints | None = None
    duplicates: Ints = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    timezone: str = "UTC"
    shift_ns: int = 1

    def file(self, bar: int) -> str:
        """Return the path of the file of the bar at this position."""
        if self.owners is None:
            return self.origin
        return str(Path(self.origin) / self.files[int(self.owners[bar])])

    def text(self, bar: int, row: int | None = None) -> str:
        """Return the place of the bar at this position: ``"line 7"``; empty if it has none.

        Parameters
        ----------
        bar : int
            Position of the bar.
        row : int, optional
            Row to name instead of the bar's own.
        """
        number = row if self.rows is None or row is not None else int(self.rows[bar])
        if number is None:
            return ""
        name = "" if self.owners is None else f"{self.files[int(self.owners[bar])]} "
        return f"{name}{self.word} {number}"

    def days(self, stamps: pd.DatetimeIndex) -> Ints:
        """Return the day of each bar in the time zone, in days since 1970.

        Parameters
        ----------
        stamps : DatetimeIndex
            Close times with a time zone.
        """
        moments = stamps - pd.Timedelta(self.shift_ns, "ns")
        wall = moments.tz_convert(self.timezone).tz_localize(None).as_unit("ns").asi8
        return np.floor_divide(wall, 86_400 * 10**9)
