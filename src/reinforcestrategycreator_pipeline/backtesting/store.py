"""Storage of all strategies' results in two Parquet tables: bars and trades."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from reinforcestrategycreator_pipeline.arrays import F64, Array
from reinforcestrategycreator_pipeline.backtesting.results import (
    CONFIDENCE_COLUMNS,
    PORTFOLIO,
    TRADE_COLUMNS,
    Results,
    StrategyResult,
)
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bars import DAY
from reinforcestrategycreator_pipeline.storage.parquet_files import (
    Columns,
    columns_of,
    write_parquet,
    write_parquet_parts,
)

_TIME = pa.timestamp("ns", "UTC")
_TEXTS = ("symbol", "strategy")
MOST_ROWS = 250_000
"""Rows of a table for people; a spreadsheet holds a million, and slowly."""
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
    says = _some_say(results)
    return pd.concat(
        [_rows(symbol, name, r, says) for symbol, name, r in _each(results)], ignore_index=True
    )


def table_for_people(results: Results, most: int = MOST_ROWS) -> tuple[pd.DataFrame, str]:
    """Return `bars_table`, or so much of it that a spreadsheet holds it.

    Parameters
    ----------
    results : mapping of str to mapping of str to StrategyResult
        Results by asset or ``"PORTFOLIO"``, then by strategy.
    most : int
        Number of rows up to which the table has all. Beyond it, it has the portfolio alone; if
        these are still more, the last close of each day, UTC, with the turnover and the costs of
        the whole day.

    Returns
    -------
    DataFrame
        Columns as those of `bars_table`.
    str
        What the table is; empty if it has all rows.
    """
    count = sum(len(r.equity) for _, _, r in _each(results))
    if count <= most:
        return bars_table(results), ""
    whole = {PORTFOLIO: results[PORTFOLIO]} if PORTFOLIO in results else results
    says = _some_say(whole)
    tables = [_rows(symbol, name, r, says) for symbol, name, r in _each(whole)]
    if sum(map(len, tables)) <= most:
        return pd.concat(tables, ignore_index=True), "the portfolio alone"
    days = [_by_day(table) for table in tables]
    return pd.concat(days, ignore_index=True), "the portfolio at the last close of each day"


def _each(results: Results) -> Iterator[tuple[str, str, StrategyResult]]:
    """Yield asset, strategy and result."""
    for symbol, strategies in results.items():
        for name, r in strategies.items():
            yield symbol, name, r


def _rows(symbol: str, name: str, r: StrategyResult, says: bool) -> pd.DataFrame:
    """Return the rows of one result in `bars_table`."""
    columns = {"symbol": symbol, "strategy": name, "timestamp": r.timestamps, **_numbers(r, says)}
    return pd.DataFrame(columns)


def _numbers(r: StrategyResult, says: bool) -> dict[str, F64]:
    """Return the columns of numbers of one result."""
    n = len(r.equity)
    said = CONFIDENCE_COLUMNS if says else ()
    return {
        "equity": r.equity,
        **{flow: np.concatenate([[0.0], getattr(r, flow)]) for flow in _FLOWS},
        **{name: _after_first_close(getattr(r, name), n) for name in said},
    }


def _by_day(table: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of each day, UTC, with the day's turnover and costs."""
    times = pd.DatetimeIndex(table["timestamp"]).as_unit("ns").asi8
    days = (times - 1) // DAY  # a bar that closes at midnight belongs to the day that it ends
    first = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    found = table.iloc[np.append(first[1:], len(table)) - 1].copy()
    for flow in ("turnover", "costs"):
        found[flow] = np.add.reduceat(table[flow].to_numpy(), first)
    return found


def _some_say(results: Results) -> bool:
    return any(r.advantage_bps is not None for found in results.values() for r in found.values())


def _after_first_close(values: F64 | None, n: int) -> F64:
    return np.full(n, np.nan) if values is None else np.concatenate([[np.nan], values])


def write_results(bars_path: Path, trades_path: Path, results: Results) -> None:
    """Write the results, each table atomically; the same results give the same bytes."""
    says = _some_say(results)
    more = _CONFIDENCE if says else []
    schema = pa.schema([*_BARS, *more])
    parts = (
        pa.table(
            {
                "symbol": pa.repeat(symbol, len(r.equity)),
                "strategy": pa.repeat(name, len(r.equity)),
                "timestamp": pa.array(r.timestamps.as_unit("ns").asi8).cast(_TIME),
                **{key: pa.array(x, from_pandas=True) for key, x in _numbers(r, says).items()},
            },
            schema=schema,
        )
        for symbol, name, r in _each(results)
    )
    write_parquet_parts(bars_path, schema, parts)
    schema = pa.schema([*_TRADES, *more])
    traded = [(symbol, name, r.trades) for symbol, name, r in _each(results) if len(r.trades)]
    table = schema.empty_table()
    if traded:
        counts = [len(trades) for _, _, trades in traded]
        joined = pd.concat([trades for _, _, trades in traded], ignore_index=True)
        joined["account"] = np.repeat([symbol for symbol, _, _ in traded], counts)
        joined["strategy"] = np.repeat([name for _, name, _ in traded], counts)
        columns = joined.reindex(columns=schema.names)
        table = pa.Table.from_pandas(columns, schema, preserve_index=False)
    write_parquet(trades_path, table.replace_schema_metadata())


