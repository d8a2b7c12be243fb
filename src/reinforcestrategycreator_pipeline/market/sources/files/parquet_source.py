"""Parquet files, whose column types are trusted."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import DataError, shorten
from reinforcestrategycreator_pipeline.market.bad_rows import Where
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table
from reinforcestrategycreator_pipeline.market.sources.files.epochs import require_no_accident
from reinforcestrategycreator_pipeline.market.sources.files.file_source import FileSource
from reinforcestrategycreator_pipeline.market.sources.files.reading import MAX_DATA_BYTES
from reinforcestrategycreator_pipeline.market.sources.files.stamps import (
    ParsedStamps,
    StampRules,
    midnights,
    parse_texts,
)


@dataclass(frozen=True)
class ArrowColumn:
    """A typed column."""

    values: Any  # pyarrow.ChunkedArray

    def numbers(self, name: str, where: Where) -> F64 | None:
        """Return integers, floats and decimals as float64; other types are not numbers."""
        kind = self.values.type
        if pa.types.is_boolean(kind) or not (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        ):
            return None
        floats = self.values.cast(pa.float64(), safe=False)
        return np.array(floats.to_numpy(), dtype=np.float64)

    def texts(self) -> list[str]:
        """Return the values as text, empty where missing."""
        if pa.types.is_dictionary(self.values.type):
            found: list[str] = []
            for chunk in self.values.chunks:
                known = ["" if v is None else v.strip() for v in chunk.dictionary.to_pylist()]
                found += ["" if i is None else known[i] for i in chunk.indices.to_pylist()]
            return found
        return ["" if v is None else str(v).strip() for v in self.values.to_pylist()]

    def stamps(self, rules: StampRules, name: str, where: Where) -> ParsedStamps:
        """Return typed timestamps as they are; parse text and epoch numbers by their format."""
        kind = self.values.type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            return parse_texts(self.texts(), rules, name, where)
        missing = np.flatnonzero(self.values.is_null().to_numpy())
        if len(missing):
            table = where.table(missing, name, [None] * len(missing), "is missing")
            raise DataError(f"{where(int(missing[0]))}: {name} is missing.", rows=table)
        try:
            naive = self.values.cast(pa.timestamp("ns"))  # drops the zone, keeps the UTC value
        except pa.ArrowInvalid as error:
            raise DataError(f"{where(0)}: {name} is out of range for nanoseconds.") from error
        utc = pd.DatetimeIndex(naive.to_numpy())
        require_no_accident(utc, name, where)
        if pa.types.is_date(kind):
            return ParsedStamps("date", utc)
        if kind.tz is None:
            return ParsedStamps("local", utc, midnights(utc))
        instants = utc.tz_localize("UTC")
        clock = instants.tz_convert(kind.tz)
        return ParsedStamps("instant", instants, midnights(clock), clock.tz_localize(None))


@SOURCES.register("parquet")
@dataclass(frozen=True, kw_only=True)
class ParquetSource(FileSource):
    """Bars from a Parquet file, or from a folder of such files.

    The parameters are those of `FileSource`. Numbers must be stored as numbers; the timestamp may
    be a timestamp, a date, or text.
    """

    kind = "parquet"
    suffixes = (".parquet", ".pq")

    def read_table(self, path: Path, content: bytes) -> Table:
        """Return the columns of the file."""
        try:
            table = _read(path, content)
        except DataError:
            raise
        except Exception as error:  # a damaged file may raise anything, UnicodeDecodeError too
            reason = shorten(" ".join(str(error).split()))
            raise DataError(f"{path}: cannot be read as Parquet: {reason}") from error
        names = table.column_names
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise DataError(f"{path}: has the column {twice[0]!r} twice.")
        return Table(path, {n: ArrowColumn(table[n]) for n in names}, table.num_rows, None)


def _read(path: Path, content: bytes) -> Any:
    """Return the table of a file, whose decoded size is bounded before anything is decoded."""
    verified = {"page_checksum_verification": True}
    schema = pq.ParquetFile(io.BytesIO(content), **verified).schema_arrow
    texts = [
        f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
    ]
    # Text stays a dictionary, so a long one that is repeated is held once.
    file = pq.ParquetFile(io.BytesIO(content), read_dictionary=texts, **verified)
    metadata = file.metadata
    groups = range(metadata.num_row_groups)
    pages = sum(metadata.row_group(i).total_byte_size for i in groups)
    size = max(pages, 8 * metadata.num_rows * metadata.num_columns)
    if size > MAX_DATA_BYTES:
        raise DataError(
            f"{path}: has {len(content):,} bytes, but {metadata.num_rows:,} rows that take "
            f"{size:,} when they are decoded; at most {MAX_DATA_BYTES:,} are read. Split it."
        )
    return file.read()
