"""Market data from a file, a source or DataFrames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources.catalog import (
    build_source,
    load_source,
    source_for,
)
from reinforcestrategycreator_pipeline.market.sources.frames import FrameReader
from reinforcestrategycreator_pipeline.seeding import generator

Frames = MarketData | Mapping[str, pd.DataFrame] | pd.DataFrame


def read_bars(
    path: str | Path | Frames | None = None,
    *,
    source: str | None = None,
    seed: int = 7,
    **params: Any,
) -> MarketData:
    """Read, validate and adjust bars.

    Parameters
    ----------
    path : path, DataFrame or mapping of str to DataFrame, optional
        A file or folder that a source reads by its suffix (CSV, Parquet), or bars in memory, by
        symbol: columns open, high, low, close, volume in any case, and their stamps as the index
        or a column. Stamps obey the rules of a file's, so midnights throughout are dates; but
        frames of a `MarketData`, or parts of them, keep theirs, which are closes.
    source : str, optional
        Name of a source (``"sample"``, ``"synthetic"``, ``"module:Class"``), in place of the
        file's suffix.
    seed : int
        For sources that draw their market, as a run with this seed does.
    **params
        The source's parameters (``rsc list sources``); for DataFrames `symbol`, `timezone`,
        `session_close` and the others of a file's table.

    Returns
    -------
    MarketData
        A mapping of symbol to DataFrame, stamped at the close in UTC, with `notes` on what
        validation found or repaired, and `provenance`.

    Raises
    ------
    DataError
        If the data break a rule.
    ConfigError
        If there is no such source or parameter.

    Examples
    --------
    >>> bars = read_bars(source="sample")
    >>> bars.symbols
    ('AAPL', 'GOOG', 'IBM', 'MSFT')
    """
    if isinstance(path, MarketData):
        return path
    if isinstance(path, (pd.DataFrame, Mapping)):
        frames = {"bars": path} if isinstance(path, pd.DataFrame) else path
        return from_mapping(FrameReader, params, "read_bars").read(frames)
    if path is not None:
        source, params = source or source_for(Path(path)), {"path": str(path), **params}
    if source is None:
        raise ConfigError("read_bars needs a path, DataFrames or a source. Got none of them.")
    return load_source(build_source(source, params), source, generator(seed, "data"))
