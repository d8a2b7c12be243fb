"""The number of bars per year, from the elapsed time of the bars at hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError

_DAY = 86_400.0
_YEAR = 365.25 * _DAY
_ENOUGH = 90 * _DAY
_WEEKDAY_SESSIONS = 252.0


def infer_periods_per_year(timestamps: pd.DatetimeIndex) -> float:
    """Return the number of bars per calendar year of these closes.

    With 90 days or more, it is the number of bars over the elapsed time (365.25 days
    per year), whatever their spacing: near 252 for daily bars of US stocks, 365.25 for those of a
    market that never closes, in between for bars that are daily first and weekly later. Annual
    returns are then per calendar year.

    With less, elapsed time is misleading (five daily bars from Monday to Friday span four days), so
    the number is estimated: bars on a typical day times 252 days, or 365.25 days if a bar closes on
    a Saturday; for bars longer than a day, a year over their median spacing.

    Parameters
    ----------
    timestamps : DatetimeIndex, shape (n,)
        Close times in UTC, strictly increasing, n >= 2: those of the result that is annualized, of
        one asset or of the portfolio, and of no other span.

    Returns
    -------
    float
        Bars per year, > 0.

    Raises
    ------
    DataError
        If there are fewer than two timestamps, or they do not increase.
    """
    if len(timestamps) < 2:
        raise DataError(f"bars per year need at least 2 timestamps. Got {len(timestamps)}.")
    nanoseconds = timestamps.as_unit("ns").asi8
    gaps = np.diff(nanoseconds) / 1e9
    if not gaps.min() > 0:
        at = timestamps[int(gaps.argmin()) + 1]
        raise DataError(f"timestamps must be strictly increasing; {at} is not after the one before")
    elapsed = float(nanoseconds[-1] - nanoseconds[0]) / 1e9
    if elapsed >= _ENOUGH:
        return len(gaps) / elapsed * _YEAR
    spacing = float(np.median(gaps))
    if spacing > 1.5 * _DAY:
        return _YEAR / spacing
    # A bar that closes at midnight belongs to the day before.
    dates = (nanoseconds - 1) // int(_DAY * 1e9)
    # The median of the fuller half of the days, as the first and last day may be partial.
    per_day = np.unique(dates, return_counts=True)[1]
    typical = float(np.median(np.sort(per_day)[len(per_day) // 2 :]))
    saturday = ((dates + 3) % 7 == 5).any()  # 1970-01-01 was a Thursday, weekday 3
    return typical * (365.25 if saturday else _WEEKDAY_SESSIONS)
