"""Market data: one frame of bars per symbol, indexed by close time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from reinforcestrategycreator_pipeline.errors import DataError, nearest
from reinforcestrategycreator_pipeline.market.places import Places
from reinforcestrategycreator_pipeline.ohlcv import OHLCV
from reinforcestrategycreator_pipeline.storage.parquet_files import read_parquet, write_parquet

_METADATA_KEY = b"rsc.bars"
_FORMAT = 2
STAMPS = "rsc_stamps"
"""Key of a frame's attributes whose value ``"close"`` says what the stamps of its bars are."""
DAY = 86_400 * 10**9
"""A day, in nanoseconds."""


@dataclass(frozen=True, repr=False)
class MarketData(Mapping[str, pd.DataFrame]):
    """The bars of one or more symbols; a mapping of symbol to DataFrame.

    Attributes
    ----------
    bars : mapping of str to DataFrame
        Bars of each symbol, sorted by symbol. The index, ``timestamp``, is the close time in UTC
        at nanosecond resolution, strictly increasing; the frames are marked so (`STAMPS`). The
        columns are float64 and finite: ``open, high, low, close, volume``, adjusted consistently,
        then any side data.
    bar_seconds : float
        Median spacing of the bars, in seconds, > 0.
    notes : tuple of str
        Findings and repairs of validation, one sentence each.
    provenance : mapping
        Origin of the data: source, files, hashes, license. Must be valid as JSON.
    warnings : tuple of str
        Those of the notes that may change every result, such as how times were read.
    places : mapping of str to Places
        Rows of the file from which the bars of each symbol were read, where a source knows them;
        not written to disk.

    Raises
    ------
    DataError
        If a frame does not have this form.
    """

    bars: Mapping[str, pd.DataFrame]
    bar_seconds: float
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    places: Mapping[str, Places] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.bars:
            raise DataError("market data needs at least one symbol. Got none.")
        for symbol, frame in self.bars.items():
            _check_frame(symbol, frame)
            frame.attrs[STAMPS] = "close"
        if not (np.isfinite(self.bar_seconds) and self.bar_seconds > 0):
            raise DataError(f"bar_seconds must be a finite number > 0. Got {self.bar_seconds!r}.")
        object.__setattr__(self, "bars", dict(sorted(self.bars.items())))

    def __getitem__(self, symbol: str) -> pd.DataFrame:
        if symbol not in self.bars:
            raise KeyError(f"there is no symbol {symbol!r}.{nearest(symbol, self.bars)}")
        return self.bars[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self.bars)

    def __len__(self) -> int:
        return len(self.bars)

    def __repr__(self) -> str:
        names, stamps = self.symbols, self.timestamps
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        rows = sum(map(len, self.bars.values()))
        return f"MarketData({shown}: {rows:,} bars, {stamps[0]} to {stamps[-1]})"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, sorted."""
        return tuple(self.bars)

    @property
    def timestamps(self) -> pd.DatetimeIndex:
        """The sorted union of the close times of all symbols."""
        values = [pd.DatetimeIndex(frame.index).asi8 for frame in self.bars.values()]
        return pd.DatetimeIndex(np.unique(np.concatenate(values)), tz="UTC", name="timestamp")


def utc_index(values: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return `values` (with a time zone) as an index of the form that `MarketData` requires."""
    return values.tz_convert("UTC").as_unit("ns").rename("timestamp")


def day_of(stamp: pd.Timestamp, timezone: str, shift_ns: int = 1) -> str:
    """Return the date of the bar that closes at `stamp`.

    Parameters
    ----------
    stamp : Timestamp
        Close of the bar, with a time zone.
    timezone : str
        IANA time zone of the date.
    shift_ns : int
        Nanoseconds from a moment in the bar's day to its close, >= 1; by default midnight belongs
        to the day that it ends.
    """
    return str((stamp - pd.Timedelta(shift_ns, "ns")).tz_convert(timezone).date())


