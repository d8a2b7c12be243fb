"""Tiingo: daily bars, by plain HTTP.

Its client library is a session with one header; going without it saves an extra and its pins. The
tests compare both. Source: https://www.tiingo.com/documentation/end-of-day
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.market.sources.files.stamps import require_timezone
from reinforcestrategycreator_pipeline.market.vendors.base import (
    VENDORS,
    HttpVendor,
    Request,
    VendorBars,
)
from reinforcestrategycreator_pipeline.market.vendors.clients import read_json
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.tables import dated, frame_of
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport

URL = "https://api.tiingo.com/tiingo/daily"
KEY = "TIINGO_API_KEY"
_COLUMNS = {name: name for name in ("open", "high", "low", "close", "volume")}


@VENDORS.register("tiingo")
@dataclass(frozen=True, kw_only=True)
class Tiingo(HttpVendor):
    """Tiingo's daily bars as traded, with the adjusted close; key in TIINGO_API_KEY.

    Parameters
    ----------
    timezone : str
        IANA time zone in which the days end.
    """

    intervals: ClassVar[tuple[str, ...]] = ("1d",)
    keys: ClassVar[tuple[str, ...]] = (KEY,)

    timezone: str = "America/New_York"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_timezone(type(self).__name__, self.timezone)

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the daily bars, dated."""
        self.require_interval(request.interval)
        parameters = {
            "startDate": request.first_day,
            "endDate": request.last_day,
            "resampleFreq": "daily",
            "format": "json",
        }
        headers = {"Authorization": f"Token {self.key(KEY)}", "Content-Type": "application/json"}
        url = f"{URL}/{quote(request.symbol, safe='')}/prices"
        rows = read_json(transport.get(url, parameters, headers).body)
        if not isinstance(rows, list):
            said = rows.get("detail", rows) if isinstance(rows, dict) else rows
            raise VendorError(f"the answer is no list of bars: {shorten(repr(said), 80)}.")
        frame = frame_of(rows, {**_COLUMNS, "adjClose": "adj_close"}, "date")
        # A date is written as its midnight, UTC.
        return VendorBars(dated(frame, "UTC"), self.timezone)
