"""A vendor whose history the tests change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.market.vendors.base import Request, VendorBars
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.store import BarStore
from reinforcestrategycreator_pipeline.market.vendors.updating import Desk


def history(days: int = 60, first: str = "2024-01-01") -> pd.DataFrame:
    """Return bars of weekdays, all numbers different."""
    index = pd.bdate_range(first, periods=days)
    close = np.round(50 + 5 * np.sin(np.arange(days) / 4) + 0.01 * np.arange(days), 2)
    frame = pd.DataFrame({"open": close - 0.1, "high": close + 0.4, "low": close - 0.5}, index)
    frame["close"], frame["volume"] = close, 1000.0 + 7 * np.arange(days)
    return frame


NOON = pd.Timestamp("2024-03-22 12:00", tz="UTC")


@dataclass
class FakeVendor:
    """Gives what it holds, and notes what was asked."""

    frame: pd.DataFrame
    error: Exception | None = None
    most: pd.Timedelta | None = None  # a longer span is an error
    requests: list[Request] = field(default_factory=list)
    settling_s: ClassVar[float] = 0.0

    def wire(self) -> Any:
        return None

    def secrets(self) -> list[str]:
        return []

    def bars(self, request: Request, transport: Any) -> VendorBars:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        if self.most is not None and request.end - request.start > self.most:
            raise VendorError("HTTP 422: only some days.", status=422)
        days = pd.DatetimeIndex(self.frame.index).tz_localize("UTC")
        kept = (days >= request.start.normalize()) & (days < request.end)
        return VendorBars(self.frame[kept], "America/New_York")


def filled_store(folder: Path, *symbols: str) -> BarStore:
    """Return a store with the days before noon of 2024-03-22 of some symbols."""
    store = BarStore(folder)
    desk: Any = Desk(store, "fake", FakeVendor(history(80)), {}, cast(Any, None), NOON)
    for symbol in symbols:
        desk.fetch_new(symbol, Interval.parse("1d"), pd.Timestamp("2024-01-01", tz="UTC"))
    return store
