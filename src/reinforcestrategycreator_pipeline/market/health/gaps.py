"""Bars that are missing, and bars that should not be there, by the sessions of an exchange."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.market.health.findings import Finding, finding
from reinforcestrategycreator_pipeline.market.places import Places
from reinforcestrategycreator_pipeline.market.sessions import Sessions

_HOUR = 3600 * 10**9
_A_DAY = 18 * _HOUR, 36 * _HOUR  # spacing of bars of a day
_REGULAR = 0.5  # share of the sessions in which a bar at this time is expected
_MANY = 0.3  # share of bars outside of sessions from which the times are suspicious
_MANY_DAYS = 0.1  # a fifth are Sundays, if each is moved by one
_FITS = 0.95
_SAMPLE = 20_000
_DAY_OFF = (
    "the days fit the calendar if each is moved by one: midnights of another time zone, read as "
    "those of this one. Set timezone."
)


def by_sessions(
    symbol: str, stamps: pd.DatetimeIndex, places: Places, step: int, sessions: Sessions
) -> list[Finding]:
    """Return gaps, bars outside of sessions, and suspicious times, by a named calendar.

    Parameters
    ----------
    symbol : str
        Name of the symbol.
    stamps : DatetimeIndex
        Close times in UTC, increasing.
    places : Places
        Knows the days of the bars.
    step : int
        Median spacing of the bars, in nanoseconds.
    sessions : Sessions
        The calendar, at least from the first bar to the last.
    """
    if step > _A_DAY[1]:
        return []
    if step >= _A_DAY[0]:
        return _of_days(symbol, places.days(stamps), sessions)
    return _within_days(symbol, stamps, places, step, sessions)


def gaps_before(symbol: str, held: Ints, missing: Ints, *, grave: bool) -> Finding:
    """Return the gap before each bar: how many of the missing times are there.

    Parameters
    ----------
    symbol : str
        Name of the symbol.
    held, missing : ndarray of int
        Times of the bars and of those that are missing, increasing, in one unit.
    grave : bool
        Whether they are certain to be missing.
    """
    bars, counts = np.unique(np.searchsorted(held, missing), return_counts=True)
    return finding("gap", symbol, bars, counts, grave=grave)


def _of_days(symbol: str, days: Ints, sessions: Sessions) -> list[Finding]:
    held = pd.unique(days)
    due = sessions.between(int(held[0]), int(held[-1])).days
    missing = np.setdiff1d(due, held, assume_unique=True)
    outside = np.flatnonzero(~np.isin(days, sessions.days))
    found = [gaps_before(symbol, days, missing, grave=True)]
    if len(outside) > _MANY_DAYS * len(days):
        if any(np.isin(held + by, sessions.days).mean() > _FITS for by in (-1, 1)):
            return [finding("time_zone", symbol, outside[:1], grave=True, note=_DAY_OFF)]
        note = f"so many that {sessions.name} seems to be another market's calendar."
        return [*found, finding("off_session", symbol, outside, grave=True, note=note)]
    return [*found, finding("off_session", symbol, outside, grave=True)]


def _within_days(
    symbol: str, stamps: pd.DatetimeIndex, places: Places, step: int, sessions: Sessions
) -> list[Finding]:
    times = stamps.asi8
    owner = sessions.of(times, step)
    outside = np.flatnonzero(owner < 0)
    note, found = "", []
    if len(outside) > _MANY * len(times):
        if suspicion := _other_clock(stamps, places, step, sessions):
            return [finding("time_zone", symbol, outside[:1], grave=True, note=suspicion)]
        note = "so many that they are extended hours, or another calendar's."
    inside = owner >= 0
    if inside.any():
        found.append(_missing_within(symbol, times, owner, step, sessions))
    return [*found, finding("off_session", symbol, outside, grave=not note, note=note)]


def _missing_within(
    symbol: str, times: Ints, owner: Ints, step: int, sessions: Sessions
) -> Finding:
    """Return the bars that are missing of sessions, by the times after the open that are usual."""
    inside = owner >= 0
    after = times[inside] - sessions.opens[owner[inside]]
    values, counts = np.unique(after, return_counts=True)
    regular = values[counts >= _REGULAR * len(np.unique(owner[inside]))]
    held = owner[inside]
    span = slice(int(held.min()), int(held.max()) + 1)
    opens, closes, breaks = (
        x[span, None] for x in (sessions.opens, sessions.closes, sessions.breaks[:, 0])
    )
    due = opens + regular[None, :]
    ends = sessions.breaks[span, 1][:, None]
    wanted = (due <= closes) & ~((due - step >= breaks) & (due <= ends))
    wanted &= (due > times[0]) & (due < times[-1])
    expected = due[wanted]  # in order: sessions do not overlap
    missing = expected[times[np.searchsorted(times, expected)] != expected]
    return gaps_before(symbol, times, missing, grave=True)


def _other_clock(stamps: pd.DatetimeIndex, places: Places, step: int, sessions: Sessions) -> str:
    """Return a sentence if the times fit the sessions on another clock; else empty."""
    some = stamps[:: max(1, len(stamps) // _SAMPLE)]
    wall = some.tz_convert(places.timezone).tz_localize(None)
    local = wall.tz_localize(sessions.zone, ambiguous="NaT", nonexistent="NaT")
    local = local[np.asarray(local.notna())].tz_convert("UTC").as_unit("ns")
    if len(local) and (sessions.of(local.asi8, step) >= 0).mean() > _FITS:
        return (
            f"the times fit the sessions of {sessions.name} if they are local times: set timezone: "
            f"{sessions.zone}."
        )
    times = some.asi8
    for hours in sorted(range(-14, 15), key=abs):
        if (sessions.of(times + hours * _HOUR, step) >= 0).mean() > _FITS:
            return f"the times fit the sessions of {sessions.name} if {hours:+} hours are added."
    return ""
