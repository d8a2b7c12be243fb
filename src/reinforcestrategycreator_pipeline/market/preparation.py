"""Preparation of market data from a source's rows: validate, adjust, look for oddities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.adjustment import (
    CorporateAction,
    adjust,
    ratio_text,
)
from reinforcestrategycreator_pipeline.market.bars import (
    DAY,
    MarketData,
    day_of,
    median_step,
    utc_index,
)
from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.health.ticks import bad_ticks, splits_beside
from reinforcestrategycreator_pipeline.market.places import Places
from reinforcestrategycreator_pipeline.market.validation import (
    RawBars,
    check_values,
    missing_sessions,
    validate,
)
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, OHLCV

_LONG_GAP = 400 * DAY
_GUESSED = "(holidays, or missing sessions)"


def prepare(
    raws: Sequence[RawBars],
    provenance: Mapping[str, Any],
    *,
    found: Findings | None = None,
    as_of: pd.Timestamp | None = None,
    clock: pd.Timestamp | None = None,
    timezone: str = "UTC",
    weekdays: bool = False,
) -> MarketData:
    """Make market data from raw rows.

    Parameters
    ----------
    raws : sequence of RawBars
        Rows of each symbol.
    provenance : mapping
        Origin of the data, valid as JSON; the corporate actions found are added.
    found : Findings, optional
        What the source found, which comes first in the result; what is found here is added.
    as_of, clock : Timestamp, optional
        Latest allowed close, and current time, as in `validation.validate`.
    timezone : str
        IANA time zone of the days in notes and messages.
    weekdays : bool
        Whether weekdays without a bar are reported, if bars are a day apart or less.

    Raises
    ------
    DataError
        If the rows break a rule of `validation.validate`.
    """
    said = Findings() if found is None else found
    bars: dict[str, pd.DataFrame] = {}
    actions: dict[str, list[dict[str, Any]]] = {}
    places: dict[str, Places] = {}
    for raw in sorted(raws, key=lambda r: r.symbol):
        if raw.symbol in bars:
            raise DataError(f"{raw.origin}: the symbol {raw.symbol!r} occurs twice.")
        where = f"{raw.origin}: {raw.symbol}"
        frame, repairs = validate(raw, as_of=as_of, clock=clock, timezone=timezone)
        said.notes += repairs.notes
        said.warnings += repairs.warnings
        if ADJUSTED_CLOSE in frame:
            frame, events = adjust(frame, timezone, raw.shift_ns)
            check_values(RawBars(raw.symbol, f"{raw.origin}, after adjustment", frame))
            actions[raw.symbol] = [_action_record(a) for a in events]
            said.note(_adjustment_note(where, events))
            for text in _odd_jumps(where, events):
                said.warn(text)
        ticks, _ = bad_ticks(frame)
        if len(ticks):
            said.warn(
                f"{where}: the prices of {_count(len(ticks), 'bar')} are a power of ten away from "
                "those around them, first on "
                f"{day_of(pd.DatetimeIndex(frame.index)[int(ticks[0])], timezone, raw.shift_ns)}."
            )
        for stamp, ratio in splits_beside(frame, ticks):
            said.warn(
                f"{where}: the open on {day_of(stamp, timezone, raw.shift_ns)} looks like a "
                f"{ratio_text(ratio)} split for which the prices are not adjusted."
            )
        for text in _long_gaps(where, frame, timezone):
            said.warn(text)
        said.notes += _volume_notes(where, frame)
        if weekdays and _are_days(pd.DatetimeIndex(frame.index)):
            said.notes += _session_notes(where, missing_sessions(frame, timezone, raw.shift_ns))
        side = [c for c in frame.columns if c not in OHLCV]
        frame = frame[[*OHLCV, *side]].astype(np.float64)
        closes = utc_index(pd.DatetimeIndex(frame.index))
        frame.index = closes
        bars[raw.symbol] = frame
        places[raw.symbol] = raw.origins(closes, timezone)
    said.notes += _lone_gaps(bars)
    step = median_step([pd.DatetimeIndex(frame.index) for frame in bars.values()])
    record = {**provenance, "corporate_actions": actions}
    return MarketData(bars, step / 1e9, tuple(said.notes), record, tuple(said.warnings), places)


def _long_gaps(where: str, frame: pd.DataFrame, timezone: str) -> list[str]:
    """Report gaps of more than a year, as a damaged year makes."""
    index = pd.DatetimeIndex(frame.index)
    gaps = np.diff(index.as_unit("ns").asi8)
    long = np.flatnonzero(gaps > max(_LONG_GAP, 3 * median_step([index])))
    return [
        f"{where}: no bar for {gaps[i] // DAY:,} days after {day_of(index[i], timezone)}. Is the "
        "year right?"
        for i in long[:3].tolist()
    ]


def _are_days(index: pd.DatetimeIndex) -> bool:
    """Return whether bars are of a day or shorter, though some may be missing."""
    shortest = int(np.diff(index.as_unit("ns").asi8).min())
    return median_step([index]) < 5 * DAY and (shortest < 2 * DAY or len(index) < 4)


def _action_record(action: CorporateAction) -> dict[str, Any]:
    return {
        "date": action.day,
        "factor": action.factor,
        "split": None if action.split is None else ratio_text(action.split),
        "dividend": action.dividend,
    }


def _adjustment_note(where: str, actions: tuple[CorporateAction, ...]) -> str:
    splits = [a for a in actions if a.split is not None]
    dividends = sum(a.dividend is not None for a in actions)
    listed = f" ({', '.join(a.describe() for a in splits)})" if splits else ""
    return (
        f"{where}: adjusted relative to its last bar for "
        f"{_count(len(splits), 'split')}{listed} and {_count(dividends, 'dividend')}."
    )


def _odd_jumps(where: str, actions: tuple[CorporateAction, ...]) -> list[str]:
    odd = [a for a in actions if a.split is None and a.dividend is None]
    if not odd:
        return []
    shown = ", ".join(a.describe() for a in odd[:3])
    return [
        f"{where}: the adjusted close jumps {_count(len(odd), 'time')} "
        f"without a split or dividend: {shown}."
    ]


def _volume_notes(where: str, frame: pd.DataFrame) -> list[str]:
    count = int((frame["volume"] == 0).sum())
    if count == 0:
        return []
    return [f"{where}: {count} of {_count(len(frame), 'bar')} without volume."]


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n:,} {what}s"


def _session_notes(where: str, days: Sequence[str]) -> list[str]:
    if not days:
        return []
    shown = ", ".join(days[:3]) + (", ..." if len(days) > 3 else "")
    return [f"{where}: no bar on {_count(len(days), 'weekday')} {_GUESSED}: {shown}."]


def without_guessed_sessions(data: MarketData) -> MarketData:
    """Return the data without the notes on weekdays, which may be holidays.

    A calendar that knows the holidays takes their place.
    """
    notes = tuple(note for note in data.notes if _GUESSED not in note)
    return replace(data, notes=notes)


def _lone_gaps(bars: Mapping[str, pd.DataFrame]) -> list[str]:
    """Report bars that a symbol lacks between its first and last, though most others have them."""
    if len(bars) < 2:
        return []
    held = {s: pd.DatetimeIndex(frame.index).asi8 for s, frame in bars.items()}
    every, counts = np.unique(np.concatenate(list(held.values())), return_counts=True)
    common = every[counts * 2 >= len(bars)]
    notes = []
    for symbol, stamps in held.items():
        within = common[(common > stamps[0]) & (common < stamps[-1])]
        lone = np.setdiff1d(within, stamps, assume_unique=True)
        if len(lone):
            notes.append(
                f"{symbol}: lacks {_count(len(lone), 'bar')} that at least half of the symbols "
                f"have, the first at {pd.Timestamp(int(lone[0]))} UTC."
            )
    return notes
