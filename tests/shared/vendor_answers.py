"""What vendors answer, as they document it, about one made-up market."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from vendor_server import Asked, Reply, as_json

KEYS = {
    "TIINGO_API_KEY": "tiingo-secret-1",
    "ALPACA_API_KEY": "alpaca-id-2",
    "ALPACA_SECRET_KEY": "alpaca-secret-3",
    "MASSIVE_API_KEY": "massive-secret-4",
}


def market(freq: str, count: int, first: str = "2024-03-04", tz: str = "UTC") -> pd.DataFrame:
    """Return bars by their opens; all numbers are different."""
    opens = pd.date_range(first, periods=count, freq=freq, tz=tz)
    if freq == "D":
        opens = pd.bdate_range(first, periods=count, tz=tz)
    i = np.arange(count)
    close = np.round(100 + 3 * np.sin(i / 5) + 0.01 * i, 2)
    return pd.DataFrame(
        {"o": close - 0.25, "h": close + 0.5, "l": close - 0.75, "c": close, "v": 1000.0 + i},
        opens.tz_convert("UTC"),
    )


def rows_between(frame: pd.DataFrame, start: Any, end: Any, most: int) -> pd.DataFrame:
    return frame[(frame.index >= start) & (frame.index <= end)].iloc[:most]


def zulu(stamp: pd.Timestamp) -> str:
    return f"{stamp:%Y-%m-%dT%H:%M:%SZ}"


class Tiingo:
    """https://www.tiingo.com/documentation/end-of-day"""

    def __init__(self) -> None:
        self.frame = market("D", 40)

    def __call__(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Token {KEYS['TIINGO_API_KEY']}":
            return as_json({"detail": "Invalid token."}, 401)
        if asked.path != "/tiingo/daily/IBM/prices":
            return as_json({"detail": "Error: Ticker not found"}, 404)
        days = self.frame.loc[asked.query["startDate"] : asked.query["endDate"]]
        return as_json(
            [
                {
                    "date": f"{t:%Y-%m-%dT00:00:00.000Z}", "open": r.o, "high": r.h, "low": r.l,
                    "close": r.c, "volume": int(r.v), "adjOpen": r.o * 0.98, "adjHigh": r.h * 0.98,
                    "adjLow": r.l * 0.98, "adjClose": r.c * 0.98, "adjVolume": int(r.v),
                    "divCash": 0.0, "splitFactor": 1.0,
                }
                for t, r in zip(days.index, days.itertuples(), strict=True)
            ]
        )  # fmt: skip


class Alpaca:
    """https://docs.alpaca.markets/reference/stockbars; a page is at most `most` bars."""

    def __init__(self, frame: pd.DataFrame, timeframe: str, most: int = 10_000) -> None:
        self.frame, self.timeframe, self.most = frame, timeframe, most

    def __call__(self, asked: Asked) -> Reply:
        given = (asked.headers.get("apca-api-key-id"), asked.headers.get("apca-api-secret-key"))
        if given != (KEYS["ALPACA_API_KEY"], KEYS["ALPACA_SECRET_KEY"]):
            return as_json({"message": "forbidden."}, 403)
        query = asked.query
        right = asked.path == "/v2/stocks/bars" and query["timeframe"] == self.timeframe
        if not right or query["adjustment"] != "all" or query["feed"] != "sip":
            return as_json({"message": "invalid request"}, 400)
        start = pd.Timestamp(query.get("page_token") or query["start"])
        size = min(int(query["limit"]), self.most)
        rows = rows_between(self.frame, start, pd.Timestamp(query["end"]), size + 1)
        token = zulu(rows.index[size]) if len(rows) > size else None
        bars = [
            {"t": zulu(t), "o": r.o, "h": r.h, "l": r.l, "c": r.c, "v": int(r.v), "n": 9,
             "vw": r.c}
            for t, r in zip(rows.index[:size], rows.itertuples(), strict=False)
        ]  # fmt: skip
        found = {query["symbols"]: bars} if bars else {}
        return as_json({"bars": found, "next_page_token": token})


class Massive:
    """https://massive.com/docs/rest/stocks/aggregates/custom-bars"""

    def __init__(self, frame: pd.DataFrame, most: int = 50_000) -> None:
        self.frame, self.most = frame, most

    def __call__(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {KEYS['MASSIVE_API_KEY']}":
            return as_json({"status": "ERROR", "error": "Unknown API Key"}, 401)
        parts = asked.path.split("/")
        assert parts[:4] == ["", "v2", "aggs", "ticker"]
        assert asked.query["adjusted"] == "true"
        assert asked.query["sort"] == "asc"
        start, end = (pd.Timestamp(int(x), unit="ms", tz="UTC") for x in parts[-2:])
        rows = rows_between(self.frame, start, end, min(int(asked.query["limit"]), self.most))
        found: dict[str, Any] = {
            "ticker": parts[4], "adjusted": True, "queryCount": len(rows),
            "resultsCount": len(rows), "status": "OK", "request_id": "6a7e466379af0a71",
        }  # fmt: skip
        if len(rows):
            found["results"] = [
                {"t": int(t.value // 10**6), "o": r.o, "h": r.h, "l": r.l, "c": r.c, "v": r.v,
                 "vw": r.c, "n": 9}
                for t, r in zip(rows.index, rows.itertuples(), strict=True)
            ]  # fmt: skip
        return as_json(found)


class Kraken:
    """https://docs.kraken.com/api/docs/rest-api/get-ohlc-data and its list of pairs."""

    def __init__(self, frame: pd.DataFrame, most: int = 720) -> None:
        self.frame, self.most = frame, most

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/0/public/Assets":
            coin = {"aclass": "currency", "decimals": 10, "display_decimals": 5,
                    "status": "enabled"}  # fmt: skip
            return as_json({"error": [], "result": {
                "XXBT": {**coin, "altname": "XBT"}, "ZUSD": {**coin, "altname": "USD"},
            }})  # fmt: skip
        if asked.path == "/0/public/AssetPairs":
            return as_json({"error": [], "result": {"XXBTZUSD": PAIR}})
        if asked.path != "/0/public/OHLC" or asked.query["pair"] != "XXBTZUSD":
            return as_json({"error": ["EQuery:Unknown asset pair"]})
        assert asked.query["interval"] == "60"
        since = pd.Timestamp(int(asked.query.get("since", 0)), unit="s", tz="UTC")
        rows = self.frame[self.frame.index > since].iloc[: self.most]
        return as_json({"error": [], "result": {"last": 1, "XXBTZUSD": [
            [int(t.timestamp()), str(r.o), str(r.h), str(r.l), str(r.c), str(r.c), str(r.v), 9]
            for t, r in zip(rows.index, rows.itertuples(), strict=True)
        ]}})  # fmt: skip


PAIR = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "aclass_base": "currency", "base": "XXBT",
    "aclass_quote": "currency", "quote": "ZUSD", "lot": "unit", "cost_decimals": 5,
    "pair_decimals": 1, "lot_decimals": 8, "lot_multiplier": 1, "leverage_buy": [],
    "leverage_sell": [], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]],
    "fee_volume_currency": "ZUSD", "margin_call": 80, "margin_stop": 40, "ordermin": "0.0001",
    "costmin": "0.5", "tick_size": "0.1", "status": "online",
}  # fmt: skip


