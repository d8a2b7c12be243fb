"""The sessions of an exchange, day by day: holidays, half days, clock changes, breaks.

``24/7``, ``24/5`` and ``forex`` are known here; the others come from the package
exchange_calendars, by their market identifier code (ISO 10383), such as XNYS.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.market.bars import DAY

ALWAYS, WEEKDAYS, FOREX = "24/7", "24/5", "forex"
_OWN = (ALWAYS, WEEKDAYS, FOREX)
_NEW_YORK, _FIVE_O_CLOCK = "America/New_York", 17 * 3600 * 10**9
_EXTRA = "pip install 'reinforcestrategycreator-pipeline[calendars]'"
_NONE = np.iinfo(np.int64).min  # of a session without a break


@dataclass(frozen=True, eq=False)
class Sessions:
    """The sessions of one calendar, in order.

    Attributes
    ----------
    name : str
        Name of the calendar.
    zone : str
        IANA time zone of the exchange.
    days : ndarray of int, shape (n,)
        Day that names each session, in days since 1970.
    opens, closes : ndarray of int, shape (n,)
        Its first and last moment, in nanoseconds since 1970, in UTC. A session may begin on the
        day before.
    breaks : ndarray of int, shape (n, 2)
        Begin and end of the break; the smallest integer in both if there is none.
    """

    name: str
    zone: str
    days: Ints
    opens: Ints
    closes: Ints
    breaks: Ints

    def between(self, first: int, last: int) -> Sessions:
        """Return the sessions of these days and those between them."""
        a, b = np.searchsorted(self.days, [first, last + 1])
        parts = (x[a:b] for x in (self.days, self.opens, self.closes, self.breaks))
        return Sessions(self.name, self.zone, *parts)

    def of(self, stamps: Ints, step: int) -> Ints:
        """Return the session of each bar, as a position, or -1 for a bar outside of all.

        Parameters
        ----------
        stamps : ndarray of int, shape (T,)
            Close times, in nanoseconds.
        step : int
            Length of a bar, in nanoseconds. A bar belongs to a session that overlaps it.
        """
        i = np.searchsorted(self.closes, stamps - step, side="right")
        j = np.minimum(i, len(self.days) - 1)
        inside = (i < len(self.days)) & (stamps > self.opens[j])
        paused = (stamps - step >= self.breaks[j, 0]) & (stamps <= self.breaks[j, 1])
        return np.where(inside & ~paused, j, -1)


def sessions_of(name: str, first: pd.Timestamp, last: pd.Timestamp) -> Sessions:
    """Return the sessions of a calendar from a week before one time to a week after another.

    Parameters
    ----------
    name : str
        ``24/7``; ``24/5``, Monday to Friday in UTC; ``forex``, from Sunday 17:00 to Friday 17:00
        in New York; or a name or alias of exchange_calendars, such as XNYS or NYSE.
    first, last : Timestamp
        Times with a time zone.

    Raises
    ------
    ConfigError
        If there is no such calendar, it does not reach that far, or the package is missing.
    """
    week = pd.Timedelta(7, "D")
    start, end = (t.tz_convert("UTC").tz_localize(None).normalize() for t in (first, last))
    start, end = start - week, end + week
    if name not in _OWN:
        return _of_exchange(name, start, end)
    days = pd.date_range(start, end, freq="D" if name == ALWAYS else "B")
    if name == FOREX:
        opens, closes = _at_five(days - pd.Timedelta(1, "D")), _at_five(days)
    else:
        opens = days.as_unit("ns").asi8
        closes = opens + DAY
    none = np.full((len(days), 2), _NONE)
    zone = _NEW_YORK if name == FOREX else "UTC"
    return Sessions(name, zone, days.as_unit("ns").asi8 // DAY, opens, closes, none)


def _at_five(days: pd.DatetimeIndex) -> Ints:
    wall = days + pd.Timedelta(_FIVE_O_CLOCK, "ns")
    return wall.tz_localize(_NEW_YORK).tz_convert("UTC").as_unit("ns").asi8


def _of_exchange(name: str, start: pd.Timestamp, end: pd.Timestamp) -> Sessions:
    try:
        import exchange_calendars
    except ImportError as error:
        raise ConfigError(
            f"the calendar {name!r} needs the package exchange_calendars: {_EXTRA}; without it, "
            f"there are {', '.join(_OWN)}."
        ) from error
    known = exchange_calendars.get_calendar_names(include_aliases=True)
    if name not in known:
        raise ConfigError(f"there is no calendar {name!r}.{nearest(name, [*_OWN, *known])}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its use of pandas is its own affair
            calendar: Any = exchange_calendars.get_calendar(name, start=start, end=end)
            schedule = calendar.schedule
    except ValueError as error:  # it is known from a date on, or up to one
        raise ConfigError(f"the calendar {name!r}: {' '.join(str(error).split())}") from error
    times = [
        schedule[column].dt.tz_convert(None).to_numpy("datetime64[ns]").astype(np.int64)
        for column in ("open", "close", "break_start", "break_end")
    ]
    days = pd.DatetimeIndex(schedule.index).as_unit("ns").asi8 // DAY
    return Sessions(name, str(calendar.tz), days, times[0], times[1], np.stack(times[2:], axis=1))
