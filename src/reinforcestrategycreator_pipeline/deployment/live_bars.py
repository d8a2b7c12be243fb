"""The check of bars as they arrive: a wrong one is rejected with one line and changes nothing.

The history of a symbol shows when its bars close, how far its price moves from one to the next, and
how much is traded. A bar that breaks what must hold for any bar is always
wrong; one that is only unlike the history may be real, a holiday or a crash, and is accepted if the
caller confirms it.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, nearest, shorten
from reinforcestrategycreator_pipeline.market.adjustment import robust_sigma, split_in_gap
from reinforcestrategycreator_pipeline.market.bar_calendar import BarCalendar
from reinforcestrategycreator_pipeline.ohlcv import (
    LARGEST,
    OHLCV,
    PRICES,
    bound,
    out_of_bounds,
    too_large,
    too_small,
)

_ROUNDING = 1e-9  # relative; an adjustment may leave high below close by one unit in the last place
_SMALLEST_LIMIT = 0.2  # log price; a smaller move is never taken for an error of the data
_LARGER = 1.5  # a move this many times the largest of the history is not credible by itself
_RECENT_BARS = 500  # volumes grow over the years
NO_BAR = -(2**63)
"""A time that no bar has: that of a missing one."""
_VOLUME_UNIT = 100.0  # a volume this many times outside the recent range is of another unit


class LiveBar(NamedTuple):
    """A bar that has just closed.

    Attributes
    ----------
    symbol : str
        Symbol of the asset.
    time : Timestamp
        Close of the bar, with a time zone; anything that `pandas.Timestamp` reads.
    values : mapping of str to float
        Open, high, low, close, volume and any side data, by column.
    """

    symbol: str
    time: Any
    values: Mapping[Any, Any]


class LiveBarError(DataError):
    """A live bar is wrong, or unlike the history; nothing has changed.

    Parameters
    ----------
    rule : str
        The rule that is broken; one of `RULES`.
    message : str
        One line for the user.
    """

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        super().__init__(message + (_CONFIRM if RULES[rule] else ""))

    @property
    def confirmable(self) -> bool:
        """Whether the bar is accepted with ``confirmed=True``."""
        return RULES[self.rule]


RULES: Mapping[str, bool] = {
    "symbol": False,
    "column": False,
    "number": False,
    "range": False,
    "time zone": False,
    "future": False,
    "duplicate": False,
    "late": False,
    "length": False,
    "session": True,
    "missing": True,
    "split": True,
    "jump": True,
    "volume": True,
}
"""The rules, in the order in which they are checked, and whether a bar that breaks one may be
confirmed: it may be real."""
_CONFIRM = " If it is real, push it with confirmed=True."


@dataclass(frozen=True)
class BarRules:
    """Requirements on the live bars of one symbol.

    Attributes
    ----------
    symbol : str
        Symbol of the asset.
    columns : tuple of str
        Columns that a bar must have: open, high, low, close, volume, then any side data.
    calendar : BarCalendar
        Times at which bars close.
    gap_sigma : float
        Robust standard deviation of the log gap from a close to the next open.
    largest_move : float
        Largest log move of the history, from a close to the next open or from low to high.
    volumes : (float, float)
        Lowest volume above 0 and highest of the last 500 bars; 0 and 0 if nothing was traded.
    """

    symbol: str
    columns: tuple[str, ...]
    calendar: BarCalendar
    gap_sigma: float
    largest_move: float
    volumes: tuple[float, float]

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        symbol: str,
        columns: tuple[str, ...] | None = None,
        zone: str | None = None,
    ) -> BarRules:
        """Return the rules for bars that continue a history.

        Parameters
        ----------
        frame : DataFrame
            Validated bars by close time (UTC), at least two, as `read_bars` returns them.
        symbol : str
            Symbol of the asset.
        columns : tuple of str, optional
            Columns that a live bar must have; by default, all of the frame.
        zone : str, optional
            IANA time zone of the sessions; by default, the one in which their times vary least.

        Raises
        ------
        DataError
            If a column or the time zone is missing, or if there are fewer than two bars.
        """
        columns = tuple(map(str, frame.columns)) if columns is None else columns
        columns = (*OHLCV, *(name for name in columns if name not in OHLCV))
        missing = [name for name in columns if name not in frame.columns]
        if missing or not symbol:
            what = f"have no column {', '.join(missing)}" if missing else "need a symbol"
            raise DataError(f"{symbol + ': ' if symbol else ''}the bars {what}.")
        stamps = pd.DatetimeIndex(frame.index)
        ordered = stamps.is_monotonic_increasing and stamps.is_unique
        if len(stamps) < 2 or stamps.tz is None or not ordered:
            raise DataError(
                f"{symbol}: the rules of live bars need a history of at least two bars, in order "
                f"of time, with a time zone. Got {len(stamps)} bars, time zone {stamps.tz}."
            )
        prices = {name: np.log(frame[name].to_numpy(np.float64)) for name in PRICES}
        gaps: F64 = prices["open"][1:] - prices["close"][:-1]
        moves = np.concatenate([np.abs(gaps), prices["high"] - prices["low"]])
        volume = frame["volume"].to_numpy(np.float64)[-_RECENT_BARS:]
        traded = volume[volume > 0.0]
        return cls(
            symbol,
            columns,
            BarCalendar.of(stamps, zone),
            # Few digits, which are the same on every processor.
            float(f"{robust_sigma(gaps):.6g}"),
            float(f"{float(moves.max()):.6g}"),
            (float(traded.min()), float(traded.max())) if len(traded) else (0.0, 0.0),
        )

    @property
    def limit(self) -> float:
        """Log move above which a bar must be confirmed."""
        return max(_SMALLEST_LIMIT, _LARGER * self.largest_move)

    def check(
        self,
        bar: LiveBar,
        last: tuple[pd.Timestamp, Mapping[str, float]] | None,
        *,
        confirmed: bool = False,
        now: pd.Timestamp | None = None,
    ) -> tuple[pd.Timestamp, dict[str, float]]:
        """Return time (UTC) and values of a bar that may follow the last one.

        Parameters
        ----------
        bar : LiveBar
            Bar that has just closed.
        last : (Timestamp, mapping), optional
            Time and values of the previous bar, if there was one.
        confirmed : bool
            Whether the caller knows that the bar is real, however unlike the history it is.
        now : Timestamp, optional
            Current time; by default, the system's.

        Raises
        ------
        LiveBarError
            If the bar breaks a rule.
        """
        if not isinstance(bar, LiveBar):
            raise ConfigError(
                f"{self.symbol}: a live bar must be LiveBar(symbol, time, values). "
                f"Got {_shown(bar)}."
            )
        if not (isinstance(bar.symbol, str) and bar.symbol == self.symbol):
            raise LiveBarError(
                "symbol",
                f"{self.symbol}: a bar must be of this symbol. Got one of {_shown(bar.symbol)}.",
            )
        time = self._time(bar, now)
        where = f"{self.symbol}, bar of {time}"
        values = self._values(bar.values, where)
        _check_range(values, where)
        if last is not None:
            self._check_order(time, values, *last, where)
        if not confirmed:
            self._check_calendar(time, None if last is None else last[0], where)
            self._check_moves(values, None if last is None else last[1], where)
        return time, values

    def obvious(
        self, times: Annotated[Ints, "n"], rows: Annotated[F64, "{len(self.columns)} n"], last: int
    ) -> bool:
        """Return whether `check` would accept confirmed bars one after the other.

        For very many recorded bars; only `check` says what is wrong with which.

        Parameters
        ----------
        times : ndarray of int64, shape (n,)
            Closes, nanoseconds since 1970 UTC.
        rows : ndarray of float64, shape (C, n)
            Values by column, in the order of `columns`.
        last : int
            Close of the bar before them; `NO_BAR` if there was none.
        """
        bad = ~np.isfinite(rows)
        for name, row, wrong in zip(self.columns, rows, bad, strict=True):
            wrong |= too_large(row) | too_small(name, row)
            if name in OHLCV:
                wrong |= out_of_bounds(name, row)
        if bad.any():
            return False
        open_, high, low, close = (rows[self.columns.index(name)] for name in PRICES)
        above = np.maximum(np.maximum(open_, close), low) * (1 - _ROUNDING)
        below = np.minimum(np.minimum(open_, close), high) * (1 + _ROUNDING)
        apart = np.diff(times if last == NO_BAR else np.concatenate([[last], times]))
        fits = (apart > 0) & (apart / 1e9 >= 0.5 * self.calendar.shortest_seconds)
        return bool(fits.all() and (high >= above).all() and (low <= below).all())

    def _time(self, bar: LiveBar, now: pd.Timestamp | None) -> pd.Timestamp:
        time: Any = None
        try:
            time = pd.Timestamp(bar.time)
            known = not pd.isna(time) and time.tzinfo is not None
            time = time.tz_convert("UTC").as_unit("ns") if known else time
        except (TypeError, ValueError, OverflowError):  # what pandas cannot read, or hold
            known = False
        if not known:
            raise LiveBarError(
                "time zone",
                f"{self.symbol}: the time of a bar must be a date and time with a time zone. "
                f"Got {_shown(bar.time)}.",
            )
        clock = pd.Timestamp.now("UTC") if now is None else now
        if time > clock:
            raise LiveBarError(
                "future",
                f"{self.symbol}, bar of {time}: a bar must have closed. It is now {clock}.",
            )
        found: pd.Timestamp = time
        return found

    def _values(self, given: Mapping[str, Any], where: str) -> dict[str, float]:
        if not isinstance(given, (Mapping, pd.Series)):
            raise LiveBarError(
                "column", f"{where}: the values must be a mapping of columns. Got {_shown(given)}."
            )
        values = {}
        for name in self.columns:
            if name not in given:
                hint = nearest(name, [str(n) for n in given if n not in self.columns])
                raise LiveBarError("column", f"{where}: the column {name!r} is missing.{hint}")
            value = given[name]
            number = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
            try:
                values[name] = float(value) if number else math.nan
            except OverflowError:
                values[name] = math.inf
            bad = not math.isfinite(values[name]) or (
                name in OHLCV and bool(out_of_bounds(name, values[name]))
            )
            if bad or too_large(values[name]) or too_small(name, values[name]):
                rule = f"finite and {bound(name)}" if name in OHLCV else "finite"
                if not bad:
                    rule = f"at most {LARGEST:g} in size, and a price at least {1 / LARGEST:g}"
                raise LiveBarError(
                    "number",
                    f"{where}: {name} must be a number, {rule}. Got {_shown(value)}.",
                )
        return values

    def _check_order(
        self,
        time: pd.Timestamp,
        values: Mapping[str, float],
        before: pd.Timestamp,
        old: Mapping[str, float],
        where: str,
    ) -> None:
        if time == before:
            changed = [name for name in self.columns if values[name] != old[name]]
            what = f"this one has another {', '.join(changed)}" if changed else "it is the same"
            raise LiveBarError("duplicate", f"{where}: there was a bar of that time; {what}.")
        if time < before:
            raise LiveBarError(
                "late", f"{where}: it is late or out of order; the last bar was of {before}."
            )
        seconds, shortest = (time - before).total_seconds(), self.calendar.shortest_seconds
        if seconds < 0.5 * shortest:
            raise LiveBarError(
                "length",
                f"{where}: bars must be at least {shortest:g} seconds apart, as in the history. "
                f"Got one {seconds:g} seconds after the last. Is it of another length?",
            )

    def _check_calendar(self, time: pd.Timestamp, before: pd.Timestamp | None, where: str) -> None:
        unknown = self.calendar.unknown_time(time)
        if unknown is not None:
            raise LiveBarError(
                "session",
                f"{where}: bars close {self.calendar.describe()}. Got one that closes on "
                f"{unknown}. Is it of another length?",
            )
        if before is None:
            return
        if self.calendar.is_daily and self.calendar.same_day(before, time):
            raise LiveBarError(
                "session", f"{where}: one bar a day is expected. The last one was of {before}."
            )
        missing = self.calendar.missing(before, time)
        if missing is not None:
            bars = "1 bar is" if missing.bars == 1 else f"{missing.bars} bars are"
            raise LiveBarError(
                "missing",
                f"{where}: {bars} missing since {before}, the first of {missing.first}. Push them "
                "first, unless the market was closed.",
            )

    def _check_moves(
        self, values: Mapping[str, float], old: Mapping[str, float] | None, where: str
    ) -> None:
        moves = {"from low to high": math.log(values["high"]) - math.log(values["low"])}
        if old is not None:
            gap = math.log(values["open"]) - math.log(old["close"])
            moves["from the last close to the open"] = gap
            split = split_in_gap(gap, self.gap_sigma)
            if split is not None:
                raise LiveBarError(
                    "split",
                    f"{where}: the price goes from {old['close']:g} to {values['open']:g}, which "
                    f"looks like a {split.numerator}:{split.denominator} split for which the bars "
                    f"are not adjusted. If so, call split({split.numerator}, {split.denominator}) "
                    "first.",
                )
        for name, move in moves.items():
            if not abs(move) <= self.limit:
                raise LiveBarError(
                    "jump",
                    f"{where}: the price moves {name} by a factor of {_factor(move)}; the largest "
                    f"of the history is {_factor(self.largest_move)}. Is it in another unit?",
                )
        low, high = self.volumes
        volume = values["volume"]
        if volume > 0.0 and high > 0.0 and not low / _VOLUME_UNIT <= volume <= high * _VOLUME_UNIT:
            raise LiveBarError(
                "volume",
                f"{where}: the volume is {volume:g}; in the last bars of the history it was "
                f"{low:g} to {high:g}. Is it in another unit?",
            )

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON, without the symbol."""
        return {
            "columns": list(self.columns),
            "calendar": self.calendar.to_json(),
            "gap_sigma": self.gap_sigma,
            "largest_move": self.largest_move,
            "volumes": list(self.volumes),
        }

    @classmethod
    def from_json(cls, symbol: str, mapping: Mapping[str, Any]) -> BarRules:
        """Restore rules from the result of `to_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the mapping is not such a result.
        """
        columns = tuple(map(str, mapping["columns"]))
        sigma, largest, low, high = (
            float(x) for x in (mapping["gap_sigma"], mapping["largest_move"], *mapping["volumes"])
        )
        if columns[: len(OHLCV)] != OHLCV or not symbol:
            raise ValueError(f"columns must begin with {', '.join(OHLCV)}. Got {columns}")
        if not all(0.0 <= x < math.inf for x in (sigma, largest, low, high)):
            raise ValueError("scales must be finite and >= 0")
        calendar = BarCalendar.from_json(mapping["calendar"])
        return cls(symbol, columns, calendar, sigma, largest, (low, high))


def split_ratio(new: int, old: int) -> float:
    """Return new shares per old share, checked.

    Raises
    ------
    ConfigError
        If a number is not an integer >= 1.
    """
    require_int("a split", "new", new, 1)
    require_int("a split", "old", old, 1)
    return new / old


def _check_range(values: Mapping[str, float], where: str) -> None:
    open_, high, low, close = (values[name] for name in PRICES)
    for name, wrong in (
        ("high", high < max(open_, close, low) * (1 - _ROUNDING)),
        ("low", low > min(open_, close, high) * (1 + _ROUNDING)),
    ):
        if wrong:
            rule = ">= open, low and close" if name == "high" else "<= open, high and close"
            got = ", ".join(f"{n} {values[n]:.10g}" for n in PRICES)
            raise LiveBarError("range", f"{where}: {name} must be {rule}. Got {got}.")


def _shown(value: object) -> str:
    """Return a value for a message, on one line."""
    return shorten(" ".join(repr(value).split()), 80)


def _factor(move: float) -> str:
    return f"{math.exp(min(abs(move), 99.0)):.3g}"
