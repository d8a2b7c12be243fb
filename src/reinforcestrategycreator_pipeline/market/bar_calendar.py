"""When bars are expected, as known from the bars that came before.

No holidays are known: the days of the week and the times of day at which bars regularly closed in
the last two years are. Times are local to the zone in which they vary least, because a session that
closes at 16:00 in New York closes at two different times in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.market.bars import DAY, median_step

# Zones with different rules for daylight saving time; others are a constant shift of one of them.
ZONES = ("UTC", "America/New_York", "Europe/London", "Australia/Sydney", "Pacific/Auckland")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_RECENT = 730 * DAY  # sessions change over the years
_ENOUGH_DAYS = 10  # days with bars from which a habit can be read
_REGULAR_DAY = 0.8  # share of the Mondays with bars; a holiday often falls on a Monday
_REGULAR_TIME = 0.9  # share of the days with bars that have a bar at this time
_TOLERANCE = 48  # times that are closer than bar / 48 are the same: 30 minutes for a day
_MOST_TIMES = 48  # with more different times of day, daily bars close at any time; shorter bars,
_MOST_PER_BAR = 2  # with more than this for each bar that fits into a day
_EVEN = 2.0  # spacings are even if 95% are at most this many times the median
_DAILY = (18 * 3600.0, 36 * 3600.0)  # median spacings of daily bars, in seconds

Runs = tuple[tuple[int, int, int], ...]
"""Increasing integers as arithmetic progressions: (first, step, count)."""


class Missing(NamedTuple):
    """Bars that were expected: their number, and the close time of the first, in words."""

    bars: int
    first: str


@dataclass(frozen=True)
class BarCalendar:
    """The times at which the bars of one symbol close.

    Attributes
    ----------
    bar_seconds : float
        Median spacing, in seconds.
    shortest_seconds : float
        Shortest spacing, in seconds.
    longest_seconds : float
        Spacing above which bars look missing where no days or times are regular, in seconds.
    zone : str
        IANA time zone of the days and times.
    days : tuple of int
        Weekdays with bars, regular or not, 0 for Monday; empty if too few are known.
    times : runs
        Times of day at which bars closed, in nanoseconds after midnight, up to 24:00; empty if
        bars close at any time.
    regular : tuple of runs
        Times of day at which a bar is expected, by weekday. For daily bars, the time does not
        matter: one bar is expected on the day.
    """

    bar_seconds: float
    shortest_seconds: float
    longest_seconds: float
    zone: str
    days: tuple[int, ...]
    times: Runs
    regular: tuple[Runs, ...]

    @classmethod
    def of(cls, stamps: pd.DatetimeIndex, zone: str | None = None) -> BarCalendar:
        """Return the calendar of bars that closed at these times.

        Parameters
        ----------
        stamps : DatetimeIndex
            Close times with a time zone, at least two, increasing.
        zone : str, optional
            IANA time zone of the sessions. By default the one of `ZONES` in which times vary
            least, which takes a history in which clocks changed.
        """
        all_spacings = np.diff(stamps.as_unit("ns").asi8)
        stamps = stamps[stamps.as_unit("ns").asi8 > stamps.as_unit("ns").asi8[-1] - _RECENT]
        if len(stamps) < 3:
            spacings, step = all_spacings, int(np.median(all_spacings))
        else:
            spacings, step = np.diff(stamps.as_unit("ns").asi8), median_step([stamps])
        long = float(np.quantile(spacings, 0.95, method="lower"))
        seconds = {
            "bar_seconds": step / 1e9,
            "shortest_seconds": float(all_spacings.min()) / 1e9,
            "longest_seconds": 1.5
            * (long if long <= _EVEN * step else float(spacings.max()))
            / 1e9,
        }
        grain = max(step // _TOLERANCE, 1)
        if zone is None:  # the first of equals
            zone = min(ZONES, key=lambda name: _variety(stamps, name, grain))
        date, time = _local(stamps, zone, grain)
        dates = pd.unique(date)  # in order, as they are
        if step / 1e9 > _DAILY[1] or len(dates) < _ENOUGH_DAYS:
            return cls(**seconds, zone=zone, days=(), times=(), regular=())
        weekdays = np.arange(dates[0], dates[-1] + 1)
        of_dates = np.bincount(_weekday(weekdays), minlength=7)
        with_bars = np.bincount(_weekday(dates), minlength=7)
        daily = step / 1e9 >= _DAILY[0]
        regular: list[Runs] = []
        for day in range(7):
            if with_bars[day] < _REGULAR_DAY * of_dates[day] or not with_bars[day]:
                regular.append(())
                continue
            found, counts = np.unique(time[_weekday(date) == day], return_counts=True)
            often = found[counts >= _REGULAR_TIME * with_bars[day]]
            regular.append(_runs(found[:1] if daily else often))
        times = np.unique(time)
        any_time = len(times) > (_MOST_TIMES if daily else _MOST_PER_BAR * DAY / step)
        known = tuple(np.flatnonzero(with_bars).tolist())
        runs = () if any_time else _runs(times)
        return cls(**seconds, zone=zone, days=known, times=runs, regular=tuple(regular))

    @property
    def is_daily(self) -> bool:
        """Whether one bar is expected on a day."""
        return _DAILY[0] <= self.bar_seconds <= _DAILY[1]

    @property
    def grain(self) -> int:
        """Difference below which times are the same, in nanoseconds."""
        return max(round(self.bar_seconds * 1e9) // _TOLERANCE, 1)

    def unknown_time(self, stamp: pd.Timestamp) -> str | None:
        """Return day and time of a bar if none closed then before, else None."""
        (date,), (time,) = _local(pd.DatetimeIndex([stamp]), self.zone, 1)
        weekday = int(_weekday(date))
        known_time = not len(self._times) or np.abs(self._times - time).min() <= self.grain
        if known_time and (not self.days or weekday in self.days):
            return None
        return f"{WEEKDAYS[weekday]} {clock(int(time))} ({self.zone})"

    def same_day(self, last: pd.Timestamp, stamp: pd.Timestamp) -> bool:
        """Tell whether two bars close on the same known day."""
        dates, _ = _local(pd.DatetimeIndex([last, stamp]), self.zone, 1)
        return bool(self.days) and bool(dates[0] == dates[1])

    def missing(self, last: pd.Timestamp, stamp: pd.Timestamp) -> Missing | None:
        """Return the bars that were expected between two consecutive ones, or None."""
        if not any(self.regular):
            longest = pd.Timedelta(round(self.longest_seconds * 1e9), "ns")
            if stamp - last <= longest:
                return None
            step = pd.Timedelta(round(self.bar_seconds * 1e9), "ns")
            return Missing(max(1, round((stamp - last) / step) - 1), f"about {last + step}")
        dates, times = _local(pd.DatetimeIndex([last, stamp]), self.zone, 1)
        count, first = 0, ""
        for date in range(int(dates[0]), int(dates[1]) + 1):
            expected = self._regular[int(_weekday(date))]
            if self.is_daily and dates[0] < date < dates[1]:
                found = expected
            elif self.is_daily:
                continue
            else:
                low = times[0] + self.grain if date == dates[0] else -1
                high = times[1] - self.grain if date == dates[1] else 2 * DAY
                found = expected[(expected > low) & (expected < high)]
            if len(found) and not count:
                day = np.datetime64(date, "D")
                first = f"{day} {clock(int(found[0]))} ({self.zone})"
            count += len(found)
        return Missing(count, first) if count else None

    def missing_before(self, stamps: pd.DatetimeIndex) -> Ints:
        """Return the number of bars that were expected before each bar but the first.

        Parameters
        ----------
        stamps : DatetimeIndex
            Close times with a time zone, T of them, increasing.

        Returns
        -------
        ndarray of int, shape (T - 1,)
            Counts as by `missing`, of all pairs of consecutive bars.
        """
        if not any(self.regular):
            spacings = np.diff(stamps.as_unit("ns").asi8) / 1e9
            between = np.maximum(np.round(spacings / self.bar_seconds).astype(np.int64) - 1, 1)
            counts: Ints = np.where(spacings > self.longest_seconds, between, 0)
            return counts
        dates, times = _local(stamps, self.zone, 1)
        if self.is_daily:
            before = np.cumsum([0, *(bool(runs) for runs in self.regular)])
            after = _in_weeks(before[1:], int(before[-1]), dates[:-1])
            daily: Ints = _in_weeks(before[:-1], int(before[-1]), dates[1:]) - after
            return np.maximum(daily, 0)
        week = np.concatenate([day * DAY + values for day, values in enumerate(self._regular)])
        clock_of_week = (dates + 3) * DAY + times  # 1970-01-01 was a Thursday
        low, high = clock_of_week[:-1] + self.grain, clock_of_week[1:] - self.grain
        weeks, within = _weeks(low)
        until = weeks * len(week) + np.searchsorted(week, within, side="right")
        weeks, within = _weeks(high)
        before_next = weeks * len(week) + np.searchsorted(week, within, side="left")
        missing: Ints = np.maximum(before_next - until, 0)
        return missing

    def describe(self) -> str:
        """Return the days and times in words, for a message."""
        names = ", ".join(WEEKDAYS[day] for day in self.days) or "any day"
        if self.days in (tuple(range(5)), tuple(range(7))):
            names = f"{WEEKDAYS[0]} to {WEEKDAYS[self.days[-1]]}"
        times = self._times
        if not len(times):
            return f"on {names}"
        if len(times) <= 3:
            return f"on {names} at {' or '.join(clock(int(t)) for t in times)} ({self.zone})"
        first, last = clock(int(times[0])), clock(int(times[-1]))
        return f"on {names} at {len(times)} times from {first} to {last} ({self.zone})"

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON."""
        return {
            "bar_seconds": self.bar_seconds,
            "shortest_seconds": self.shortest_seconds,
            "longest_seconds": self.longest_seconds,
            "zone": self.zone,
            "days": list(self.days),
            "times": [list(run) for run in self.times],
            "regular": [[list(run) for run in runs] for runs in self.regular],
        }

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> BarCalendar:
        """Restore a calendar from the result of `to_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the mapping is not such a result.
        """
        seconds = {
            name: float(mapping[name])
            for name in ("bar_seconds", "shortest_seconds", "longest_seconds")
        }
        if not all(0.0 < value < math.inf for value in seconds.values()):
            raise ValueError(f"spacings must be finite and > 0. Got {seconds}")
        days = tuple(int(day) for day in mapping["days"])
        regular = tuple(_read_runs(runs) for runs in mapping["regular"])
        if len(regular) not in (0, 7) or not set(days) <= set(range(7)):
            raise ValueError("a week has the days 0 to 6")
        zone = ZoneInfo(str(mapping["zone"])).key
        return cls(
            **seconds, zone=zone, days=days, times=_read_runs(mapping["times"]), regular=regular
        )

    @cached_property
    def _times(self) -> Ints:
        return _values(self.times)

    @cached_property
    def _regular(self) -> tuple[Ints, ...]:
        return tuple(_values(runs) for runs in self.regular)


