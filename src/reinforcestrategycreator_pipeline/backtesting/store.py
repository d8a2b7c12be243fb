"""Storage of all strategies' results in two Parquet tables: bars and trades."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import (
    CONFIDENCE_COLUMNS,
    TRADE_COLUMNS,
    Results,
    StrategyResult,
)
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.storage.parquet_files import read_parquet, write_parquet

_TIME = pa.timestamp("ns", "UTC")
_FLOWS = ("exposure", "turnover", "costs")
_BARS = pa.schema(
    [
        ("symbol", pa.string()),
        ("strategy", pa.string()),
        ("timestamp", _TIME),
        *((name, pa.float64()) for name in ("equity", *_FLOWS)),
    ]
)
_TRADE_TYPES = {
    **dict.fromkeys(("symbol", "side"), pa.string()),
    **dict.fromkeys(("entry_time", "exit_time"), _TIME),
    "bars": pa.int64(),
    "open": pa.bool_(),
}
_TRADES = pa.schema(
    [
        ("account", pa.string()),  # an asset or the portfolio, as `symbol` in the table of bars
        ("strategy", pa.string()),
        *((name, _TRADE_TYPES.get(name, pa.float64())) for name in TRADE_COLUMNS),
    ]
)
# In both tables if some strategy says how sure it was; null for the others.
_CONFIDENCE = [pa.field(name, pa.float64()) for name in CONFIDENCE_COLUMNS]


def bars_table(results: Results) -> pd.DataFrame:
    """Return one row per close for each strategy on each asset.

    Exposure, turnover and costs are 0 at the first close. If some strategy says how sure it was,
    so do two more columns, NaN at the first close and for the others.
    """
    said = CONFIDENCE_COLUMNS if _some_say(results) else ()
    parts = [
        pd.DataFrame(
            {
                "symbol": symbol,
                "strategy": name,
                "timestamp": r.timestamps,
                "equity": r.equity,
                **{flow: np.concatenate([[0.0], getattr(r, flow)]) for flow in _FLOWS},
                **{name: _after_first_close(getattr(r, name), len(r.equity)) for name in said},
            }
        )
        for symbol, strategies in results.items()
        for name, r in strategies.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _some_say(results: Results) -> bool:
    return any(r.advantage_bps is not None for found in results.values() for r in found.values())


def _after_first_close(values: F64 | None, n: int) -> F64:
    return np.full(n, np.nan) if values is None else np.concatenate([[np.nan], values])


def write_results(bars_path: Path, trades_path: Path, results: Results) -> None:
    """Write the results, each table atomically; the same results give the same bytes."""
    trades = [
        r.trades.assign(account=symbol, strategy=name)
        for symbol, strategies in results.items()
        for name, r in strategies.items()
        if len(r.trades)
    ]
    more = _CONFIDENCE if _some_say(results) else []
    for path, base, frames in (
        (bars_path, _BARS, [bars_table(results)]),
        (trades_path, _TRADES, trades),
    ):
        schema = pa.schema([*base, *more])
        tables = [
            pa.Table.from_pandas(frame.reindex(columns=schema.names), schema, preserve_index=False)
            for frame in frames
        ]
        table = pa.concat_tables(tables) if tables else schema.empty_table()
        write_parquet(path, table.replace_schema_metadata())


def read_results(bars_path: Path, trades_path: Path) -> dict[str, dict[str, StrategyResult]]:
    """Read files that `write_results` wrote, bit-identical and in the same order.

    Raises
    ------
    DataError
        If a file is missing, damaged, or not written by `write_results`.
    """
    bars, trades = _read(bars_path, _BARS), _read(trades_path, _TRADES)
    owned = dict(list(trades.groupby(["account", "strategy"], sort=False)))
    told = bars[bars["advantage_bps"].notna()] if "advantage_bps" in bars else bars.iloc[:0]
    says, accounts = set(told["strategy"]), set(zip(told["symbol"], told["strategy"], strict=True))
    results: dict[str, dict[str, StrategyResult]] = {}
    for key, rows in bars.groupby(["symbol", "strategy"], sort=False):
        symbol, name = map(str, key)
        columns = [*TRADE_COLUMNS, *(CONFIDENCE_COLUMNS if name in says else ())]
        own = owned.get((symbol, name), trades.iloc[:0])[columns]
        per_bar = [*_FLOWS, *(CONFIDENCE_COLUMNS if (symbol, name) in accounts else ())]
        flows = {flow: rows[flow].to_numpy(np.float64)[1:] for flow in per_bar}
        results.setdefault(symbol, {})[name] = StrategyResult(
            strategy=name,
            symbol=symbol,
            timestamps=pd.DatetimeIndex(rows["timestamp"], name="timestamp"),
            equity=rows["equity"].to_numpy(np.float64),
            **flows,
            trades=own.reset_index(drop=True),
        )
    return results


def read_equity(bars_path: Path, symbol: str) -> pd.DataFrame:
    """Read the equity of all strategies on one asset, in a fraction of the time of all results.

    Parameters
    ----------
    bars_path : Path
        Table of bars that `write_results` wrote.
    symbol : str
        Asset, or ``"PORTFOLIO"``.

    Returns
    -------
    DataFrame
        Equity at each close, in money; one column a strategy, in the order of the results.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not written by `write_results`, or lacks the asset.
    """
    table = _table(bars_path, ("symbol", "strategy", "timestamp", "equity"))
    rows = table.filter(pc.field("symbol") == symbol).to_pandas()
    if rows.empty:
        raise DataError(f"{bars_path}: has no results of {symbol!r}.")
    curves = {
        str(name): own.set_index("timestamp")["equity"]
        for name, own in rows.groupby("strategy", sort=False)
    }
    return pd.DataFrame(curves)


def _read(path: Path, schema: pa.Schema) -> pd.DataFrame:
    table = _table(path)
    if not any(table.schema.equals(pa.schema([*schema, *more])) for more in ([], _CONFIDENCE)):
        raise DataError(f"{path}: is a Parquet file, but was not written by write_results.")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _table(path: Path, columns: tuple[str, ...] | None = None) -> pa.Table:
    """Read a table, or some of its columns, which must be there."""
    try:
        table = read_parquet(path, columns)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.") from error
    except (OSError, pa.ArrowException) as error:
        text = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as Parquet: {text}") from error
    wanted = None if columns is None else pa.schema([_BARS.field(name) for name in columns])
    if wanted is not None and not table.schema.equals(wanted):
        raise DataError(f"{path}: is a Parquet file, but was not written by write_results.")
    return table
