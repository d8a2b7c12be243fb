"""Bars that are missing, by what the data themselves show: the symbols' days and times of day."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.market.bar_calendar import BarCalendar
from reinforcestrategycreator_pipeline.market.bars import DAY
from reinforcestrategycreator_pipeline.market.health.findings import Finding, finding
from reinforcestrategycreator_pipeline.market.health.gaps import gaps_before
from reinforcestrategycreator_pipeline.market.places import Places

_PIECE = 730 * DAY  # sessions change over the years
_RARE_DAY = 0.1  # share of the Saturdays with bars, below which they are odd
_FEWEST_DAYS = 10
_LONG_BARS = 36 * 3600 * 10**9


def by_habit(
    times: Mapping[str, pd.DatetimeIndex], places: Mapping[str, Places], step: int
) -> tuple[list[Finding], str]:
    """Return gaps and bars on odd days, without a named calendar.

    Symbols with bars on the same days of the week share a calendar. A bar is due when at least half
    of those that have bars before and after have one, and at the days and times of day at which
    bars are regular.

    Parameters
    ----------
    times : mapping of str to DatetimeIndex
        Close times of each symbol in UTC, increasing.
    places : mapping of str to Places
        Knows the days of the bars.
    step : int
        Median spacing of the bars, in nanoseconds.

    Returns
    -------
    list of Finding
        What was found.
    str
        The calendar in words.
    """
    groups: dict[tuple[int, ...], list[str]] = {}
    found: list[Finding] = []
    for symbol, stamps in times.items():
        days = places[symbol].days(stamps)
        regular, odd = _weekdays(days)
        groups.setdefault(regular, []).append(symbol)
        if len(odd) and step <= _LONG_BARS:
            found.append(finding("off_session", symbol, odd))
    said = []
    for members in groups.values():
        union = times[members[0]]
        if len(members) > 1:
            every = np.unique(np.concatenate([times[s].asi8 for s in members]))
            union = pd.DatetimeIndex(every, tz="UTC")
        missing, words = _missing(union)
        said.append(words)
        if missing.any():
            found.append(_of_all(members, times, union, missing))
        if len(members) > 1:
            found += _lone(members, times, union)
    kinds = list(dict.fromkeys(said))
    more = f" and {len(kinds) - 2} more kinds" if len(kinds) > 2 else ""
    return found, f"bars {' or '.join(kinds[:2])}{more}"


def _weekdays(days: Ints) -> tuple[tuple[int, ...], Ints]:
    """Return the weekdays with bars, and the positions of bars on days that rarely have any."""
    distinct = pd.unique(days)
    held = np.bincount((distinct + 3) % 7, minlength=7)
    if len(distinct) < _FEWEST_DAYS:
        return tuple(np.flatnonzero(held).tolist()), np.empty(0, np.int64)
    rare = (held > 0) & (held < _RARE_DAY * held.max())
    odd = np.flatnonzero(rare[(days + 3) % 7])
    return tuple(np.flatnonzero((held > 0) & ~rare).tolist()), odd


def _missing(stamps: pd.DatetimeIndex) -> tuple[Ints, str]:
    """Return how many bars are missing before each but the first, and the habit in words."""
    values = stamps.asi8
    counts = np.zeros(max(len(values) - 1, 0), dtype=np.int64)
    end, zone, words = len(values), None, "at any time"
    while end > 1:
        begin = min(int(np.searchsorted(values, values[end - 1] - _PIECE)), end - 2)
        piece = stamps[begin:end]
        calendar = BarCalendar.of(piece, zone)
        if zone is None:
            zone, words = calendar.zone, calendar.describe()
        counts[begin : end - 1] = calendar.missing_before(piece)
        end = begin + 1
    return counts, words


def _of_all(
    members: list[str],
    times: Mapping[str, pd.DatetimeIndex],
    union: pd.DatetimeIndex,
    missing: Ints,
) -> Finding:
    """Return the gaps of all symbols, at the rows of the one with the most bars."""
    symbol = max(members, key=lambda name: len(times[name]))
    after = np.flatnonzero(missing) + 1
    bars = np.searchsorted(times[symbol].asi8, union.asi8[after])
    inside = (bars > 0) & (bars < len(times[symbol]))
    bars, first = np.unique(bars[inside], return_index=True)
    counts = np.add.reduceat(missing[after - 1][inside], first) if len(first) else first
    note = "holidays, or missing bars; a calendar (data.calendar) tells them apart."
    if len(members) > 1:
        note = f"no symbol has these: {note}"
    return finding("gap", symbol, bars, counts, note=note)


def _lone(
    members: list[str], times: Mapping[str, pd.DatetimeIndex], union: pd.DatetimeIndex
) -> list[Finding]:
    """Return the bars that a symbol lacks though at least half of those around have them."""
    every = union.asi8
    held = np.zeros(len(every), dtype=np.int64)
    alive = np.zeros(len(every) + 1, dtype=np.int64)
    for symbol in members:
        held[np.searchsorted(every, times[symbol].asi8)] += 1
        first, last = np.searchsorted(every, times[symbol].asi8[[0, -1]])
        alive[first] += 1
        alive[last + 1] -= 1
    common = every[2 * held >= np.cumsum(alive)[:-1]]
    found = []
    for symbol in members:
        stamps = times[symbol].asi8
        within = common[(common > stamps[0]) & (common < stamps[-1])]
        lacks = np.setdiff1d(within, stamps, assume_unique=True)
        if len(lacks):
            note = "at least half of the symbols have bars then."
            gap = gaps_before(symbol, stamps, lacks, grave=False)
            found.append(finding("gap", symbol, gap.bars, gap.values, note=note))
    return found
