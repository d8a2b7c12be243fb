"""Findings on the health of bars, and the kinds of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints


class Kind(NamedTuple):
    """A kind of finding.

    Attributes
    ----------
    title : str
        Name, in the plural.
    says : str
        What is found, and what to do about it.
    """

    title: str
    says: str


KINDS = MappingProxyType(
    {
        "bad_tick": Kind(
            "Bad ticks",
            "Prices 10, 100 or 1,000 times those around them, or as small a part: a slipped "
            "decimal point, or pence for pounds. Correct or remove the rows.",
        ),
        "spike": Kind(
            "Spikes",
            "A price far from both of its neighbors, which the next bar takes back. Compare the "
            "row with another source.",
        ),
        "outlier": Kind(
            "Outliers",
            "A move far beyond the usual, which stays. News makes such moves, and so do errors: "
            "compare the row with another source.",
        ),
        "split": Kind(
            "Unadjusted splits",
            "An open that is a common split ratio away from the last close. Read an adjusted close "
            "(columns: {adj_close: NAME}), or download adjusted prices.",
        ),
        "stale": Kind(
            "Stale runs",
            "The same close, or the same whole bar, again and again: a feed that stood still, or "
            "rows that were filled in. Remove the rows.",
        ),
        "zero_volume": Kind(
            "Bars without volume",
            "Nobody traded in these bars, or the volume is missing: an order would not be filled "
            "at their prices.",
        ),
        "gap": Kind(
            "Gaps",
            "Bars that the calendar expects are missing before these rows. They are never filled: "
            "the return over a gap is that of one bar.",
        ),
        "off_session": Kind(
            "Bars outside of sessions",
            "Bars at times at which the calendar has no session: rows that were filled in, "
            "extended hours, or times of another time zone.",
        ),
        "time_zone": Kind(
            "Suspicious times",
            "Times that look like those of another time zone, or that shift by an hour. Set "
            "timezone.",
        ),
        "duplicate": Kind(
            "Duplicate rows",
            "Rows that repeat another one. They were dropped.",
        ),
    }
)
"""All kinds, in the order of reports."""


@dataclass(frozen=True, eq=False)
class Finding:
    """Bars of one symbol with one kind of oddity.

    Attributes
    ----------
    kind : str
        Key of `KINDS`.
    symbol : str
        Name of the symbol.
    bars : ndarray of int, shape (n,)
        Positions of the bars, increasing; for a gap, the bar after it.
    values : ndarray of float64, shape (n,)
        For each bar: factor of a bad tick, log return of an outlier or spike, new shares per old
        share of a split, number of bars of a stale run, number of bars missing in a gap; else NaN.
    grave : bool
        Whether it is probably an error of the data.
    note : str
        A sentence on all of the bars; may be empty.
    rows : ndarray of int, shape (n,), optional
        Rows in the file, where they are not those of the bars.
    """

    kind: str
    symbol: str
    bars: Ints
    values: F64
    grave: bool = False
    note: str = ""
    rows: Ints | None = None

    @property
    def count(self) -> int:
        """Number of bars: missing ones for gaps, those of all runs for stale runs."""
        if self.kind in ("gap", "stale"):
            return int(self.values.sum())
        return len(self.bars)


def finding(
    kind: str,
    symbol: str,
    bars: Sequence[int] | Any,
    values: Any = None,
    *,
    grave: bool = False,
    note: str = "",
) -> Finding:
    """Return a finding; without `values`, they are NaN."""
    positions = np.asarray(bars, dtype=np.int64)
    held = np.full(len(positions), np.nan) if values is None else np.asarray(values, np.float64)
    return Finding(kind, symbol, positions, held, grave, note)


def value_text(kind: str, value: float) -> str:
    """Return a value in words: ``"100 times"``, ``"-12.3%"``; empty if there is none."""
    if np.isnan(value):
        return ""
    if kind == "bad_tick":
        return f"{value:,.0f} times" if value > 1 else f"1/{1 / value:,.0f}"
    if kind in ("spike", "outlier"):
        return f"{np.expm1(value):+.1%}"
    if kind == "split":
        return f"{value:.4g}:1" if value >= 1 else f"1:{1 / value:.4g}"
    bars = f"{value:,.0f} bar" + ("" if value == 1 else "s")
    return f"{bars} missing" if kind == "gap" else f"{bars} alike"