class Yahoo:
    """The chart of Yahoo Finance; fc.yahoo.com answers 404 with a cookie."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def __call__(self, asked: Asked) -> Reply:
        if asked.host == "fc.yahoo.com":
            return Reply(b"Not found", 404)
        if asked.path == "/v1/test/getcrumb":
            return Reply(b"abcDEF")
        if asked.path != "/v8/finance/chart/IBM":
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return as_json({"chart": {"result": None, "error": error}}, 404)
        rows = self.frame
        if "period1" in asked.query:
            start, end = (pd.Timestamp(int(asked.query[p]), unit="s", tz="UTC") for p in PERIODS)
            rows = rows[(rows.index >= start) & (rows.index < end)]
        zone = "America/New_York"
        meta = {
            "currency": "USD", "symbol": "IBM", "exchangeName": "NYQ", "instrumentType": "EQUITY",
            "timezone": "EST", "exchangeTimezoneName": zone, "gmtoffset": -18000,
            "regularMarketTime": int(self.frame.index[-1].timestamp()), "priceHint": 2,
            "firstTradeDate": -252322200, "dataGranularity": asked.query["interval"], "range": "",
            "validRanges": ["1d", "5d", "max"], "chartPreviousClose": 100.0,
            "currentTradingPeriod": {
                name: {"timezone": "EST", "start": 0, "end": 0, "gmtoffset": -18000}
                for name in ("pre", "regular", "post")
            },
        }  # fmt: skip
        if asked.query["interval"] != "1d":
            days = rows.index.tz_convert(zone).normalize().unique()
            meta["tradingPeriods"] = [
                [{"timezone": "EST", "start": int(d.timestamp()), "gmtoffset": -18000,
                  "end": int((d + pd.Timedelta(24, "h")).timestamp())}]
                for d in days
            ]  # fmt: skip
        quote = {name: rows[name[0]].tolist() for name in ("open", "high", "low", "close")}
        indicators: dict[str, Any] = {"quote": [quote | {"volume": rows["v"].astype(int).tolist()}]}
        if asked.query["interval"] == "1d":
            indicators["adjclose"] = [{"adjclose": (rows["c"] * 0.98).tolist()}]
        result = {
            "meta": meta,
            "timestamp": [int(t.timestamp()) for t in rows.index],
            "indicators": indicators,
        }
        return Reply(json.dumps({"chart": {"result": [result], "error": None}}).encode())


PERIODS = ("period1", "period2")
