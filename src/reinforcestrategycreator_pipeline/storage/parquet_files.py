"""Parquet tables in files of any name: pyarrow itself opens no path that is not UTF-8."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reinforcestrategycreator_pipeline.files import atomic_path

_ROWS = 1 << 20  # of a group


def write_parquet(path: Path, table: pa.Table, **options: Any) -> None:
    """Write a table atomically, compressed by zstd; `options` are those of pyarrow's writer.

    Raises
    ------
    RunError
        If the operating system reports an error; `path` is unchanged.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table, file, compression="zstd", **options)


def write_parquet_parts(path: Path, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
    """Write tables one after the other as one, atomically, with few of them in memory.

    Raises
    ------
    RunError
        If the operating system reports an error; `path` is unchanged.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        waiting: list[pa.Table] = []
        for part in parts:
            waiting.append(part)
            if sum(map(len, waiting)) >= _ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def read_parquet(path: Path, **options: Any) -> pa.Table:
    """Read a table, and verify the checksums of its pages if it has any.

    Parameters
    ----------
    path : Path
        File to read.
    **options
        Those of `pyarrow.parquet.ParquetFile`.
    """
    with path.open("rb") as file:
        return pq.ParquetFile(file, page_checksum_verification=True, **options).read()


@contextmanager
def columns_of(path: Path) -> Iterator[Callable[[str], pa.ChunkedArray]]:
    """Open a table and give a function that reads a column by its name, to limit memory."""
    with path.open("rb") as file:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        yield lambda name: parquet.read(columns=[name])[name]
