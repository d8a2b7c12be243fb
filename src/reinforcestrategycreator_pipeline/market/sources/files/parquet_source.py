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
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table, require_different
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

    def texts(self, count: int | None = None) -> list[str]:
        """Return the values as text, empty where missing."""
        if count is not None:
            stamped = pa.types.is_timestamp(self.values.type) or pa.types.is_date(self.values.type)
            return [] if stamped else ArrowColumn(self.values.slice(0, count)).texts()
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
        columns = {name: ArrowColumn(table[name]) for name in table.column_names}
        return Table(path, columns, table.num_rows, None)


def _read(path: Path, content: bytes) -> Any:
    """Return the table of a file, whose decoded size is bounded before anything is decoded."""
    verified = {"page_checksum_verification": True}
    schema = pq.ParquetFile(io.BytesIO(content), **verified).schema_arrow
    require_different(path, schema.names)
    texts = [f.name for f in schema if _is_text(f.type)]
    # Text stays a dictionary, so a long one that is repeated is held once.
    file = pq.ParquetFile(io.BytesIO(content), read_dictionary=texts, **verified)
    metadata, usable = file.metadata, [f.name for f in schema if is_usable(f.type)]
    size = 0
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        for chunk in (group.column(i) for i in range(group.num_columns)):
            if chunk.path_in_schema in usable:
                size += max(chunk.total_uncompressed_size, 8 * chunk.num_values)
    size = max(size, 8 * metadata.num_rows * len(usable))
    if size > MAX_DATA_BYTES:
        raise DataError(
            f"{path}: has {len(content):,} bytes, but {metadata.num_rows:,} rows that take "
            f"{size:,} when they are decoded; at most {MAX_DATA_BYTES:,} are read. Split it."
        )
    table = file.read(columns=usable)
    # Lists, bytes and the like are neither numbers nor text; they may decode to any size.
    for i, name in enumerate(schema.names):
        if name not in usable:
            table = table.add_column(i, name, pa.nulls(metadata.num_rows))
    return table


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_usable(kind: Any) -> bool:
    """Return whether a column may hold numbers, times or text."""
    known = ("is_boolean", "is_integer", "is_floating", "is_decimal", "is_timestamp", "is_date")
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return _is_text(kind) or any(getattr(pa.types, name)(kind) for name in known)
