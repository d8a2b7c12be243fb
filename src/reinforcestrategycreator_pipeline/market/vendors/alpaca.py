"""Alpaca: bars of US stocks, by its client alpaca-py.

Source: https://docs.alpaca.markets/reference/stockbars
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pandas as pd

from reinforcestrategycreator_pipeline.checks import Gt
from reinforcestrategycreator_pipeline.errors import needs
from reinforcestrategycreator_pipeline.market.vendors.base import (
    VENDORS,
    HttpVendor,
    Request,
    VendorBars,
)
from reinforcestrategycreator_pipeline.market.vendors.clients import (
    client_errors,
    requests_session,
)
from reinforcestrategycreator_pipeline.market.vendors.paging import all_pages
from reinforcestrategycreator_pipeline.market.vendors.tables import dated, frame_of
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport

KEY, SECRET = "ALPACA_API_KEY", "ALPACA_SECRET_KEY"
_ZONE = "America/New_York"
_PAGE = 10_000  # bars, the most that Alpaca gives
_COLUMNS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


@VENDORS.register("alpaca")
@dataclass(frozen=True, kw_only=True)
class Alpaca(HttpVendor):
    """Alpaca's bars of US stocks; keys in ALPACA_API_KEY and ALPACA_SECRET_KEY.

    Parameters
    ----------
    adjustment : str
        What the prices are adjusted for: ``raw``, ``split``, ``dividend`` or ``all``.
    feed : str
        Trades that make the bars: ``sip``, all exchanges, or ``iex``, one of them.
    per_minute : float
        Maximum number of requests a minute.
    """

    intervals: ClassVar[tuple[str, ...]] = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
    keys: ClassVar[tuple[str, ...]] = (KEY, SECRET)

    adjustment: Literal["raw", "split", "dividend", "all"] = "all"
    feed: Literal["sip", "iex"] = "sip"
    per_minute: Annotated[float, Gt(0)] = 190.0

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the bars; the client gives a day's as its midnight in New York."""
        self.require_interval(request.interval)
        with needs("alpaca", "the vendor 'alpaca'"):
            import alpaca.data as api  # pyright: ignore[reportMissingImports]
        data: Any = api  # the same to type checkers, installed or not
        units = data.TimeFrameUnit
        unit = {"m": units.Minute, "h": units.Hour, "d": units.Day}[request.interval.unit]
        client = data.StockHistoricalDataClient(self.key(KEY), self.key(SECRET), raw_data=True)

        def page(start: pd.Timestamp) -> pd.DataFrame:
            client._session = requests_session(transport)
            wanted = data.StockBarsRequest(
                symbol_or_symbols=request.symbol,
                timeframe=data.TimeFrame(request.interval.count, unit),
                start=start.to_pydatetime(),
                end=request.end.to_pydatetime(),
                adjustment=self.adjustment,
                feed=self.feed,
                limit=_PAGE,
            )
            with client_errors("alpaca-py", transport):
                found: Any = client.get_stock_bars(wanted)
                rows = list(found.get(request.symbol) or [])
            return frame_of(rows, _COLUMNS, "t")

        frame = all_pages(page, request.start, request.end, request.step)
        return VendorBars(dated(frame, _ZONE) if request.interval.is_day else frame, _ZONE)
