"""Massive, once Polygon: bars of stocks, currencies and coins, by its client massive.

Source: https://massive.com/docs/rest/stocks/aggregates/custom-bars
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pandas as pd

from reinforcestrategycreator_pipeline.checks import Gt
from reinforcestrategycreator_pipeline.errors import needs, shorten
from reinforcestrategycreator_pipeline.market.vendors.base import (
    VENDORS,
    HttpVendor,
    Request,
    VendorBars,
)
from reinforcestrategycreator_pipeline.market.vendors.clients import (
    UrllibPool,
    client_errors,
    read_json,
)
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.paging import all_pages
from reinforcestrategycreator_pipeline.market.vendors.tables import dated, frame_of
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport

KEY = "MASSIVE_API_KEY"
_PAGE = 50_000  # the most; it counts the minutes or days behind the bars
_SPANS = {"m": "minute", "h": "hour", "d": "day"}
_COLUMNS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_IN_UTC = ("X:", "C:")  # coins and currencies


@VENDORS.register("massive")
@dataclass(frozen=True, kw_only=True)
class Massive(HttpVendor):
    """Massive's bars (once Polygon): stocks, X:BTCUSD, C:EURUSD; key in MASSIVE_API_KEY.

    Parameters
    ----------
    adjusted : bool
        Whether the prices are adjusted for splits.
    per_minute : float
        Maximum number of requests a minute; the free plan allows 5.
    """

    intervals: ClassVar[tuple[str, ...]] = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
    keys: ClassVar[tuple[str, ...]] = (KEY,)

    adjusted: bool = True
    per_minute: Annotated[float, Gt(0)] = 5.0

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the bars; a day's is given as the midnight of its zone."""
        self.require_interval(request.interval)
        with needs("massive", "the vendor 'massive'"):
            from massive import RESTClient  # pyright: ignore[reportMissingImports]
        client: Any = RESTClient(api_key=self.key(KEY), retries=0, pagination=False)

        def page(start: pd.Timestamp) -> pd.DataFrame:
            client.client = UrllibPool(transport)
            with client_errors("massive", transport):
                # As the client decodes them, answers that are no JSON are no bars.
                answer = client.list_aggs(
                    request.symbol,
                    request.interval.count,
                    _SPANS[request.interval.unit],
                    start.value // 10**6,
                    request.end.value // 10**6,
                    adjusted=self.adjusted,
                    sort="asc",
                    limit=_PAGE,
                    raw=True,
                )
            return _rows(answer.data)

        frame = all_pages(page, request.start, request.end, request.step)
        zone = "UTC" if request.symbol.startswith(_IN_UTC) else "America/New_York"
        return VendorBars(dated(frame, zone) if request.interval.is_day else frame, zone)


def _rows(body: bytes) -> pd.DataFrame:
    found = read_json(body)
    if not isinstance(found, dict) or found.get("status") not in ("OK", "DELAYED"):
        raise VendorError(f"the answer holds no bars: {shorten(repr(found), 80)}.")
    return frame_of(found.get("results") or [], _COLUMNS, "t", "ms")
