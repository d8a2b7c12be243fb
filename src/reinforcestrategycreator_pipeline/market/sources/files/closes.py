"""From the stamps of one symbol's bars to their closes in UTC: never before the bar is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bars import DAY, median_step
from reinforcestrategycreator_pipeline.market.sources.files.names import (
    is_close_time,
    is_open_time,
)
from reinforcestrategycreator_pipeline.market.sources.files.stamps import ParsedStamps, StampRules

_HOUR = DAY // 24
_A_DAY = 20 * _HOUR, 36 * _HOUR
"""Spacing of bars of a day: the clock may change, and sessions may open late."""
_EVENING = 16 * _HOUR
"""Clock from which a weekday's time may be the close of its session; most open before."""
_MIDNIGHT = 24 * _HOUR - _HOUR // 60
"""Clock from which a time is the end of its day: nothing opens a minute before midnight."""


@dataclass(frozen=True)
class Closes:
    """The closes of one symbol's bars.

    Attributes
    ----------
    times : DatetimeIndex
        Closes in UTC.
    shift_ns : int
        Nanoseconds from a moment in a bar's day to its close, see `bars.day_of`.
    guesses : tuple of str
        What the file does not say, one sentence each, without the file's name.
    """

    times: pd.DatetimeIndex
    shift_ns: int = 1
    guesses: tuple[str, ...] = ()


def close_times(
    parsed: ParsedStamps,
    rules: StampRules,
    column: str,
    origin: str,
    localize: Callable[[pd.DatetimeIndex], pd.DatetimeIndex],
) -> Closes:
    """Return the close of each bar.

    Parameters
    ----------
    parsed : ParsedStamps
        Stamps of all bars of one symbol, in any order.
    rules : StampRules
        What the configuration says of them.
    column : str
        Name of their column.
    origin : str
        File or folder, for error messages.
    localize : callable
        Returns local times in UTC, or raises.

    Raises
    ------
    DataError
        If the stamps do not tell where their bars end.
    """
    stamp: str = rules.bar_stamp
    if stamp == "auto" and (is_open_time(column) or is_close_time(column)):
        stamp = "open" if is_open_time(column) else "close"
    if parsed.kind == "date":
        return _of_dates(parsed.values, rules, stamp, column, origin)
    if rules.bar_stamp != "close":
        days = parsed.labels
        if days is None and parsed.kind == "instant":
            days = _days_of_zone(parsed.values, rules.timezone)
        if days is not None:
            found = _of_dates(days, rules, stamp, column, origin)
            if parsed.kind == "instant" and rules.session_close is None:
                # Of another zone than the days': the day that begins there must be over, too.
                over = parsed.values + (found.last_days - days) + pd.Timedelta(1, "D")
                later = np.maximum(found.times.asi8, over.tz_convert("UTC").as_unit("ns").asi8)
                found = replace(found, times=pd.DatetimeIndex(later, tz="UTC"))
                found = replace(found, shift_ns=_shift(found, rules.timezone))
            note = (
                f"every {column} is midnight, so they are read as dates, not as close times "
                "(bar_stamp: close reads them as close times)."
            )
            said = () if rules.bar_stamp == "open" else (note,)
            return Closes(found.times, found.shift_ns, (*said, *found.guesses))
    values = localize(parsed.values) if parsed.kind == "local" else parsed.values
    values = values.tz_convert("UTC").as_unit("ns")
    unique = pd.DatetimeIndex(values.unique().sort_values())
    if stamp == "close" or len(unique) < 2:
        return Closes(values)
    step = median_step([unique])
    # Not the median, which a weekend among a few rows is.
    typical = int(np.quantile(np.diff(unique.asi8), 0.25, method="lower"))
    local = values.tz_convert(rules.timezone).tz_localize(None)
    if parsed.clock is not None and rules.timezone == "UTC":
        local = parsed.clock
    if typical >= _A_DAY[1]:
        in_utc = rules.timezone == "UTC" and parsed.clock is None
        if stamp == "auto" and in_utc and _begins_elsewhere(local):
            raise DataError(
                f"{origin}: every {column}, the first {local[0]}, is late on a month's last day. "
                "Is it the midnight of another time zone, which begins the next month (set "
                "timezone), or the close of its bar (bar_stamp: close)?"
            )
        return _of_long_bars(values, local, rules, stamp, column, origin)
    if typical >= _A_DAY[0]:
        return _of_days(values, local, rules, column, stamp)
    if stamp == "open":
        opens = f"{column} is the open: the bar spacing of {step / 1e9:g} s was added."
        return Closes(values + pd.Timedelta(step, "ns"), 1, (opens,))
    raise DataError(
        f"{origin}: is every {column}, {step / 1e9:g} s apart, the open of its bar "
        "(bar_stamp: open) or the close (bar_stamp: close)? Set bar_stamp."
    )


