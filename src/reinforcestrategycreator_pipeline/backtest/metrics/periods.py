"""How many bars a year has, from the bars themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError

_DAY = 86_400.0
_YEAR = 365.25 * _DAY
_ENOUGH = 0.5 * _YEAR
_HOLE = 20  # bars or days without a bar, whichever is longer: no market's holidays last so long
_WEEKDAY_SESSIONS = 252.0


def infer_periods_per_year(timestamps: pd.DatetimeIndex, bar_seconds: float) -> float:
    """Return how many bars a calendar year holds, as observed.

    With half a year of bars or more it is the number of bars over the elapsed calendar time
    (365.25 days a year), holes in the data left out: near 252 for daily bars of US shares, 365.25
    for daily bars of a market that never closes. Annual returns are then per calendar year.

    With less, elapsed time misleads (five daily bars from Monday to Friday span four days), so
    it is estimated: bars on a typical day times 252 days, or 365.25 days if a bar falls on a
    Saturday; for bars longer than a day, a year over `bar_seconds`.

    Parameters
    ----------
    timestamps : DatetimeIndex, shape (n,)
        Close times in UTC, strictly increasing, n >= 2. The longer, the steadier the result: give
        all the bars, not those of the test split only.
    bar_seconds : float
        Median spacing of the bars, in seconds.

    Returns
    -------
    float
        Bars per year, above 0.

    Raises
    ------
    DataError
        If there are fewer than two stamps, they do not increase, or `bar_seconds` is not > 0.
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
    # A hole counts as one bar's time, like the step over it counts as one bar.
    elapsed = float(gaps.sum() - holes.sum() + holes.size * bar_seconds)
    if elapsed >= _ENOUGH:
        return len(gaps) / elapsed * _YEAR
    if bar_seconds > 1.5 * _DAY:
        return _YEAR / bar_seconds
    # The typical day is the fullest half's median: first and last day may be partial.
    per_day = np.unique(np.floor(seconds / _DAY), return_counts=True)[1]
    typical = float(np.median(np.sort(per_day)[len(per_day) // 2 :]))
    days = 365.25 if (timestamps.day_of_week == 5).any() else _WEEKDAY_SESSIONS
    return typical * days
