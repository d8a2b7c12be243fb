"""From a vendor's answer to bars that are final: a forming bar is never data."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError, shorten
from reinforcestrategycreator_pipeline.market.vendors.base import (
    VENDORS,
    Request,
    Vendor,
    VendorBars,
)
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.transport import (
    RetryPolicy,
    Time,
    Transport,
)
from reinforcestrategycreator_pipeline.ohlcv import OHLCV, PRICES

AUTHORIZATION = (401, 403)


@dataclass(frozen=True)
class FinalBars:
    """Bars that the vendor does not change any more, unless it restates them.

    Attributes
    ----------
    frame : DataFrame
        Float64 columns ``open, high, low, close, volume``, then others; the index, ``timestamp``,
        holds the closes, UTC in nanoseconds, strictly increasing. NaN where a number is missing.
    timezone : str
        IANA time zone of the days.
    forming : int
        Number of bars left out because they were not final.
    empty : int
        Number of rows without any price, which were left out.
    """

    frame: pd.DataFrame
    timezone: str
    forming: int
    empty: int


def build_vendor(name: str, parameters: Mapping[str, Any]) -> Vendor:
    """Return the vendor `name` with its parameters.

    Raises
    ------
    ConfigError
        If there is no such vendor or parameter, or if a value is invalid.
    """
    found: Any = VENDORS.get(name)
    return cast(Vendor, from_mapping(found, parameters, f"the vendor {name!r}"))


def open_transport(vendor: Vendor, policy: RetryPolicy | None = None) -> Transport:
    """Return the transport to a vendor, one for all symbols: they share its rate limit."""
    rng = np.random.default_rng([os.getpid(), time.time_ns()])  # no result depends on it
    return Transport(
        rng,
        per_minute=getattr(vendor, "per_minute", 60.0),
        policy=policy,
        wire=vendor.wire(),
        secrets=vendor.secrets(),
        clocks=Time(),
    )


def fetch(
    name: str, vendor: Vendor, request: Request, transport: Transport, now: pd.Timestamp
) -> FinalBars:
    """Ask a vendor for bars, and keep those that are final.

    Parameters
    ----------
    name : str
        Name of the vendor, for messages.
    vendor : Vendor
        Vendor to ask.
    request : Request
        Bars to ask for.
    transport : Transport
        Way to the vendor.
    now : Timestamp
        Current time, UTC; a bar whose close and settling time are not over is left out.

    Raises
    ------
    VendorError
        If the vendor fails, if its bars contradict one another, or if there is none.
    """
    where = f"{name}: {request.symbol}"
    try:
        return final_bars(vendor.bars(request, transport), request, now, vendor.settling_s)
    except VendorError as error:
        advice = ""
        keys = getattr(vendor, "keys", ())
        if error.status in AUTHORIZATION and keys:
            advice = f" Is {' and '.join(keys)} right, and does the plan include these bars?"
        raise VendorError(
            f"{where}: {error}{advice}", status=error.status, unreachable=error.unreachable
        ) from error


def final_bars(
    found: VendorBars, request: Request, now: pd.Timestamp, settling_s: float
) -> FinalBars:
    """Return the bars of an answer that are final, by their closes; see `fetch`.

    Raises
    ------
    VendorError
        If columns are missing or not numeric, if two rows of one time differ, or if no bar is left.
    """
    frame = _numbers(found.frame)
    empty = frame[list(PRICES)].isna().all(axis=1).to_numpy()
    frame = frame[~empty]
    index = pd.DatetimeIndex(frame.index)
    if len(frame) == 0:
        raise VendorError(_none(request, int(empty.sum())))
    first, last = (request.start, request.end)
    if request.interval.is_day:
        first, last = first.normalize(), last.ceil("D")
    opens = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    inside = np.asarray((opens >= first) & (opens < last))
    frame, index = frame[inside], index[inside]
    if index.tz is None:
        closes = day_ends(index, found.timezone)
    else:
        closes = index.tz_convert("UTC") + request.interval.length
    frame = frame.set_axis(closes.as_unit("ns").rename("timestamp"), axis=0)
    frame = _distinct(frame.sort_index(kind="stable"))
    settled = pd.DatetimeIndex(frame.index) + pd.Timedelta(settling_s, "s") <= now
    forming = int((~settled).sum())
    if not settled.any():
        raise VendorError(_none(request, int(empty.sum()), forming))
    return FinalBars(frame[settled], found.timezone, forming, int(empty.sum()))


def day_ends(days: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Return the midnights that end some dates in a time zone, UTC."""
    nights = (days.normalize() + pd.Timedelta(1, "D")).tz_localize(
        timezone, nonexistent="shift_forward", ambiguous=np.zeros(len(days), dtype=bool)
    )
    return nights.tz_convert("UTC")


def make_request(
    symbol: str, interval: Interval, start: pd.Timestamp, end: pd.Timestamp
) -> Request:
    """Return a request.

    Raises
    ------
    ConfigError
        If the symbol is empty or not fit to print, or if the end is not after the start.
    """
    if not symbol or not symbol.isprintable() or symbol != symbol.strip():
        raise ConfigError(f"the symbol must be text as the vendor spells it. Got {symbol!r}.")
    if end <= start:
        raise ConfigError(f"the end must be after the start, {start}. Got {end} instead.")
    return Request(symbol, interval, start, end)


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in PRICES if name not in frame]
    if frame.empty:
        return pd.DataFrame(columns=list(OHLCV), index=pd.DatetimeIndex([]), dtype=np.float64)
    if missing:
        names = ", ".join(map(str, frame.columns))
        raise VendorError(f"the answer has no {' and no '.join(missing)}; it has {names}.")
    if "volume" not in frame:
        frame = frame.assign(volume=0.0)  # of an index or a currency
    side = [name for name in frame if name not in OHLCV]
    numbers = {}
    for name in (*OHLCV, *side):
        try:
            numbers[name] = frame[name].to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise VendorError(
                f"{name} must be numbers. Got {shorten(repr(frame[name].iloc[0]), 40)}."
            ) from error
    return pd.DataFrame(numbers, index=frame.index)


def _distinct(frame: pd.DataFrame) -> pd.DataFrame:
    index = pd.DatetimeIndex(frame.index)
    if not index.has_duplicates:
        return frame
    kept = frame.reset_index().drop_duplicates().set_index("timestamp")
    again = kept.index.duplicated()
    if again.any():
        raise VendorError(f"two bars close at {kept.index[again][0]}, and they differ.")
    return kept


def _none(request: Request, empty: int, forming: int = 0) -> str:
    left = [f"{empty} without prices"] if empty else []
    left += [f"{forming} not final yet"] if forming else []
    out = f" ({' and '.join(left)} left out)" if left else ""
    return (
        f"no bars of {request.interval} from {request.first_day} to {request.last_day}{out}. Are "
        "the symbol's spelling and the dates right?"
    )
