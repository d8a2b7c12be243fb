"""Parquet tables in files of any name: pyarrow itself opens no path that is not UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reinforcestrategycreator_pipeline.files import atomic_path


def write_parquet(path: Path, table: pa.Table, **options: Any) -> None:
    """Write a table atomically, compressed by zstd; `options` are those of pyarrow's writer.

    Raises
    ------
    RunError
        If the operating system reports an error; `path` is unchanged.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table, file, compression="zstd", **options)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or some of its columns; verify the checksums of its pages if it has any."""
    with path.open("rb") as file:
        return pq.ParquetFile(file, page_checksum_verification=True).read(columns)
