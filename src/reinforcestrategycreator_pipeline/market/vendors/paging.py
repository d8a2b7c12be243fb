"""Many pages as one: each must bring later bars, or fetching ends."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError

MOST_PAGES = 100_000


def all_pages(
    page: Callable[[pd.Timestamp], pd.DataFrame],
    start: pd.Timestamp,
    end: pd.Timestamp,
    step: pd.Timedelta,
    skip: pd.Timedelta | None = None,
) -> pd.DataFrame:
    """Return the bars of all pages from `start` to `end`.

    Parameters
    ----------
    page : callable
        Returns the first bars that open at a time or later, indexed by that, in order; none if
        there are none.
    start, end : Timestamp
        First open, and the time before which bars open.
    step : Timedelta
        Shortest distance of two opens, > 0; the next page begins so much after the last bar.
    skip : Timedelta, optional
        Time that one page covers, for vendors that answer a page in a gap with none: the next one
        is tried. By default, an empty page is the end.

    Returns
    -------
    DataFrame
        Bars in order, each open once.

    Raises
    ------
    VendorError
        If a page is not empty and brings no bar at the time asked for or later, or is not in order.
    """
    parts: list[pd.DataFrame] = []
    following = start
    for _ in range(MOST_PAGES):
        if following >= end:
            break
        found = page(following)
        if found.empty:
            if skip is None:
                break
            following += skip
            continue
        index = pd.DatetimeIndex(found.index)
        if not index.is_monotonic_increasing or index.has_duplicates:
            raise VendorError(f"the page from {following} is not in order of time.")
        last = index[-1]
        if last < following:
            raise VendorError(
                f"the page from {following} ends at {last}, before it: paging does not advance."
            )
        parts.append(found[(index >= following) & (index < end)])
        following = last + step
    else:
        raise VendorError(f"there are more than {MOST_PAGES:,} pages.")
    return pd.concat(parts) if parts else pd.DataFrame()
