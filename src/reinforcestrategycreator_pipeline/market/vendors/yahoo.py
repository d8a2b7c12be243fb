"""Yahoo Finance, by the client yfinance.

Its function `download` prints errors and returns no bars. `Ticker.history` raises them, if it is
set to.
Source: https://ranaroussi.github.io/yfinance/reference/api/yfinance.Ticker.history.html
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

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
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError, WireError
from reinforcestrategycreator_pipeline.market.vendors.tables import dated
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport
from reinforcestrategycreator_pipeline.market.vendors.wire import (
    MOST_BYTES,
    Answer,
    Call,
    Wire,
    too_large,
)

_WHAT = "the vendor 'yfinance'"
# They give cookies and a crumb, without which the bars come as well; statuses are the client's.
_OPTIONAL: dict[str, range] = dict.fromkeys(
    ("fc.yahoo.com", "guce.yahoo.com", "query1.finance.yahoo.com"), range(300, 600)
)
_COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Adj Close": "adj_close",
}


@VENDORS.register("yfinance")
@dataclass(frozen=True, kw_only=True)
class Yahoo(HttpVendor):
    """Yahoo's bars: prices adjusted for splits, and the adjusted close; no key is needed.

    Symbols are Yahoo's: IBM, ^GSPC, EURUSD=X, BTC-USD. Yahoo gives bars of a minute for the last
    days alone, and of less than a day for the last 60 days, of hours for 730.
    """

    intervals: ClassVar[tuple[str, ...]] = ("1m", "5m", "15m", "30m", "1h", "1d")

    def wire(self) -> Wire:
        """Return the client of yfinance, which looks like a browser; Yahoo blocks others."""
        with needs("yfinance", _WHAT):
            from curl_cffi import requests as curl  # pyright: ignore[reportMissingImports]
        session = curl.Session(impersonate="chrome")

        def send(call: Call, timeout: float) -> Answer:
            try:
                found = session.get(call.url, timeout=timeout)
            except curl.exceptions.RequestException as error:
                text = str(error).partition(". See ")[0]
                raise WireError(text.removeprefix("Failed to perform, ")) from error
            if len(found.content) > MOST_BYTES:
                raise too_large()
            fields = {str(k).lower(): str(v) for k, v in found.headers.items()}
            return Answer(int(found.status_code), fields, found.content)

        return send

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the bars; the exchange's time zone is Yahoo's."""
        self.require_interval(request.interval)
        with needs("yfinance", _WHAT):
            import yfinance  # pyright: ignore[reportMissingImports]
            from yfinance.data import YfData  # pyright: ignore[reportMissingImports]
        start: Any = request.start.to_pydatetime()
        end: Any = request.end.to_pydatetime()
        if request.interval.is_day:
            start = request.first_day
            end = str((request.end.ceil("D")).date())
        with client_errors("yfinance", transport), _raising():
            YfData.cache_get.cache_clear()  # what was asked before may be restated
            session = requests_session(transport, _OPTIONAL)
            ticker = yfinance.Ticker(request.symbol, session=session)
            frame = ticker.history(
                start=start,
                end=end,
                interval=str(request.interval),
                auto_adjust=False,
                actions=False,
            )
        if frame.empty:
            raise VendorError("yfinance returned no bars, and no error.")
        found = frame[[name for name in _COLUMNS if name in frame]].rename(columns=_COLUMNS)
        zone = str(pd.DatetimeIndex(frame.index).tz)
        return VendorBars(dated(found, zone) if request.interval.is_day else found, zone)


@contextmanager
def _raising() -> Iterator[None]:
    """Have yfinance raise its errors instead of printing them."""
    from yfinance.config import YfConfig  # pyright: ignore[reportMissingImports]

    log, hidden = logging.getLogger("yfinance"), YfConfig.debug.hide_exceptions
    level = log.level
    log.setLevel(logging.CRITICAL)
    YfConfig.debug.hide_exceptions = False
    try:
        yield
    finally:
        YfConfig.debug.hide_exceptions = hidden
        log.setLevel(level)
