"""All the sources: fill the register, build one from configuration, describe, try a file."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

# Importing them registers them.
from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources import sample, synthetic
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES, DataSource
from reinforcestrategycreator_pipeline.market.sources.files.csv_source import CsvSource
from reinforcestrategycreator_pipeline.market.sources.files.file_source import (
    list_files,
    read_content,
)
from reinforcestrategycreator_pipeline.market.sources.files.parquet_source import ParquetSource

SHIPPED = (
    sample.SampleSource,
    CsvSource,
    ParquetSource,
    synthetic.SyntheticSource,
)


@dataclass(frozen=True)
class SourceInfo:
    """A registered source: its name, what it is in a line, its parameters and their defaults."""

    name: str
    summary: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class SymbolSummary:
    """What a symbol's bars hold."""

    symbol: str
    n_bars: int
    first: pd.Timestamp
    last: pd.Timestamp
    side_data: tuple[str, ...]


def build_source(name: str, parameters: Mapping[str, Any]) -> DataSource:
    """Return the source of that name, or at ``"module:Class"``, with the parameters.

    Raises
    ------
    ConfigError
        If there is no such source or parameter, or a value is not allowed.
    """
    found: object = SOURCES.get(name)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and hasattr(found, "load")):
        raise ConfigError(f"the data source {name!r} must be a dataclass with a method load.")
    source = from_mapping(found, parameters, f"the data source {name!r}")
    return cast(DataSource, source)


def list_sources() -> tuple[SourceInfo, ...]:
    """Describe every registered source, by name."""
    infos = []
    for name in SOURCES:
        source = SOURCES.get(name)
        parameters = {}
        for field in dataclasses.fields(source):  # type: ignore[arg-type]
            if field.default is not dataclasses.MISSING:
                parameters[field.name] = repr(field.default)
            elif field.default_factory is not dataclasses.MISSING:
                parameters[field.name] = repr(field.default_factory())
            else:
                parameters[field.name] = "required"
        summary = (inspect.getdoc(source) or "").partition("\n\n")[0].replace("\n", " ")
        infos.append(SourceInfo(name, summary, parameters))
    return tuple(infos)


def check_file(path: Path, **options: Any) -> tuple[MarketData, tuple[SymbolSummary, ...]]:
    """Read and validate a CSV or Parquet file, or a folder of either, by its suffix.

    Parameters
    ----------
    path : Path
        What to check.
    **options
        Parameters of the csv or parquet source.

    Raises
    ------
    DataError
        What the source refuses, or a suffix that no source reads.
    """
    kinds: dict[str, type[CsvSource] | type[ParquetSource]] = {
        "csv": CsvSource,
        "parquet": ParquetSource,
    }
    known = tuple(suffix for source in kinds.values() for suffix in source._suffixes)
    candidates = list_files(path, known)
    for name, source in kinds.items():
        if any(p.suffix.lower() in source._suffixes for p in candidates):
            loaded = build_source(name, {"path": str(path), **options})
            data = loaded.load(np.random.default_rng(0))
            return data, summarize(data)
    if not path.exists():
        read_content(path)  # says so, and offers the nearest name
    raise DataError(f"{path}: the file's name does not end in {' or '.join(known)}.")


def summarize(data: MarketData) -> tuple[SymbolSummary, ...]:
    """Return one line's worth of facts for each symbol."""
    return tuple(
        SymbolSummary(
            symbol, len(frame), frame.index[0], frame.index[-1], tuple(map(str, frame.columns[5:]))
        )
        for symbol, frame in data.bars.items()
    )
