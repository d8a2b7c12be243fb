"""Meaning of the name of a column: its role, an end of a bar, a price that later events change."""

from __future__ import annotations

import re

from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, OHLCV

TIME = "timestamp"
SYMBOL = "symbol"
ROW_NUMBER = "Unnamed: 0"
"""The name that pandas gives to a column without one."""

# All in the form of `plain_name`.
SPELLINGS = {
    TIME: {"timestamp", "datetime", "date", "time", "indexlevel0"},
    SYMBOL: {"symbol", "ticker"},
    **{name: {name} for name in OHLCV},
    ADJUSTED_CLOSE: {
        *("adjclose", "adjustedclose", "closeadj", "closeadjusted", "adjcls"),
        *("adjcloseprice", "adjustedcloseprice", "adjclosingprice", "adjustedclosingprice"),
    },
}
SYNONYMS = {
    "open": {"o", "opn", "openprice", "openingprice", "opening", "1open"},
    "high": {"h", "hi", "highprice", "highest", "max", "2high"},
    "low": {"l", "lo", "lowprice", "lowest", "min", "3low"},
    "close": {
        *("c", "cls", "last", "latest", "price", "closeprice", "closingprice", "closing"),
        *("lastprice", "closelast", "4close"),
    },
    "volume": {
        *("v", "vol", "tradedvolume", "tradevolume", "sharevolume", "totalvolume"),
        *("volumen", "qty", "quantity", "5volume", "6volume"),
    },
}
"""Other names of a role, which are taken for it only if no column has its own."""
SYMBOL_WORDS = {
    *("name", "tic", "code", "stock", "instrument", "security", "asset", "coin", "pair"),
    *("contract", "market", "company", "actsymbol", "stockcode", "stockname", "tradingsymbol"),
}
"""Names of a column of text that is taken for the symbol if it tells rows of one time apart."""
_TIME = "(?:datetime|date|timestamp|time|stamp|ts|at)"
_BAR = "(?:bar|candlestick|candle|kline|window|period|interval|session|bucket|trading|trade|time)"
_TAIL = "(?:utc|gmt|local|iso|unix|epoch|seconds|sec|millis|ms|us|ns|s)"
_OPEN = re.compile(
    f"{_BAR}*open(?:ed|ing)?{_TIME}{_TAIL}*|{_BAR}*{_TIME}open{_TAIL}*|tsevent"
    f"|(?:{_BAR}|{_TIME})*(?:start(?:s|ed|ing)?|begin(?:s|ning)?){_TIME}?{_TAIL}*"
)
_CLOSE = re.compile(
    f"{_BAR}*(?:close|closed|closing){_TIME}{_TAIL}*|{_BAR}*{_TIME}close{_TAIL}*"
    f"|(?:{_BAR}|{_TIME})*end(?:s|ed|ing)?{_TIME}?{_TAIL}*"
)
_CLOCK = re.compile(
    f"(?:{_BAR}|unix|epoch|gmt|utc|local)*{_TIME}{_TAIL}*|(?:unix|epoch){_TAIL}*"
    "|day|dt|tradingday|tradeday"
)
_PRICE = "(?:open|high|low|close|cls|price|last|settle|vol|factor)"
_ADJ = "(?<!un)adj"
_ADJUSTED = re.compile(
    f".*{_ADJ}.*{_PRICE}.*|.*{_PRICE}.*{_ADJ}.*|cum.*factor|cfac(?:sh|p)r|ajexdi"
)
_ADJUSTED_ALONE = {"adj", "adjusted", "adjprc"}


def plain_name(column: str) -> str:
    """Return a column's name in lower case, letters and digits alone: ``"Adj. Close"`` is one."""
    return re.sub(r"[\W_]+", "", column.lower())


def is_open_time(column: str) -> bool:
    """Return whether the name says that the column holds the opens of the bars."""
    return _OPEN.fullmatch(plain_name(column)) is not None


def is_close_time(column: str) -> bool:
    """Return whether the name says that the column holds the closes of the bars."""
    return _CLOSE.fullmatch(plain_name(column)) is not None


def is_time(column: str) -> bool:
    """Return whether the name says that the column holds times, which are no side data."""
    name = plain_name(column)
    known = name in SPELLINGS[TIME] or _CLOCK.fullmatch(name) is not None
    return known or is_open_time(column) or is_close_time(column)


def is_adjusted(column: str) -> bool:
    """Return whether the name says that later events change it: ``"Adj. Open"``, ``"Adjusted"``."""
    last = plain_name(column.rpartition(".")[2])
    return last in _ADJUSTED_ALONE or _ADJUSTED.fullmatch(plain_name(column)) is not None


def has_role(column: str) -> bool:
    """Return whether the name is that of a role, a time or an adjusted price."""
    known = any(plain_name(column) in names for names in SPELLINGS.values())
    return known or is_time(column) or is_adjusted(column)


def may_be(column: str, role: str) -> bool:
    """Return whether a word of a name that is unknown is that of a role: ``"Close/Last"``."""
    words = re.split(r"[\W_]+", column.lower())
    if role == TIME:
        return bool({"date", "time", "day", "week", "month", "quarter", "year"} & set(words))
    return role in words and not is_adjusted(column)
