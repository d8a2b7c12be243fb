"""Stooq: daily bars as CSV, by plain HTTP; there is no client of its own.

Source: the link "Download data in csv file" of a page such as https://stooq.com/q/d/?s=ibm.us.
Errors are texts with status 200. Since July 2026 programs often get a page for browsers instead.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.market.sources.files.stamps import require_timezone
from reinforcestrategycreator_pipeline.market.vendors.base import (
    VENDORS,
    HttpVendor,
    Request,
    VendorBars,
)
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.transport import TOO_MANY, Transport

URL = "https://stooq.com/q/d/l/"
_HEADER = ["Date", "Open", "High", "Low", "Close"]


@VENDORS.register("stooq")
@dataclass(frozen=True, kw_only=True)
class Stooq(HttpVendor):
    """Stooq's daily bars, adjusted by Stooq, without a key: symbols such as ibm.us or ^spx.

    Stooq sometimes answers programs with a page for browsers; then a file that a browser downloads
    is read by the source ``csv``.

    Parameters
    ----------
    timezone : str
        IANA time zone in which the days end. New York's end later than those of the markets east
        of it.
    """

    intervals: ClassVar[tuple[str, ...]] = ("1d",)

    timezone: str = "America/New_York"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_timezone(type(self).__name__, self.timezone)

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the daily bars, dated."""
        self.require_interval(request.interval)
        parameters = {
            "s": request.symbol.lower(),
            "i": "d",
            "d1": request.first_day.replace("-", ""),
            "d2": request.last_day.replace("-", ""),
        }
        text = transport.get(URL, parameters).body.decode("utf-8", "replace")
        return VendorBars(_read(text), self.timezone)


def _read(text: str) -> pd.DataFrame:
    line = text.lstrip("\ufeff").partition("\n")[0].strip()
    if "limit" in line.lower():
        raise VendorError(
            f"{shorten(line, 80)} (wait until tomorrow).", status=TOO_MANY, unreachable=True
        )
    if line.startswith("<"):
        raise VendorError(
            "the answer is a page for browsers, not a table. Download the file with a browser; "
            "rsc data check FILE reads it.",
            unreachable=True,
        )
    if line in ("No data", "Brak danych"):
        return pd.DataFrame()
    if line.split(",")[:5] != _HEADER:
        raise VendorError(f"the answer is no table of bars: {shorten(repr(line), 80)}.")
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"))))
    except csv.Error as error:
        raise VendorError(f"the answer is damaged: {error}.", unreachable=True) from error
    width = len(rows[0])
    wrong = next((i for i, row in enumerate(rows) if row and len(row) != width), None)
    if wrong is not None or not text.endswith("\n"):
        number = len(rows) if wrong is None else wrong + 1
        raise VendorError(f"the answer was cut or damaged in line {number}.", unreachable=True)
    table = pd.DataFrame([row for row in rows[1:] if row], columns=[n.lower() for n in rows[0]])
    try:
        days = pd.to_datetime(table.pop("date"), format="%Y-%m-%d")
        numbers = {str(name): pd.to_numeric(table[name]).to_numpy() for name in table}
    except ValueError as error:
        reason = str(error).partition(". ")[0]
        raise VendorError(f"the answer cannot be read: {shorten(reason, 80)}.") from error
    return pd.DataFrame(numbers, index=pd.DatetimeIndex(days))
