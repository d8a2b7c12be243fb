"""The rules that bars must keep before anything learns from them.

What breaks a rule is refused, with the rows; what can be put right without a guess (order,
identical duplicates, a last bar that is not over) is put right, and said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.adjustment import ADJUSTED_CLOSE
from reinforcestrategycreator_pipeline.market.bars import PRICES

_ROUNDING = 1e-9  # relative; a vendor's own adjustment may leave high below close by an ulp
_SHOWN = 3  # rows in a message
_NUMBER = "must be a number, not missing"
_FINITE = "must be finite"
_POSITIVE = "must be > 0"
_NOT_NEGATIVE = "must be >= 0"
_HIGH = "high must be >= open, close and low"
_LOW = "low must be <= open, close and high"
_ORDER = (_NUMBER, _FINITE, _POSITIVE, _NOT_NEGATIVE, _HIGH, _LOW)


@dataclass(frozen=True)
class RawBars:
    """One symbol's rows as a source read them, in the order of the file.

    Attributes
    ----------
    symbol, origin : str
        For messages; the origin is the file's path, or the source's name.
    frame : DataFrame
        Columns open, high, low, close, volume, perhaps ``adj_close``, then side data, all
        float64, NaN where a number is missing. Index: close times, with a time zone.
    lines : ndarray of int, optional
        Line in the file of each row; without it, messages name the stamps.
    """

    symbol: str
    origin: str
    frame: pd.DataFrame
    lines: NDArray[np.int64] | None = None

    def place(self, row: int) -> str:
        """Return how a message calls the row at this position."""
        if self.lines is not None:
            return f"line {self.lines[row]}"
        return str(self.frame.index[row])

    def places(self, rows: list[int], details: list[str] | None = None) -> str:
        """Return the first rows' names, with details, and how many more there are."""
        shown = [
            self.place(row) + (f" ({details[i]})" if details else "")
            for i, row in enumerate(rows[:_SHOWN])
        ]
        more = len(rows) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")


