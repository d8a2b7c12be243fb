"""DataFrames in memory: read like a file's table, and a source like any other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa

from reinforcestrategycreator_pipeline.arrays import Indices
from reinforcestrategycreator_pipeline.checks import Len, Strict
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bars import STAMPS, MarketData
from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table, require_different
from reinforcestrategycreator_pipeline.market.sources.files.file_source import TableSource
from reinforcestrategycreator_pipeline.market.sources.files.joining import Part
from reinforcestrategycreator_pipeline.market.sources.files.names import TIME
from reinforcestrategycreator_pipeline.market.sources.files.parquet_source import ArrowColumn
from reinforcestrategycreator_pipeline.market.sources.files.readings import Readings
from reinforcestrategycreator_pipeline.market.sources.files.stamps import StampRules

_HELD: dict[str, MarketData] = {}  # by the hash of their content, so two runs cannot mix them up


@SOURCES.register("frames")
@dataclass(frozen=True)
class FrameSource(Strict):
    """DataFrames in memory, which Python code passes as ``run(bars=...)``.

    Parameters
    ----------
    sha256 : str
        Hash of the bars, as `hold` returns it.
    """

    sha256: Annotated[str, Len(1)]

    def fingerprint(self) -> dict[str, str]:
        """Return the hash: the bars are their own identity."""
        return {"DataFrames": self.sha256}

    def load(self, rng: np.random.Generator) -> MarketData:
        """Return the bars; `rng` is not used.

        Raises
        ------
        DataError
            If this process does not hold them.
        """
        if self.sha256 not in _HELD:
            raise DataError(
                "the bars of this run are DataFrames that are not in memory any more. Pass them "
                "again: run(resume=..., bars=...)."
            )
        return _HELD[self.sha256]


def hold(data: MarketData) -> str:
    """Keep bars for `FrameSource` while this process lives; return the hash of their content."""
    digest = hashlib.sha256()
    for symbol, frame in data.items():
        digest.update(json.dumps([symbol, *map(str, frame.columns)]).encode())
        digest.update(pd.DatetimeIndex(frame.index).asi8.tobytes())
        digest.update(frame.to_numpy(np.float64).tobytes())
    about = [data.bar_seconds, list(data.notes), dict(data.provenance), list(data.warnings)]
    digest.update(json.dumps(about, sort_keys=True).encode())
    sha256 = digest.hexdigest()
    _HELD[sha256] = data
    return sha256


@dataclass(frozen=True, kw_only=True)
class FrameReader(TableSource):
    """Turns DataFrames into market data by the rules that a file's table obeys.

    The parameters are those of `TableSource`.
    """

    kind = "frames"

    def read(self, frames: Mapping[str, pd.DataFrame]) -> MarketData:
        """Validate and adjust one frame per symbol.

        Parameters
        ----------
        frames : mapping of str to DataFrame
            Frames by symbol. The stamps are the index or a column.

        Raises
        ------
        DataError
            If there is no frame, or one breaks a rule; messages count rows from 1.
        """
        if not frames:
            raise DataError("bars must hold at least one DataFrame. Got none.")
        tables = (_table(symbol, frame) for symbol, frame in frames.items())
        return self.market_data(tables, {"source": self.kind})

    def symbol_rows(self, table: Table, column: str | None) -> dict[str, Indices]:
        """Return the positions of each symbol's rows; without a column, the frame's name."""
        if column is None and self.symbol is None and isinstance(table, _FrameTable):
            return {table.symbol: np.arange(table.n_rows)}
        return super().symbol_rows(table, column)

    def _parts(self, table: Table, found: Findings, said: Readings) -> list[Part]:
        parts = super()._parts(table, found, said)
        if isinstance(table, _FrameTable) and table.stamped and self.bar_stamp == "auto":
            return [replace(part, stamped=True) for part in parts]
        return parts

    def _rules(self, part: Part) -> StampRules:
        rules = super()._rules(part)
        return replace(rules, bar_stamp="close") if part.stamped else rules


@dataclass(frozen=True)
class _FrameTable(Table):
    symbol: str = ""
    stamped: bool = False  # at the close: a frame of `MarketData`, or a part of one


def _table(symbol: str, frame: object) -> Table:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{symbol}: bars must be a DataFrame. Got {type(frame).__name__} instead.")
    if frame.columns.nlevels > 1 or frame.index.nlevels > 1:
        raise DataError(
            f"{symbol}: its {'columns' if frame.columns.nlevels > 1 else 'index'} have several "
            f"levels. Pass one frame per symbol: {{symbol: frame, ...}}."
        )
    if frame.empty:
        raise DataError(f"{symbol}: the DataFrame has no rows.")
    # Not by its form: vendors stamp the same form at the open.
    stamped = frame.attrs.get(STAMPS) == "close" and isinstance(frame.index, pd.DatetimeIndex)
    if isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.reset_index(names=str(frame.index.name or TIME))
    names = [str(name) for name in frame.columns]
    require_different(symbol, names)
    try:
        arrays = [pa.Array.from_pandas(frame.iloc[:, i]) for i in range(len(names))]
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{symbol}: a column holds values of several types: {reason}") from error
    columns = {n: ArrowColumn(pa.chunked_array([a])) for n, a in zip(names, arrays, strict=True)}
    return _FrameTable(
        Path(f"bars[{symbol!r}]"), columns, len(frame), None, symbol=symbol, stamped=stamped
    )
