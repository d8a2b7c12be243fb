"""Feather files (Arrow's IPC format), as pandas and freqtrade write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from reinforcestrategycreator_pipeline.errors import DataError, shorten
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table, require_different
from reinforcestrategycreator_pipeline.market.sources.files.file_source import FileSource
from reinforcestrategycreator_pipeline.market.sources.files.parquet_source import (
    ArrowColumn,
    is_usable,
)
from reinforcestrategycreator_pipeline.market.sources.files.reading import MAX_DATA_BYTES


@SOURCES.register("feather")
@dataclass(frozen=True, kw_only=True)
class FeatherSource(FileSource):
    """Bars from a Feather file (version 2), or from a folder of such files.

    The parameters are those of `FileSource`. Numbers must be stored as numbers; the timestamp may
    be a timestamp, a date, or text.
    """

    kind = "feather"
    suffixes = (".feather", ".arrow")

    def read_table(self, path: Path, content: bytes) -> Table:
        """Return the columns of the file."""
        if content.startswith(b"FEA1"):
            raise DataError(f"{path}: is Feather of version 1; save it again, as version 2.")
        try:
            with pa.ipc.open_file(pa.BufferReader(content)) as file:
                schema, size, batches = file.schema, 0, []
                for i in range(file.num_record_batches):
                    batches.append(file.get_batch(i))
                    batches[-1].validate(full=True)
                    size += batches[-1].nbytes
                    if size > MAX_DATA_BYTES:
                        break
        except Exception as error:  # a damaged file may raise anything
            reason = shorten(" ".join(str(error).split()))
            raise DataError(f"{path}: cannot be read as Feather: {reason}") from error
        if size > MAX_DATA_BYTES:
            raise DataError(
                f"{path}: decodes to more than {MAX_DATA_BYTES:,} bytes, which is the most that is "
                "read. Split it."
            )
        require_different(path, schema.names)
        table = pa.Table.from_batches(batches, schema)
        none = pa.chunked_array([pa.nulls(table.num_rows)])
        columns = {
            f.name: ArrowColumn(table[f.name] if is_usable(f.type) else none) for f in schema
        }
        return Table(path, columns, table.num_rows, None)