def median_step(indexes: list[pd.DatetimeIndex]) -> int:
    """Return the median spacing over all indexes, in nanoseconds; each needs at least two times."""
    steps = np.sort(np.concatenate([np.diff(index.as_unit("ns").asi8) for index in indexes]))
    middle = steps[[(len(steps) - 1) // 2, len(steps) // 2]]
    return int(middle.sum()) // 2  # exact; a float64 counts nanoseconds only up to 104 days


def write_bars(path: Path, data: MarketData) -> None:
    """Write `data` to one Parquet file, atomically; the same data give the same bytes.

    Each row is one bar: symbol, timestamp, then the columns, null where a symbol lacks one. Notes
    and provenance are in the schema's metadata.
    """
    columns: dict[str, list[str]] = {s: [str(c) for c in f] for s, f in data.bars.items()}
    every = list(dict.fromkeys(name for names in columns.values() for name in names))
    tables = []
    for symbol, frame in data.bars.items():
        arrays = {
            "symbol": pa.array([symbol] * len(frame), pa.string()),
            "timestamp": pa.array(pd.DatetimeIndex(frame.index).asi8, pa.timestamp("ns", "UTC")),
        }
        for name in every:
            arrays[name] = (
                pa.array(frame[name].to_numpy(np.float64))
                if name in frame
                else pa.nulls(len(frame), pa.float64())
            )
        tables.append(pa.table(arrays))
    header = {
        "format": _FORMAT,
        "bar_seconds": data.bar_seconds,
        "columns": columns,
        "notes": list(data.notes),
        "warnings": list(data.warnings),
        "provenance": dict(data.provenance),
    }
    text = json.dumps(header, sort_keys=True, allow_nan=False, ensure_ascii=False)
    table = pa.concat_tables(tables).replace_schema_metadata({_METADATA_KEY: text.encode()})
    write_parquet(path, table, write_page_checksum=True, use_dictionary=["symbol"])


def read_bars(path: Path) -> MarketData:
    """Read a file that `write_bars` wrote; the result is bit-identical.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not written by `write_bars`.
    """
    try:
        table = read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.") from error
    except Exception as error:  # a damaged file may raise anything
        raise DataError(f"{path}: cannot be read as Parquet: {_one_line(error)}") from error
    metadata = table.schema.metadata or {}
    if _METADATA_KEY not in metadata:
        raise DataError(f"{path}: is a Parquet file, but was not written by write_bars.")
    header = json.loads(metadata[_METADATA_KEY])
    if header["format"] != _FORMAT:
        raise DataError(f"{path}: has format {header['format']!r}; this version reads {_FORMAT}.")
    encoded = table["symbol"].combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    names_of = {name: code for code, name in enumerate(encoded.dictionary.to_pylist())}
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(names_of) + 1))
    columns = {name: table[name].to_numpy() for name in table.column_names[2:]}
    stamps = utc_index(pd.DatetimeIndex(table["timestamp"].to_numpy()).tz_localize("UTC"))
    bars = {}
    for symbol, names in header["columns"].items():
        rows = order[edges[names_of[symbol]] : edges[names_of[symbol] + 1]]
        values = {name: columns[name][rows] for name in names}
        bars[symbol] = pd.DataFrame(values, index=stamps[rows])
    return MarketData(
        bars,
        header["bar_seconds"],
        tuple(header["notes"]),
        header["provenance"],
        tuple(header["warnings"]),
    )


def _check_frame(symbol: str, frame: pd.DataFrame) -> None:
    """Check the form of a frame; `validation` checks the values."""
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
        raise DataError(f"{symbol}: the index must be a DatetimeIndex in UTC. Got {index.dtype}.")
    if index.name != "timestamp" or index.unit != "ns":
        raise DataError(
            f"{symbol}: the index must be named 'timestamp' and be in nanoseconds. "
            f"Got {index.name!r} in {index.unit!r}."
        )
    if len(index) < 2 or not (index.is_monotonic_increasing and index.is_unique):
        raise DataError(f"{symbol}: needs at least two bars, in strictly increasing order.")
    if tuple(frame.columns[: len(OHLCV)]) != OHLCV or not frame.columns.is_unique:
        raise DataError(
            f"{symbol}: the columns must be {', '.join(OHLCV)}, then side data. "
            f"Got {', '.join(map(str, frame.columns))}."
        )
    for name in frame:
        if frame[name].dtype != np.float64 or not np.isfinite(frame[name].to_numpy()).all():
            raise DataError(f"{symbol}: the column {name!r} must be float64 and finite.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
