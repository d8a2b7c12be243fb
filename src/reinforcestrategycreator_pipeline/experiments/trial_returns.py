"""The out-of-sample returns of a trial, ``returns.parquet`` in its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.storage.parquet_files import read_parquet, write_parquet

RETURNS = "returns.parquet"


def write_returns(path: Path, result: StrategyResult) -> str:
    """Write the return of each bar with its close time, and return the SHA-256 of both."""
    times = result.timestamps.as_unit("ns").asi8[1:]
    before, after = result.equity[:-1], result.equity[1:]
    alive = before > 0  # the returns after a ruin are 0
    returns = np.divide(after, before, out=np.ones_like(after), where=alive) - 1.0
    table = pa.table({"time": pa.array(times, pa.timestamp("ns", "UTC")), "return": returns})
    write_parquet(path, table, write_page_checksum=True)
    return _digest(times, returns)


def read_returns(path: Path, sha256: str = "") -> pd.Series[float]:
    """Read the return of each bar, by close time.

    Parameters
    ----------
    path : Path
        A file that `write_returns` wrote.
    sha256 : str
        What it returned; empty for no check of the content.

    Raises
    ------
    RunError
        If the file is missing or damaged, or has another content.
    """
    try:
        table = read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: cannot be read.") from error
    times, returns = table["time"].to_numpy(), table["return"].to_numpy()
    if sha256 and _digest(times.view(np.int64), returns) != sha256:
        raise RunError(f"{path}: is edited or damaged: it has not the SHA-256 of its trial.")
    index = pd.DatetimeIndex(times).tz_localize("UTC").rename("time")
    return pd.Series(returns, index, name="return")


def _digest(times: Ints, returns: F64) -> str:
    digest = hashlib.sha256(times.astype("<i8").tobytes())
    digest.update(returns.astype("<f8").tobytes())
    return digest.hexdigest()