def clock(time: int) -> str:
    """Return a time of day, in nanoseconds after midnight, as ``"16:00"``, with seconds if any."""
    seconds, rest = divmod(time, 10**9)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    if seconds % 60 or rest:
        text += f":{seconds % 60:02}"
    return text + (f".{rest:09}".rstrip("0") if rest else "")


def _local(stamps: pd.DatetimeIndex, zone: str, grain: int) -> tuple[Ints, Ints]:
    """Return dates (days since 1970) and times of day (ns, to the grain) on the clocks of a zone.

    Midnight belongs to the day that it ends: the time of day is in (0, 24 h].
    """
    wall = stamps.tz_convert(zone).tz_localize(None).as_unit("ns").asi8
    date = (wall - 1) // DAY
    time = wall - date * DAY
    return date, np.minimum((time + grain // 2) // grain * grain, DAY) if grain > 1 else time


def _weekday(date: Any) -> Any:
    return (date + 3) % 7  # 1970-01-01 was a Thursday


def _weeks(moments: Ints) -> tuple[Ints, Ints]:
    """Return the week of each moment, and the time in it, in (0, 7 days]."""
    weeks = (moments - 1) // (7 * DAY)
    return weeks, moments - weeks * 7 * DAY


def _in_weeks(of_day: Ints, of_week: int, dates: Ints) -> Ints:
    """Return a count that grows by `of_week` each week, and is `of_day` within the first."""
    counts: Ints = (dates + 3) // 7 * of_week + of_day[(dates + 3) % 7]
    return counts


def _variety(stamps: pd.DatetimeIndex, zone: str, grain: int) -> int:
    """Count the different days of the week and times of day at which bars close."""
    date, time = _local(stamps, zone, grain)
    return len(pd.unique(_weekday(date) * (2 * DAY) + time))


def _runs(values: Ints) -> Runs:
    """Return increasing integers as arithmetic progressions."""
    return tuple(_progressions(values.tolist()))


def _progressions(values: list[int]) -> Iterator[tuple[int, int, int]]:
    start = 0
    while start < len(values):
        if start + 1 == len(values):
            yield values[start], 0, 1
            return
        step, end = values[start + 1] - values[start], start + 1
        while end + 1 < len(values) and values[end + 1] - values[end] == step:
            end += 1
        yield values[start], step, end - start + 1
        start = end + 1


def _read_runs(runs: Any) -> Runs:
    found = tuple((int(first), int(step), int(count)) for first, step, count in runs)
    for first, step, count in found:
        if min(first, step, count - 1) < 0 or first + step * (count - 1) > DAY:
            raise ValueError(f"not times of a day: {first}, {step}, {count}")
    if sum(count for _, _, count in found) > 10**6:
        raise ValueError("more than a million times of day")
    return found


def _values(runs: Runs) -> Ints:
    parts = [first + step * np.arange(count, dtype=np.int64) for first, step, count in runs]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
