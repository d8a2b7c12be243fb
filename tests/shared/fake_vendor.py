"""A vendor whose history the tests change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.market.vendors.base import Request, VendorBars


def history(days: int = 60, first: str = "2024-01-01") -> pd.DataFrame:
    """Return bars of weekdays, all numbers different."""
    index = pd.bdate_range(first, periods=days)
    close = np.round(50 + 5 * np.sin(np.arange(days) / 4) + 0.01 * np.arange(days), 2)
    frame = pd.DataFrame({"open": close - 0.1, "high": close + 0.4, "low": close - 0.5}, index)
    frame["close"], frame["volume"] = close, 1000.0 + 7 * np.arange(days)
    return frame


@dataclass
class FakeVendor:
    """Gives what it holds, and notes what was asked."""

    frame: pd.DataFrame
    error: Exception | None = None
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
        days = pd.DatetimeIndex(self.frame.index).tz_localize("UTC")
        kept = (days >= request.start.normalize()) & (days < request.end)
        return VendorBars(self.frame[kept], "America/New_York")
