"""The bundled sample: thirteen years of four US stocks, with their real splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from reinforcestrategycreator_pipeline.checks import Len, Strict, require
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.validation import RawBars
from reinforcestrategycreator_pipeline.market.windows import parse_instant
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, OHLCV

SAMPLE_FILE = Path(__file__).parent.parent / "data" / "sample_daily.parquet"
SAMPLE_SHA256 = "fdf5a370c68c99862f3346b34a1e146bb02dc22ddb589dad00d3e6cef753766a"
_Symbol: TypeAlias = Literal["AAPL", "GOOG", "IBM", "MSFT"]
_NAME = "sample"


@SOURCES.register(_NAME)
@dataclass(frozen=True)
class SampleSource(Strict):
    """Bundled real daily bars of AAPL, GOOG, IBM and MSFT, 2000-03-01 to 2013-03-01.

    GOOG starts on 2004-08-19. Raw prices and volume are adjusted for splits and dividends when
    loaded. A bar closes at 16:00 in New York. The data are in the public domain: see
    ``SAMPLE_DATA.md`` next to the file.

    Parameters
    ----------
    symbols : tuple of str
        Symbols to load.
    start, end : str, optional
        First and last session, as ISO 8601 dates, both inclusive.
    """

    symbols: Annotated[tuple[_Symbol, ...], Len(1, distinct=True)] = get_args(_Symbol)
    start: str | None = None
    end: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("start", "end"):
            if getattr(self, name) is not None:
                day = parse_instant(_NAME, name, getattr(self, name))
                require(day == day.normalize(), _NAME, name, "a date", getattr(self, name))

    def fingerprint(self) -> dict[str, str]:
        """Return the SHA-256 of the bundled file, which `load` verifies."""
        return {SAMPLE_FILE.name: SAMPLE_SHA256}

    def load(self, rng: np.random.Generator) -> MarketData:
        """Read, validate and adjust the bars; `rng` is unused."""
        if not SAMPLE_FILE.is_file():
            raise DataError(f"{SAMPLE_FILE}: the bundled sample is missing; reinstall the package.")
        if sha256_file(SAMPLE_FILE) != SAMPLE_SHA256:
            raise DataError(f"{SAMPLE_FILE}: the bundled sample is damaged; reinstall the package.")
        table = pq.ParquetFile(SAMPLE_FILE).read()
        symbols = table["symbol"].to_numpy()
        stamps = pd.DatetimeIndex(table["timestamp"].to_numpy()).tz_localize("UTC")
        # New York closes before midnight UTC, so the UTC date is the date of the session.
        wanted = np.ones(len(stamps), dtype=bool)
        if self.start is not None:
            wanted &= stamps >= parse_instant(_NAME, "start", self.start)
        if self.end is not None:
            wanted &= stamps < parse_instant(_NAME, "end", self.end) + pd.Timedelta(1, "D")
        values = {name: table[name].to_numpy() for name in (*OHLCV, ADJUSTED_CLOSE)}
        frame = pd.DataFrame(values, index=stamps)
        for symbol in self.symbols:
            if not (wanted & (symbols == symbol)).any():
                held = stamps[symbols == symbol]
                start = "" if self.start is None else f" from start {self.start}"
                end = "" if self.end is None else f" to end {self.end}"
                raise DataError(
                    f"{_NAME}: {symbol} has no bars{start}{end}; its bars run from "
                    f"{held[0].date()} to {held[-1].date()}."
                )
        raws = [
            RawBars(symbol, _NAME, frame.loc[wanted & (symbols == symbol)])
            for symbol in sorted(self.symbols)
        ]
        provenance = {
            "source": _NAME,
            "sha256": self.fingerprint(),
            "licence": "public domain",
            "origin": "Quandl WIKI Prices, by way of bokeh_sampledata 2026.1",
        }
        return prepare(raws, provenance, timezone="America/New_York", weekdays=True)
