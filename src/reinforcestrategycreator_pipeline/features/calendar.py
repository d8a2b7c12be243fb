"""The calendar: the place of a bar's close in day, week, month, year and session."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.checks import Len, require
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import FEATURES, FloatArray
from reinforcestrategycreator_pipeline.features.market_features import FromMarket, Market, times_of
from reinforcestrategycreator_pipeline.features.windows import stack

if TYPE_CHECKING:
    import pandas as pd

_DAY = 86_400.0
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")

Part = Literal["time_of_day", "day_of_week", "day_of_month", "month"]


def _seconds_of_day(local: pd.DatetimeIndex) -> FloatArray:
    return np.asarray(local.hour * 3600 + local.minute * 60 + local.second, dtype=np.float64)


_TURNS: Mapping[Part, Callable[[pd.DatetimeIndex, pd.DatetimeIndex], FloatArray]] = {
    # The close, and a moment before it, whose day it ends.
    "time_of_day": lambda close, _: _seconds_of_day(close) / _DAY,
    "day_of_week": lambda _, day: np.asarray(day.day_of_week / 7.0),
    "day_of_month": lambda _, day: np.asarray((day.day - 1) / day.days_in_month),
    "month": lambda _, day: np.asarray((day.month - 1) / 12.0),
}
"""Fractions of a turn, from 0 to 1."""


@FEATURES.register("calendar")
@dataclass(frozen=True)
class Calendar(FromMarket):
    """Sine and cosine of the place of a bar's close in day, week, month and year.

    So the last hour of a day is next to the first one. A close at midnight belongs to the day that
    it ends. With a session, ``session_elapsed`` is the share of it that is over at the close of the
    bar: 0 at the open, 1 at the close and while the market is closed. Daylight saving time is the
    zone's. Live streams add these columns by themselves.

    Parameters
    ----------
    parts : tuple of {"time_of_day", "day_of_week", "day_of_month", "month"}
        Cycles, each of two columns.
    zone : str
        IANA time zone of the exchange.
    session : tuple of str, optional
        Open and close of the session in that zone, ``["09:30", "16:00"]``; a close that is earlier
        is on the next day.
    """

    parts: Annotated[tuple[Part, ...], Len(0, True, 4)] = ("day_of_week", "month")
    zone: str = "UTC"
    session: Annotated[tuple[str, ...], Len(2, max_length=2)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(
                "The zone parameter of calendar must be an IANA time zone, such as "
                f"America/New_York. Got {self.zone!r} instead."
            ) from error
        given = self.session or ("00:00", "24:00")
        clocks = self.session is None or all(_CLOCK.fullmatch(text) for text in given)
        rule = "two different times of day, such as 09:30 and 16:00"
        require(clocks and given[0] != given[1], "calendar", "session", rule, self.session)
        rule = "at least one, or a session"
        require(bool(self.parts or self.session), "calendar", "parts", rule, self.parts)

    @property
    def lookback(self) -> int:
        return 0

    @property
    def columns(self) -> tuple[str, ...]:
        names = [f"{part}_{wave}" for part in self.parts for wave in ("sin", "cos")]
        return (*names, *(("session_elapsed",) if self.session else ()))

    def of_times(self, times: Ints) -> FloatArray:
        """Return the values at closes in nanoseconds since 1970 UTC, shape (T, k)."""
        import pandas as pd  # slow, and not needed to decide

        stamps = pd.DatetimeIndex(times, tz="UTC")
        close = stamps.tz_convert(self.zone)
        day = (stamps - pd.Timedelta(1, "ns")).tz_convert(self.zone)
        columns = []
        for part in self.parts:
            angle = 2.0 * np.pi * _TURNS[part](close, day)
            columns += [np.sin(angle), np.cos(angle)]
        if self.session:
            begins, ends = (60.0 * int(t[:2]) + int(t[3:]) for t in self.session)
            length = (ends - begins) % 1440.0
            since = (_seconds_of_day(close) / 60.0 - begins) % 1440.0
            columns.append(np.where(since <= length, since / length, 1.0))
        return stack(columns)

    def of_market(self, market: Market) -> dict[str, FloatArray]:
        """Return the values of each symbol, shape (T, k)."""
        return {symbol: self.of_times(times_of(frame)) for symbol, frame in market.items()}
