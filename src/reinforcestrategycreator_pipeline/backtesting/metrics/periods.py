"""The number of bars per year, inferred from the bars."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError

_DAY = 86_400.0
_YEAR = 365.25 * _DAY
_ENOUGH = 0.5 * _YEAR
_HOLE = 20  # bars or days without a bar, whichever is longer; no market has longer holidays
_WEEKDAY_SESSIONS = 252.0


def infer_periods_per_year(timestamps: pd.DatetimeIndex, bar_seconds: float) -> float:
    """Return the observed number of bars per calendar year.

    With half a year of bars or more, it is the number of bars over the elapsed calendar time
    (365.25 days per year), excluding holes in the data: near 252 for daily bars of US stocks,
    365.25 for daily bars of a market that never closes. Annual returns are then per calendar year.

    With less, elapsed time is misleading (five daily bars from Monday to Friday span four days), so
    the number is estimated: bars on a typical day times 252 days, or 365.25 days if a bar falls on
    a Saturday; for bars longer than a day, a year over `bar_seconds`.

    Parameters
    ----------
    timestamps : DatetimeIndex, shape (n,)
        Close times in UTC, strictly increasing, n >= 2. More bars give a more stable result: pass
        all bars, not only those of the test split.
    bar_seconds : float
        Median spacing of the bars, in seconds, > 0.

    Returns
    -------
    float
        Bars per year, > 0.

    Raises
    ------
    DataError
        If there are fewer than two timestamps, they do not increase, or `bar_seconds` is not > 0.
    """
    if not bar_seconds > 0:
        raise DataError(f"bar_seconds must be > 0. Got {bar_seconds!r} instead.")
    if len(timestamps) < 2:
        raise DataError(f"bars per year need at least 2 timestamps. Got {len(timestamps)}.")
    seconds = timestamps.as_unit("ns").asi8 / 1e9
    gaps = np.diff(seconds)
    if not gaps.min() > 0:
        at = timestamps[int(gaps.argmin()) + 1]
        raise DataError(f"timestamps must be strictly increasing; {at} is not after the one before")
    holes = gaps[gaps > _HOLE * max(bar_seconds, _DAY)]
    # A hole counts as the time of one bar, as the step over it counts as one bar.
    elapsed = float(gaps.sum() - holes.sum() + holes.size * bar_seconds)
    if elapsed >= _ENOUGH:
        return len(gaps) / elapsed * _YEAR
    if bar_seconds > 1.5 * _DAY:
        return _YEAR / bar_seconds
    # The median of the fuller half of the days, as the first and last day may be partial.
    per_day = np.unique(np.floor(seconds / _DAY), return_counts=True)[1]
    typical = float(np.median(np.sort(per_day)[len(per_day) // 2 :]))
    days = 365.25 if (timestamps.day_of_week == 5).any() else _WEEKDAY_SESSIONS
    return typical * days
