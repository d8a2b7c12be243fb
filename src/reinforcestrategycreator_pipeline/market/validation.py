"""The rules that bars must satisfy before anything learns from them.

Rows that break a rule are rejected and named. Problems that can be repaired without guessing
(order, identical duplicates, an unfinished last bar) are repaired and reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Indices, Ints
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bad_rows import bad_rows
from reinforcestrategycreator_pipeline.market.bars import DAY, day_of, median_step
from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.places import Places
from reinforcestrategycreator_pipeline.ohlcv import (
    ADJUSTED_CLOSE,
    LARGEST,
    OHLCV,
    PRICES,
    bound,
    out_of_bounds,
    too_large,
    too_small,
)

_ROUNDING = 1e-9  # relative; a vendor's adjustment may leave high below close by one ulp
_SAME = "must be the same in all rows of one time"
_SHOWN = 3  # rows per message
_MOST_WIDENED = 1e-3  # relative; what is off by more is no rounding


@dataclass(frozen=True)
class RawBars:
    """One symbol's rows as a source read them, in the order of the file.

    Attributes
    ----------
    symbol, origin : str
        Symbol, and path of the file or name of the source, for error messages.
    frame : DataFrame
        Columns open, high, low, close, volume, optionally ``adj_close``, then side data, all
        float64, NaN where a number is missing. The index holds close times with a time zone.
    lines : ndarray of int, optional
        Line number of each row in the file; without it, error messages name the timestamps.
    files : tuple of (int, str)
        If the rows are of several files: position of the first row and name of each.
    shift_ns : int
        Nanoseconds from a moment in a bar's day to its close, see `bars.day_of`.
    hint : str
        A sentence that begins with a space, for the error on rows that contradict one another.
    rows : ndarray of int, optional
        Row of each in a file without lines, counted from 1.
    """

    symbol: str
    origin: str
    frame: pd.DataFrame
    lines: Ints | None = None
    files: tuple[tuple[int, str], ...] = ()
    shift_ns: int = 1
    hint: str = ""
    rows: Ints | None = None

    def place(self, row: int) -> str:
        """Return the name of the row at this position for error messages."""
        file = self._file(row)
        start = f"{file} " if file else ""
        if self.lines is not None:
            return f"{start}line {self.lines[row]}"
        return f"{start}{self.frame.index[row]}"

    def _file(self, row: int) -> str:
        return next((name for first, name in reversed(self.files) if first <= row), "")

    def places(self, rows: list[int], details: list[str] | None = None) -> str:
        """Return the names of the first rows, with details, and the number of further rows."""
        shown = [
            self.place(row) + (f" ({details[i]})" if details else "")
            for i, row in enumerate(rows[:_SHOWN])
        ]
        more = len(rows) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")

    def bad_rows(
        self, rows: Sequence[int] | Indices, column: str, values: Any, rule: str
    ) -> pd.DataFrame:
        """Return the table `DataError.rows` for the rows at these positions."""
        lines = None if self.lines is None else self.lines[rows]
        times = pd.DatetimeIndex(self.frame.index[rows])
        found = bad_rows(
            self.origin, column, values, rule, symbol=self.symbol, rows=lines, times=times
        )
        if self.files:
            found["origin"] = [str(Path(self.origin) / self._file(int(row))) for row in rows]
        return found

    def origins(self, kept: pd.DatetimeIndex, timezone: str) -> Places:
        """Return the places of the bars that were kept of these rows.

        Parameters
        ----------
        kept : DatetimeIndex
            Close times of the bars, increasing.
        timezone : str
            IANA time zone of the days.
        """
        stamps = pd.DatetimeIndex(self.frame.index).as_unit("ns").asi8
        order = np.argsort(stamps, kind="stable")
        wanted = kept.as_unit("ns").asi8
        found = order[np.searchsorted(stamps[order], wanted)].astype(np.int64)
        rows = self.rows if self.lines is None else self.lines
        again = np.zeros((0, 2), dtype=np.int64)
        if len(found) < len(stamps):
            twice = np.flatnonzero(pd.Index(stamps).duplicated() & np.isin(stamps, wanted))
            places = twice + 1 if rows is None else rows[twice]
            again = np.stack([places, np.searchsorted(wanted, stamps[twice])], axis=1)
        owners = None
        if self.files:
            owners = np.searchsorted([first for first, _ in self.files], found, side="right") - 1
        return Places(
            self.origin,
            None if rows is None else rows[found],
            "row" if self.lines is None else "line",
            tuple(name for _, name in self.files),
            owners,
            again.astype(np.int64),
            timezone,
            self.shift_ns,
        )


def validate(
    raw: RawBars,
    *,
    as_of: pd.Timestamp | None = None,
    clock: pd.Timestamp | None = None,
    timezone: str = "UTC",
) -> tuple[pd.DataFrame, Findings]:
    """Check one symbol's rows and sort them by time.

    Parameters
    ----------
    raw : RawBars
        Rows of the symbol.
    as_of : Timestamp, optional
        Latest allowed close; later bars are omitted.
    clock : Timestamp, optional
        Current time. One bar that has begun and closes later is unfinished and is dropped; more,
        or one further ahead, are an error, whatever `as_of` is.
    timezone : str
        IANA time zone of the days in messages.

    Returns
    -------
    DataFrame
        Rows, strictly increasing in time.
    Findings
        Repairs, one sentence each; dropped rows are warnings.

    Raises
    ------
    DataError
        If a rule is broken; one line names origin, symbol, rule and rows.
    """
    if len(raw.frame) == 0:
        raise DataError(f"{raw.origin}: {raw.symbol} has no rows.")
    check_values(raw)
    where = f"{raw.origin}: {raw.symbol}"
    found = Findings()
    keep = _without_duplicates(raw, found, timezone)
    frame = raw.frame.iloc[keep]
    if not frame.index.is_monotonic_increasing:
        newest_first = bool(frame.index.is_monotonic_decreasing)
        frame = frame.sort_index(kind="stable")
        order = "newest first" if newest_first else "not in order of time"
        found.note(f"{where}: the rows were {order}; they were sorted.")
    if clock is not None:
        _require_no_future(raw, frame, clock)
    if as_of is not None:
        later = int((frame.index > as_of).sum())
        if later == len(frame):
            raise DataError(
                f"{where}: no bar closes by {as_of}, the as_of; the first closes at "
                f"{frame.index[0]}."
            )
        if later > 0:
            frame = frame.iloc[: len(frame) - later]
            found.warn(f"{where}: bars that close after {as_of} were omitted: {later}.")
    if clock is not None and len(frame) and frame.index[-1] > clock:
        found.warn(
            f"{where}: the last bar, which closes at {frame.index[-1]}, is unfinished; it was "
            "dropped."
        )
        frame = frame.iloc[:-1]
    if len(frame) < 2:
        raise DataError(f"{where} needs at least 2 bars. Got {len(frame)}.")
    return frame, found


def check_values(raw: RawBars) -> None:
    """Check the numbers and their order within each bar.

    Raises
    ------
    DataError
        If a rule is broken; the message names the first rows of up to two rules.
    """
    columns = {str(name): raw.frame[name].to_numpy(np.float64) for name in raw.frame}
    bars = {name: x for name, x in columns.items() if name in (*OHLCV, ADJUSTED_CLOSE)}
    opens, highs, lows, closes = (columns[name] for name in PRICES)
    # fmax, fmin and "<" ignore NaN, which has its own rule.
    too_low = highs < np.fmax(np.fmax(opens, closes), lows) * (1 - _ROUNDING)
    too_high = lows > np.fmin(np.fmin(opens, closes), highs) * (1 + _ROUNDING)
    rules = [
        *((n, "must be a number, not missing", (), np.isnan(x)) for n, x in columns.items()),
        *((n, "must be finite", (n,), np.isinf(x)) for n, x in columns.items()),
        *((n, f"must be {bound(n)}", (n,), out_of_bounds(n, x)) for n, x in bars.items()),
        *(
            (n, f"must be below {LARGEST:g} in size", (n,), too_large(x))
            for n, x in columns.items()
        ),
        *((n, f"must be above {1 / LARGEST:g}", (n,), too_small(n, x)) for n, x in bars.items()),
        ("high", "must be >= open, close and low", PRICES, too_low),
        ("low", "must be <= open, close and high", PRICES, too_high),
    ]
    broken = [(n, rule, show, np.flatnonzero(bad)) for n, rule, show, bad in rules if bad.any()]
    if not broken:
        return
    parts = []
    for name, rule, names, rows in broken[:2]:
        details = [" ".join(f"{n}={columns[n][row]:.10g}" for n in names) for row in rows[:_SHOWN]]
        parts.append(f"{name} {rule}: {raw.places(rows.tolist(), details if names else None)}")
    more = f"; {len(broken) - 2} more rules are broken" if len(broken) > 2 else ""
    hint = _way_on(raw, columns, np.unique(np.concatenate([rows for *_, rows in broken])))
    tables = [raw.bad_rows(rows, name, columns[name][rows], rule) for name, rule, _, rows in broken]
    raise DataError(
        f"{raw.origin}: {raw.symbol}: {'; '.join(parts)}{more}.{hint}",
        rows=pd.concat(tables, ignore_index=True),
    )


def _way_on(raw: RawBars, columns: dict[str, F64], rows: Indices) -> str:
    """Return a sentence, with a space before it, on the parameter that reads rows without these."""
    prices = np.array([columns[name] for name in PRICES])
    if np.isnan(prices).all(axis=0).any():
        return " Set drop_empty to leave out rows without any price."
    others = [columns[name][rows] for name in columns if name not in PRICES]
    opens, highs, lows, closes = prices[:, rows]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        above = np.maximum(np.maximum(opens, closes), lows) / highs - 1
        below = 1 - np.minimum(np.minimum(opens, closes), highs) / lows
    miss = float(np.max(np.maximum(above, below)))
    if miss <= _MOST_WIDENED and all(np.isfinite(x).all() for x in others):
        step = next(s for s in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2) if s >= miss)
        return f" Set tolerance: {step:g} to widen bars that are off by rounding."
    order = np.argsort(pd.DatetimeIndex(raw.frame.index).asi8, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    bad = np.sort(place[rows])
    if len(bad) < len(order) / 2 and bad[-1] == len(bad) - 1:
        last = raw.frame.index[order[bad[-1]]]
        return f" They are the first bars: start: '{last:%Y-%m-%dT%H:%M:%S}' leaves them out."
    return ""


def widen(frame: pd.DataFrame, tolerance: float) -> int:
    """Raise highs and lower lows, in place, that miss a price of their bar by up to `tolerance`.

    Parameters
    ----------
    frame : DataFrame
        Columns open, high, low and close; NaN stays.
    tolerance : float
        Largest relative change, >= 0.

    Returns
    -------
    int
        Number of bars that were changed.
    """
    prices = frame[list(PRICES)].to_numpy(np.float64)
    opens, highs, lows, closes = prices.T
    top = np.fmax(np.fmax(opens, closes), np.fmax(lows, highs))
    bottom = np.fmin(np.fmin(opens, closes), lows)
    raised = (highs < top) & (highs >= top * (1 - tolerance))
    lowered = (lows > bottom) & (lows <= bottom * (1 + tolerance))
    frame["high"] = np.where(raised, top, highs)
    frame["low"] = np.where(lowered, bottom, lows)
    return int((raised | lowered).sum())


def missing_sessions(frame: pd.DataFrame, timezone: str, shift_ns: int = 1) -> list[str]:
    """Return the weekdays, from the first bar to the last, without a bar; days as by `day_of`."""
    days = (pd.DatetimeIndex(frame.index) - pd.Timedelta(shift_ns, "ns")).tz_convert(timezone)
    held = days.tz_localize(None).normalize().unique()
    weekdays = pd.bdate_range(held[0], held[-1])
    return [str(day.date()) for day in weekdays.difference(held)]


def _without_duplicates(raw: RawBars, found: Findings, timezone: str) -> Indices:
    """Return the positions to keep; rows with the same timestamp must be identical."""
    stamps = pd.DatetimeIndex(raw.frame.index)
    again = stamps.duplicated()
    if not again.any():
        return np.arange(len(stamps))
    rows = raw.frame.reset_index(drop=True).assign(stamp=stamps.asi8)
    same = rows.duplicated().to_numpy()
    conflict = np.flatnonzero(again & ~same)
    if len(conflict):
        row = int(conflict[0])
        first = int(np.flatnonzero(stamps == stamps[row])[0])
        columns = [str(c) for c in raw.frame if raw.frame[c].iloc[row] != raw.frame[c].iloc[first]]
        more = f" ({len(conflict) - 1} more rows conflict)" if len(conflict) > 1 else ""
        raise DataError(
            f"{raw.origin}: {raw.symbol}: {raw.place(row)} and {raw.place(first)} are both for "
            f"{_time(stamps[row], timezone)}, but differ in {', '.join(columns)}{more}.{raw.hint}",
            rows=_conflicts(raw, np.flatnonzero(stamps.isin(stamps[conflict]))),
        )
    count = int(again.sum())
    were = "1 identical duplicate row was" if count == 1 else f"{count} identical duplicates were"
    found.warn(f"{raw.origin}: {raw.symbol}: {were} dropped.")
    return np.flatnonzero(~again)


def _conflicts(raw: RawBars, rows: Indices) -> pd.DataFrame:
    """Return the table of the values in which rows with the same timestamp differ."""
    shared = raw.frame.iloc[rows]
    differ = shared.groupby(level=0).transform("nunique") > 1
    tables = [
        raw.bad_rows(rows[differ[name]], str(name), shared[name].to_numpy()[differ[name]], _SAME)
        for name in shared
        if differ[name].any()
    ]
    return pd.concat(tables, ignore_index=True)


def _time(stamp: pd.Timestamp, timezone: str) -> str:
    """Return a close time as a file gives it: the day alone, if it is the end of a day."""
    local = stamp.tz_convert(timezone)
    return day_of(stamp, timezone) if local == local.normalize() else str(stamp)


def _require_no_future(raw: RawBars, frame: pd.DataFrame, clock: pd.Timestamp) -> None:
    """Raise if a bar closes after the clock, unless it is the last one and has begun."""
    count = int((frame.index > clock).sum())
    if count == 0:
        return
    whole = pd.DatetimeIndex(frame.index[: len(frame) - count])
    bar = median_step([whole]) if len(whole) > 1 else DAY
    # A date may be of a time zone that is up to 14 hours ahead.
    slack = 14 * 3600 * 10**9 if bar >= DAY else 0
    if count == 1 and frame.index[-1] - clock <= pd.Timedelta(bar + slack, "ns"):
        return
    rows = [int(i) for i in np.flatnonzero(raw.frame.index > clock)]
    now = clock.strftime("%Y-%m-%d %H:%M UTC")
    many = f"{count} bars close" if count > 1 else "1 bar closes"
    raise DataError(
        f"{raw.origin}: {raw.symbol}: {many} in the future (it is now {now}): "
        f"{raw.places(rows)}. Are the time zone and the date format right?",
        rows=raw.bad_rows(rows, "time", list(raw.frame.index[rows]), "must not be in the future"),
    )