def _days_of_zone(values: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex | None:
    """Return the days of the zone, if all times, written in another, are its midnights."""
    zoned = values.tz_convert(timezone)
    return zoned.tz_localize(None) if zoned.equals(zoned.normalize()) else None


def _of_days(
    values: pd.DatetimeIndex,
    local: pd.DatetimeIndex,
    rules: StampRules,
    column: str,
    stamp: str,
) -> Closes:
    """Return the closes of bars of a day, stamped with a time of day, by the clock of `local`."""
    clock = int(np.median((local - local.normalize()).to_numpy().astype(np.int64)))
    at = f"{clock // _HOUR:02}:{clock % _HOUR // (60 * 10**9):02}"
    if rules.session_close is not None:
        closes = _next_session_close(values, rules, including=stamp == "auto")
        said = f"every {column} is a time of day: its bar closes at the next {rules.session_close}."
        return Closes(closes, 1, (said,))
    weekdays = bool((local.day_of_week < 5).all())
    if stamp == "auto" and (clock >= _MIDNIGHT or (clock >= _EVENING and weekdays)):
        said = f"every {column}, such as {at}, is read as the close of its bar (bar_stamp: open)."
        return Closes(values, 1, (said,))
    next_day = values.tz_convert(rules.timezone).tz_localize(None) + pd.Timedelta(1, "D")
    closes = _in_utc(next_day, rules.timezone)
    says = "is the open of its bar, which closes a day later"
    if stamp == "auto":
        says = "is read as the open of its bar, which closes a day later (bar_stamp: close)"
    said = f"every {column}, such as {at}, {says}; session_close: HH:MM states the close."
    if clock >= _EVENING and not bool((local.day_of_week == 4).any()):
        return Closes(closes, 1, (said,))  # Sunday evening opens Monday's bar
    day = _Dated(closes, 1, (), local.normalize())
    return Closes(closes, _shift(day, rules.timezone), (said,))


def _of_long_bars(
    values: pd.DatetimeIndex,
    local: pd.DatetimeIndex,
    rules: StampRules,
    stamp: str,
    column: str,
    origin: str,
) -> Closes:
    """Return the closes of bars of several days, stamped with a time of day."""
    found = _of_dates(local.normalize(), rules, stamp, column, origin)
    # Not before the stamp; nor, if that is the open, before as many days have passed.
    moved = (found.last_days - local.normalize()).to_numpy()
    days = np.where((moved > np.timedelta64(0)) & (rules.session_close is None), 1, 0)
    over = values + pd.TimedeltaIndex(moved + days * np.timedelta64(DAY, "ns"))
    closes = found.times.where(found.times >= over, over)
    said = f"every {column} is read as a date (bar_stamp: close reads it as a close time)."
    return Closes(pd.DatetimeIndex(closes), 1, (said, *found.guesses))


def _begins_elsewhere(local: pd.DatetimeIndex) -> bool:
    """Return whether all times may be midnights, in a zone ahead, of the first days of months."""
    clock = (local - local.normalize()).to_numpy().astype(np.int64)
    evening = bool(((clock >= DAY // 2 - 2 * _HOUR) & (clock < _MIDNIGHT)).all())
    return evening and bool((local.normalize() + pd.Timedelta(1, "D")).is_month_start.all())


@dataclass(frozen=True)
class _Dated(Closes):
    last_days: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([]))


def _of_dates(
    dates: pd.DatetimeIndex, rules: StampRules, stamp: str, column: str, origin: str
) -> _Dated:
    days, guesses = _last_days(dates, stamp, column, origin)
    return _Dated(_end_of_session(days, rules), 1, guesses, days)


def _shift(found: _Dated, timezone: str) -> int:
    """Return the time from a moment in each bar's last day to its close."""
    ends = (found.times - pd.Timedelta(1, "ns")).tz_convert(timezone).tz_localize(None)
    if ends.normalize().equals(found.last_days):
        return 1
    noons = _in_utc(found.last_days + pd.Timedelta(12, "h"), timezone)
    return int(np.median(found.times.asi8 - noons.asi8))


def _last_days(
    dates: pd.DatetimeIndex, stamp: str, column: str, origin: str
) -> tuple[pd.DatetimeIndex, tuple[str, ...]]:
    """Return the last day of each bar, given its first or last day; both are one day's bars'."""
    days = pd.DatetimeIndex(dates.unique().sort_values())
    step = median_step([days]) // DAY if len(days) > 1 else 1
    if stamp == "close" or not 2 <= step <= 366:
        return dates, ()
    if step < 5 and not (len(days) > 3 and len(np.unique(np.diff(days.asi8))) == 1):
        return dates, ()  # days, of which some are missing
    # The newest row may be of a bar that is not over, and bear any day of it.
    known = days[:-1] if len(days) > 2 else days
    monthly = step >= 28
    if step < 5:
        first = last = np.zeros(len(known), dtype=bool)
    else:
        first = known.day <= 4 if monthly else known.day_of_week <= 1
        last = known.day >= 25 if monthly else (known.day_of_week >= 3) & (known.day_of_week <= 5)
    if stamp == "auto" and not first.all():
        if last.all():
            return dates, ()
        raise DataError(
            f"{origin}: every {column} is a date, and they are {step} days apart. Is it the "
            "first day of its bar (bar_stamp: open) or the last (bar_stamp: close)?"
        )
    months = round(step / 30.44) if monthly else 0
    after = dates + (pd.DateOffset(months=months) if months else pd.Timedelta(step, "D"))
    if months and bool(first.all()):
        after = after - pd.to_timedelta(after.day - 1, "D")  # the first trading day varies
    says = f"every {column} is the first day of a bar of {step} days, which closes with its last"
    return after - pd.Timedelta(1, "D"), (f"{says} (bar_stamp: close reads it as the last day).",)


def _next_session_close(
    stamps: pd.DatetimeIndex, rules: StampRules, including: bool
) -> pd.DatetimeIndex:
    """Return the first session close after each stamp, or at it, if `including`."""
    days = stamps.tz_convert(rules.timezone).normalize().tz_localize(None)
    same = _end_of_session(days, rules)
    later = _end_of_session(days + pd.Timedelta(1, "D"), rules)
    ahead = same >= stamps if including else same > stamps
    return pd.DatetimeIndex(same.where(ahead, later))


def _end_of_session(days: pd.DatetimeIndex, rules: StampRules) -> pd.DatetimeIndex:
    if rules.session_close is None:
        local = days + pd.Timedelta(1, "D")  # 24:00: a bar is known only when its day is over
    else:
        hours, minutes = rules.session_close.split(":")
        local = days + pd.Timedelta(hours=int(hours), minutes=int(minutes))
    return _in_utc(local, rules.timezone)


def _in_utc(local: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Return local times in UTC; of two that an ambiguous one may be, the later."""
    zoned = local.tz_localize(
        timezone, ambiguous=np.zeros(len(local), dtype=bool), nonexistent="shift_forward"
    )
    return zoned.tz_convert("UTC").as_unit("ns")
