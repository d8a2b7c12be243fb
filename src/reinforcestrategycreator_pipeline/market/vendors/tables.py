"""Vendors' rows as frames of bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import pandas as pd

from reinforcestrategycreator_pipeline.errors import nearest, shorten
from reinforcestrategycreator_pipeline.market.vendors.base import VendorBars
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval

_SAMPLE = 1_000  # rows that show whether a column holds decimals


def frame_of(
    rows: Sequence[Any], names: Mapping[Any, str], time: Any, unit: Literal["ms"] | None = None
) -> pd.DataFrame:
    """Return rows as a frame, indexed by their opens, UTC.

    Parameters
    ----------
    rows : sequence
        A mapping or a sequence for each bar.
    names : mapping
        Our name of each column by the vendor's key or position.
    time : object
        Key or position of the open.
    unit : str, optional
        Unit of opens that are numbers since 1970; by default they are ISO 8601 texts.

    Returns
    -------
    DataFrame
        The named columns, in any type; no columns if there are no rows.

    Raises
    ------
    VendorError
        If a row lacks one of them, or an open is not a time.
    """
    if not rows:
        return pd.DataFrame()
    try:
        columns = {name: [row[key] for row in rows] for key, name in names.items()}
        times = [row[time] for row in rows]
    except (KeyError, IndexError, TypeError) as error:
        raise VendorError(
            f"a bar lacks {shorten(repr(time), 20)} or one of "
            f"{', '.join(map(str, names))}: {shorten(repr(rows[0]), 80)}."
        ) from error
    try:
        if unit is None:
            index = pd.DatetimeIndex(pd.to_datetime(times, utc=True, format="ISO8601"))
        else:
            index = pd.DatetimeIndex(pd.to_datetime(times, unit=unit, utc=True))
    except (ValueError, TypeError, OverflowError) as error:
        raise VendorError(f"a bar has no time: {shorten(repr(times[0]), 40)}.") from error
    return pd.DataFrame(columns, index=index)


def dated(frame: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """Return bars of days with the dates of their opens in a time zone as index."""
    if frame.empty:
        return frame
    opens = pd.DatetimeIndex(frame.index).tz_convert(timezone)
    return frame.set_axis(opens.tz_localize(None).normalize(), axis=0)


def stamped(
    table: pd.DataFrame, time: str, stamp: str, timezone: str, interval: Interval
) -> VendorBars:
    """Return a table of bars whose times are of one column.

    Parameters
    ----------
    table : DataFrame
        One row for each bar; columns that are not numbers are left out.
    time : str
        Column of the times: times, dates, or ISO 8601 texts.
    stamp : str
        Meaning of a time: the ``open`` or the ``close`` of its bar. For a day it is a time of that
        day, such as its date; a day that closes at midnight is the one before.
    timezone : str
        IANA time zone of times without one, and of days.
    interval : Interval
        Length of the bars.

    Raises
    ------
    VendorError
        If there is no such column, or it holds something else.
    """
    if table.empty:
        return VendorBars(pd.DataFrame(), timezone)
    if time not in table:
        raise VendorError(f"there is no column {time!r}.{nearest(time, map(str, table))}")
    values = table[time]
    if pd.api.types.is_numeric_dtype(values):
        raise VendorError(f"{time} must hold times. Got numbers, such as {values.iloc[0]!r}.")
    try:
        times = pd.DatetimeIndex(pd.to_datetime(values, format="ISO8601"))
        times = times.tz_localize(timezone) if times.tz is None else times.tz_convert(timezone)
    except (ValueError, TypeError) as error:
        reason = str(error).partition(". ")[0]
        raise VendorError(f"{time} cannot be read: {shorten(reason, 80)}.") from error
    decimal = [n for n in table if any(isinstance(x, Decimal) for x in table[n].head(_SAMPLE))]
    table = table.astype(dict.fromkeys(decimal, "float64"))
    numbers = table.drop(columns=time).select_dtypes(["number"])
    if interval.is_day:
        moments = times - pd.Timedelta(1 if stamp == "close" else 0, "ns")
        return VendorBars(numbers.set_axis(moments.tz_localize(None).normalize(), axis=0), timezone)
    opens = times - interval.length if stamp == "close" else times
    return VendorBars(numbers.set_axis(opens.tz_convert("UTC"), axis=0), timezone)
