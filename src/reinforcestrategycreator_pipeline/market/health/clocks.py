"""Suspicion about times: days of another time zone, and sessions that shift by an hour."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Bools, Ints
from reinforcestrategycreator_pipeline.market.bar_calendar import ZONES, clock
from reinforcestrategycreator_pipeline.market.bars import DAY
from reinforcestrategycreator_pipeline.market.health.findings import Finding, finding
from reinforcestrategycreator_pipeline.market.places import Places

_HOUR = 3600 * 10**9
_DAILY = 18 * _HOUR, 36 * _HOUR
_FEWEST = 15  # days
_NONE, _SOME = 0.02, 0.1  # shares of the bars that are on no, or on some, Sundays
_IN_A_ROW = 3  # days that are an hour off, one after another
_FAR, _FEW = 4 * _HOUR, 0.05
_OPENS = 8.5 * _HOUR, 10 * _HOUR  # no exchange without summer time opens then, in UTC


def clock_findings(
    symbol: str, stamps: pd.DatetimeIndex, places: Places, step: int
) -> list[Finding]:
    """Return the times of one symbol that look wrong.

    Parameters
    ----------
    symbol : str
        Name of the symbol.
    stamps : DatetimeIndex
        Close times in UTC, increasing.
    places : Places
        Knows the days and the time zone.
    step : int
        Median spacing of the bars, in nanoseconds.
    """
    if step > _DAILY[1]:
        return []
    if step >= _DAILY[0]:
        found = [_moved_days(symbol, places.days(stamps)), _odd_hours(symbol, stamps, places)]
        return [one for one in found if one is not None]
    return _of_sessions(symbol, stamps, places, step)


def _moved_days(symbol: str, days: Ints) -> Finding | None:
    """Find bars of a week from Sunday to Thursday, or from Tuesday to Saturday."""
    if len(days) < _FEWEST:
        return None
    weekday = (days + 3) % 7
    share = np.bincount(weekday, minlength=7) / len(days)
    for lacks, has, way, words in (
        (4, 6, "early", ("Friday", "Sundays")),
        (0, 5, "late", ("Monday", "Saturdays")),
    ):
        if share[lacks] <= _NONE and share[has] >= _SOME:
            note = (
                f"no bar is on a {words[0]}, but {share[has]:.0%} are on {words[1]}: every day may "
                f"be one too {way}, as midnights of another time zone are. Set timezone, unless "
                "the exchange has that week."
            )
            bars = np.flatnonzero(weekday == has)[:1]
            return finding("time_zone", symbol, bars, grave=True, note=note)
    return None


def _odd_hours(symbol: str, stamps: pd.DatetimeIndex, places: Places) -> Finding | None:
    """Find bars of a day that close at another hour than nearly all others."""
    if len(stamps) < _FEWEST:
        return None
    zone = min((places.timezone, *ZONES), key=lambda name: _unusual(_clock(stamps, name)))
    times = _clock(stamps, zone)
    off = times - _mode(times)
    hour = _in_a_row(np.abs(off) == _HOUR)
    far = np.abs(off) >= _FAR
    if far.mean() > _FEW:
        far[:] = False
    bars = np.flatnonzero(hour | far)
    if not len(bars) or len(bars) > len(stamps) / 2:
        return None
    note = f"others close at {clock(_mode(times))} ({zone})."
    return finding("time_zone", symbol, bars, grave=True, note=note)


def _of_sessions(symbol: str, stamps: pd.DatetimeIndex, places: Places, step: int) -> list[Finding]:
    """Return what is odd about the first and last bars of the days."""
    zones = list(dict.fromkeys((places.timezone, *ZONES)))
    edges = {zone: _edges(stamps, zone) for zone in zones}
    zone = min(zones, key=lambda name: _unusual(edges[name][1]))
    firsts, begins, ends = edges[zone]
    found = []
    if (lost := _lost_hours(symbol, stamps, places.timezone, step)) is not None:
        found.append(lost)
    if len(firsts) < _FEWEST or _unusual(begins) > 0.5:
        return found
    open_, close = _mode(begins), _mode(ends)
    shift = begins - open_
    moved = (np.abs(shift) == _HOUR) & (ends - close == shift)
    if (rows := _in_a_row(moved)).any() and not rows.all():
        note = (
            f"on {int(rows.sum())} days, the session begins and ends an hour from its usual times "
            f"({clock(open_)} to {clock(close)}, {zone}): a clock change that was missed."
        )
        starts = np.flatnonzero(np.diff(np.concatenate([[False], rows]).astype(np.int8)) == 1)
        found.append(finding("time_zone", symbol, firsts[starts], grave=True, note=note))
    own, usual = _unusual(edges[places.timezone][1]), _unusual(begins)
    if places.timezone != "UTC" and own > usual + 0.1:
        note = f"sessions begin at one time of day in {zone}, but not in {places.timezone}."
        found.append(finding("time_zone", symbol, [0], grave=True, note=note))
    elif places.timezone == zone == "UTC" and _local_as_utc(stamps, firsts, begins, close, step):
        note = (
            f"sessions are from {clock(open_ - step)} to {clock(close)} UTC in winter and summer: "
            "these look like local times of an exchange. Set timezone."
        )
        found.append(finding("time_zone", symbol, [0], grave=True, note=note))
    return found


def _local_as_utc(
    stamps: pd.DatetimeIndex, firsts: Ints, begins: Ints, close: int, step: int
) -> bool:
    """Return whether sessions open in the morning of UTC throughout winter and summer."""
    open_ = _mode(begins) - step
    if not (_OPENS[0] <= open_ <= _OPENS[1] and 2 * _HOUR < close - open_ <= 10 * _HOUR):
        return False
    month = stamps[firsts].month.to_numpy()
    winter, summer = np.isin(month, (12, 1, 2)), np.isin(month, (6, 7, 8))
    if min(winter.sum(), summer.sum()) < _FEWEST:
        return False
    return _mode(begins[winter]) == _mode(begins[summer])


def _lost_hours(symbol: str, stamps: pd.DatetimeIndex, timezone: str, step: int) -> Finding | None:
    """Find gaps of an hour on days on which clocks are set forward somewhere."""
    if timezone != "UTC" or step > _HOUR:
        return None
    after = np.flatnonzero(np.diff(stamps.asi8) == step + _HOUR) + 1
    if not 0 < len(after) <= 100:
        return None
    days = stamps[after].tz_localize(None).normalize()
    for zone in ZONES[1:]:
        midnights = [(days + pd.Timedelta(n, "D")).tz_localize(zone).asi8 for n in (0, 1)]
        if np.all(midnights[1] - midnights[0] == DAY - _HOUR):
            note = (
                f"an hour is missing on every day on which clocks are set forward in {zone}: local "
                "times, read as UTC. Set timezone."
            )
            return finding("time_zone", symbol, after, grave=True, note=note)
    return None


def _clock(stamps: pd.DatetimeIndex, zone: str) -> Ints:
    """Return the time of day of each close in a zone, in nanoseconds, up to 24:00."""
    wall = stamps.tz_convert(zone).tz_localize(None).asi8
    return (wall - 1) % DAY + 1


def _edges(stamps: pd.DatetimeIndex, zone: str) -> tuple[Ints, Ints, Ints]:
    """Return the position of the first bar of each day of a zone, and the first and last times."""
    wall = stamps.tz_convert(zone).tz_localize(None).asi8
    days = (wall - 1) // DAY
    firsts = np.concatenate([[0], np.flatnonzero(np.diff(days)) + 1])
    lasts = np.concatenate([firsts[1:] - 1, [len(days) - 1]])
    return firsts, wall[firsts] - days[firsts] * DAY, wall[lasts] - days[lasts] * DAY


def _mode(values: Ints) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])


def _unusual(values: Ints) -> float:
    """Return the share of values that are not the most common one."""
    return 1.0 - float(np.unique(values, return_counts=True)[1].max()) / len(values)


def _in_a_row(flags: Bools) -> Bools:
    """Return the flags that are in runs of at least `_IN_A_ROW`."""
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    kept = np.zeros(len(flags), dtype=bool)
    for begin, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        kept[begin:end] = end - begin >= _IN_A_ROW
    return kept
