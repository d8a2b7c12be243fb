"""Parquet tables in files of any name: pyarrow itself opens no path that is not UTF-8."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from reinforcestrategycreator_pipeline.files import atomic_path

MUCH_MEMORY = 1 << 26  # bytes of tables at a time
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


def read_parquet(path: Path) -> pa.Table:
    """Read a table, and verify the checksums of its pages if it has any."""
    with path.open("rb") as file:
        return pq.ParquetFile(file, page_checksum_verification=True).read()


class Columns(NamedTuple):
    """A table of which one column is read at a time, to limit memory.

    Attributes
    ----------
    schema : pyarrow.Schema
        Names and types of the columns.
    read : callable
        Function from a name to the column.
    """

    schema: pa.Schema
    read: Callable[[str], pa.ChunkedArray]


@contextmanager
def columns_of(path: Path, encoded: Sequence[str] = ()) -> Iterator[Columns]:
    """Open a table to read its columns one by one.

    Parameters
    ----------
    path : Path
        File to read.
    encoded : sequence of str
        Columns of texts to read as dictionaries: few texts, and a number in each row.
    """
    with path.open("rb") as file:
        schema = pq.read_schema(file)
        file.seek(0)
        parquet = pq.ParquetFile(
            file, page_checksum_verification=True, read_dictionary=list(encoded)
        )
        yield Columns(schema, lambda name: parquet.read(columns=[name])[name])


def release_memory() -> None:
    """Give memory that tables no longer need back to the operating system.

    It does nothing in a process whose tables were never larger than `MUCH_MEMORY`: to look for
    what is no longer needed takes as long as a stage on little data.
    """
    pool = pa.default_memory_pool()
    if (pool.max_memory() or 0) > MUCH_MEMORY:
        gc.collect()
        pool.release_unused()
