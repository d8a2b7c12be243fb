"""Vendors' rows as frames of bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError


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