def validate(
    raw: RawBars, *, as_of: pd.Timestamp | None = None, clock: pd.Timestamp | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Check one symbol's rows and bring them in order.

    Parameters
    ----------
    raw : RawBars
        The rows.
    as_of : Timestamp, optional
        Bars that close later are left out: a look at the past.
    clock : Timestamp, optional
        The present. One bar that closes later is not over and is dropped; more are refused.

    Returns
    -------
    DataFrame
        Strictly increasing in time.
    list of str
        What was put right, one sentence each.

    Raises
    ------
    DataError
        One line with the origin, the symbol, the rule and the rows.
    """
    if len(raw.frame) == 0:
        raise DataError(f"{raw.origin}: {raw.symbol} has no rows.")
    check_values(raw)
    where = f"{raw.origin}: {raw.symbol}"
    notes: list[str] = []
    keep = _without_duplicates(raw, notes)
    frame = raw.frame.iloc[keep]
    if not frame.index.is_monotonic_increasing:
        newest_first = bool(frame.index.is_monotonic_decreasing)
        frame = frame.sort_index(kind="stable")
        order = "newest first" if newest_first else "not in order of time"
        notes.append(f"{where}: the rows were {order}; they have been sorted.")
    if as_of is not None:
        later = int((frame.index > as_of).sum())
        if later > 0:
            frame = frame.iloc[: len(frame) - later]
            notes.append(f"{where}: bars that close after {as_of} were left out: {later}.")
    if clock is not None:
        frame = _without_unfinished(raw, frame, clock, notes)
    if len(frame) < 2:
        raise DataError(f"{where} needs at least 2 bars. Got {len(frame)}.")
    return frame, notes


def check_values(raw: RawBars) -> None:
    """Check numbers and their order within each bar against the schema.

    Raises
    ------
    DataError
        Naming each broken rule and the first rows that break it.
    """
    import pandera.pandas as pa  # here, because it takes a third of a second

    frame = raw.frame.reset_index(drop=True)
    try:
        _schema(pa, [str(c) for c in frame.columns]).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise DataError(_message(raw, error.failure_cases)) from None


def missing_sessions(frame: pd.DataFrame, timezone: str) -> list[str]:
    """Return the weekdays, from the first bar to the last, on which no bar closes.

    A bar that closes at midnight belongs to the day that ends then.
    """
    days = (pd.DatetimeIndex(frame.index) - pd.Timedelta(1, "ns")).tz_convert(timezone)
    held = days.tz_localize(None).normalize().unique()
    weekdays = pd.bdate_range(held[0], held[-1])
    return [str(day.date()) for day in weekdays.difference(held)]


def _schema(pa: Any, columns: list[str]) -> Any:
    def finite(column: pd.Series) -> pd.Series:
        return ~column.isin([np.inf, -np.inf])

    def check(rule: str, test: Callable[[Any], Any]) -> Any:
        return pa.Check(test, error=rule, ignore_na=True)

    bounds = {
        **dict.fromkeys((*PRICES, ADJUSTED_CLOSE), (_POSITIVE, lambda x: x > 0)),
        "volume": (_NOT_NEGATIVE, lambda x: x >= 0),
    }

    def column(name: str) -> Any:
        checks = [check(_FINITE, finite)]
        if name in bounds:
            checks.append(check(*bounds[name]))
        return pa.Column("float64", checks, nullable=False)

    # Written so that a NaN passes here: its own rule reports it.
    def high(frame: pd.DataFrame) -> pd.Series:
        return ~(frame["high"] < frame[["open", "close", "low"]].max(axis=1) * (1 - _ROUNDING))

    def low(frame: pd.DataFrame) -> pd.Series:
        return ~(frame["low"] > frame[["open", "close", "high"]].min(axis=1) * (1 + _ROUNDING))

    return pa.DataFrameSchema(
        {name: column(name) for name in columns}, checks=[check(_HIGH, high), check(_LOW, low)]
    )


def _message(raw: RawBars, cases: pd.DataFrame) -> str:
    """Turn pandera's failure cases into one line, the gravest rule first."""
    rules = cases["check"].where(cases["check"] != "not_nullable", _NUMBER)
    unknown = set(rules) - set(_ORDER)
    if unknown or cases["index"].isna().any():
        raise RuntimeError(f"the bar schema failed in an unforeseen way: {sorted(unknown)}")
    rows_of: dict[tuple[int, str], set[int]] = {}
    for rule, column, row in zip(rules, cases["column"], cases["index"], strict=True):
        text = rule if rule in (_HIGH, _LOW) else f"{column} {rule}"
        rows_of.setdefault((_ORDER.index(rule), text), set()).add(int(row))
    parts = []
    for (order, text), found in sorted(rows_of.items()):
        rows = sorted(found)
        names = list(PRICES) if order >= _ORDER.index(_HIGH) else [text.split(" must")[0]]
        details = [
            " ".join(f"{n}={raw.frame[n].iloc[row]:.10g}" for n in names) for row in rows[:_SHOWN]
        ]
        if order == 0:
            details = []
        parts.append(f"{text}: {raw.places(rows, details)}")
    more = f"; {len(parts) - 2} more rules are broken" if len(parts) > 2 else ""
    return f"{raw.origin}: {raw.symbol}: {'; '.join(parts[:2])}{more}."


def _without_duplicates(raw: RawBars, notes: list[str]) -> NDArray[np.intp]:
    """Return the positions to keep; rows of one stamp must be identical."""
    stamps = pd.DatetimeIndex(raw.frame.index)
    again = stamps.duplicated()
    if not again.any():
        return np.arange(len(stamps))
    rows = raw.frame.reset_index(drop=True).assign(stamp=stamps.asi8)
    same = rows.duplicated().to_numpy()
    conflict = np.flatnonzero(again & ~same)
    if len(conflict):
        row = int(conflict[0])
        first = int(np.flatnonzero(stamps == stamps[row])[0])
        columns = [str(c) for c in raw.frame if raw.frame[c].iloc[row] != raw.frame[c].iloc[first]]
        more = f" ({len(conflict) - 1} more rows conflict)" if len(conflict) > 1 else ""
        raise DataError(
            f"{raw.origin}: {raw.symbol}: {raw.place(row)} and {raw.place(first)} are both for "
            f"{stamps[row]}, but differ in {', '.join(columns)}{more}."
        )
    count = int(again.sum())
    were = "1 identical duplicate row was" if count == 1 else f"{count} identical duplicates were"
    notes.append(f"{raw.origin}: {raw.symbol}: {were} dropped.")
    return np.flatnonzero(~again)


def _without_unfinished(
    raw: RawBars, frame: pd.DataFrame, clock: pd.Timestamp, notes: list[str]
) -> pd.DataFrame:
    later = frame.index > clock
    count = int(later.sum())
    if count > 1:
        rows = [int(i) for i in np.flatnonzero(raw.frame.index > clock)]
        now = clock.strftime("%Y-%m-%d %H:%M UTC")
        raise DataError(
            f"{raw.origin}: {raw.symbol}: {count} bars close in the future (it is now {now}): "
            f"{raw.places(rows)}. Are the time zone and the date format right?"
        )
    if count:
        stamp = frame.index[-1]
        notes.append(
            f"{raw.origin}: {raw.symbol}: the last bar, which closes at {stamp}, is not over yet; "
            "it was dropped."
        )
        return frame.iloc[:-1]
    return frame
