"""Exchanges of coins, by the client ccxt.

Source: https://docs.ccxt.com/#/README?id=ohlcv-candlestick-charts
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pandas as pd

from reinforcestrategycreator_pipeline.checks import Ge, Gt, Len, require
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest, needs
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
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.paging import all_pages
from reinforcestrategycreator_pipeline.market.vendors.tables import dated, frame_of
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport

_COLUMNS = {1: "open", 2: "high", 3: "low", 4: "close", 5: "volume"}


@VENDORS.register("ccxt")
@dataclass(frozen=True, kw_only=True)
class Ccxt(HttpVendor):
    """Bars of an exchange of coins, in ccxt's symbols: BTC/USDT; no key is needed.

    Parameters
    ----------
    exchange : str
        ID of the exchange: ``binance``, ``kraken``, ``coinbase`` and 100 others.
    page : int
        Bars to ask for at once; 1 to what the exchange gives.
    """

    settling_s: ClassVar[float] = 60.0  # trades are not reported late

    exchange: Annotated[str, Len(1)] = "binance"
    page: Annotated[int, Ge(1)] = 500
    per_minute: Annotated[float, Gt(0)] = 60.0

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the bars; days end at midnight, UTC."""
        with needs("ccxt", "the vendor 'ccxt'"):
            import ccxt  # pyright: ignore[reportMissingImports]
        if self.exchange not in ccxt.exchanges:
            raise ConfigError(
                f"ccxt has no exchange {self.exchange!r}.{nearest(self.exchange, ccxt.exchanges)}"
            )
        client: Any = getattr(ccxt, self.exchange)({"enableRateLimit": False})
        rule = f"one of {', '.join(client.timeframes or ())}"
        name = str(request.interval)
        require(name in (client.timeframes or ()), "Ccxt", "interval", rule, name)
        with client_errors("ccxt", transport):
            client.session = requests_session(transport)
            client.load_markets()
            if request.symbol not in client.markets:
                raise VendorError(
                    f"{self.exchange} has no such symbol.{nearest(request.symbol, client.markets)}"
                )

        def page(start: pd.Timestamp) -> pd.DataFrame:
            client.session = requests_session(transport)
            with client_errors("ccxt", transport):
                rows = client.fetch_ohlcv(
                    request.symbol, name, since=start.value // 10**6, limit=self.page
                )
            return frame_of(rows, _COLUMNS, 0, "ms")

        length = request.interval.length
        # An exchange may answer a time before a coin was listed with nothing at all.
        frame = all_pages(page, request.start, request.end, length, skip=length * self.page)
        return VendorBars(dated(frame, "UTC") if request.interval.is_day else frame, "UTC")