def read_results(bars_path: Path, trades_path: Path) -> dict[str, dict[str, StrategyResult]]:
    """Read files that `write_results` wrote, bit-identical and in the same order.

    Raises
    ------
    DataError
        If a file is missing, damaged, or not written by `write_results`.
    """
    with _opened(bars_path, _BARS) as bars:
        symbols, strategies = (_encoded(bars.read(name)) for name in _TEXTS)
        numbers = {
            name: bars.read(name).to_numpy() for name in bars.schema.names if name not in _TEXTS
        }
    with _opened(trades_path, _TRADES) as opened:
        table = pa.table({name: opened.read(name) for name in opened.schema.names})
    trades = table.cast(opened.schema).to_pandas()
    owned = dict(list(trades.groupby(["account", "strategy"], sort=False)))
    moved = np.diff(symbols.codes) | np.diff(strategies.codes)
    edges = [0, *(np.flatnonzero(moved) + 1).tolist(), len(symbols.codes)]
    runs = [
        (symbols.names[symbols.codes[a]], strategies.names[strategies.codes[a]], slice(a, b))
        for a, b in pairwise(edges)
        if b > a
    ]
    told = numbers.get("advantage_bps")
    accounts = {
        (symbol, name)
        for symbol, name, rows in runs
        if told is not None and not np.isnan(told[rows]).all()
    }
    says = {name for _, name in accounts}
    results: dict[str, dict[str, StrategyResult]] = {}
    for symbol, name, rows in runs:
        columns = [*TRADE_COLUMNS, *(CONFIDENCE_COLUMNS if name in says else ())]
        own = owned.get((symbol, name), trades.iloc[:0])[columns]
        per_bar = [*_FLOWS, *(CONFIDENCE_COLUMNS if (symbol, name) in accounts else ())]
        results.setdefault(symbol, {})[name] = StrategyResult(
            strategy=name,
            symbol=symbol,
            timestamps=pd.DatetimeIndex(numbers["timestamp"][rows], tz="UTC", name="timestamp"),
            equity=numbers["equity"][rows],
            **{flow: numbers[flow][rows][1:] for flow in per_bar},
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
    with _opened(bars_path, _BARS) as bars:
        symbols = _encoded(bars.read("symbol"))
        if symbol not in symbols.names:
            raise DataError(f"{bars_path}: has no results of {symbol!r}.")
        rows = symbols.codes == symbols.names.index(symbol)
        strategies = _encoded(bars.read("strategy"))
        own, stamps, equity = (
            x[rows]
            for x in (
                strategies.codes,
                bars.read("timestamp").to_numpy(),
                bars.read("equity").to_numpy(),
            )
        )
    codes, first = np.unique(own, return_index=True)
    curves = {}
    for code in codes[np.argsort(first)]:
        one = own == code
        index = pd.DatetimeIndex(stamps[one], tz="UTC", name="timestamp")
        curves[strategies.names[code]] = pd.Series(equity[one], index)
    return pd.DataFrame(curves)


class _Encoded(NamedTuple):
    """A column of texts: the code of each row, and the text of each code."""

    codes: Array
    names: list[str]


def _encoded(column: pa.ChunkedArray) -> _Encoded:
    found = column.unify_dictionaries().combine_chunks()
    return _Encoded(found.indices.to_numpy(), found.dictionary.to_pylist())


@contextmanager
def _opened(path: Path, schema: pa.Schema) -> Iterator[Columns]:
    """Open a table that `write_results` wrote; say in a line what is wrong with another one."""
    try:
        with columns_of(path, [n for n in _TEXTS if n in schema.names]) as columns:
            expected = (pa.schema([*schema, *more]) for more in ([], _CONFIDENCE))
            if not any(columns.schema.equals(each) for each in expected):
                raise DataError(f"{path}: is a Parquet file, but was not written by write_results.")
            yield columns
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.") from error
    except (OSError, pa.ArrowException) as error:
        text = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as Parquet: {text}") from error
