"""The report's tables as plain rows, for HTML and Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    MetricInfo,
    MetricValue,
    format_value,
    rank,
)
from reinforcestrategycreator_pipeline.backtesting.results import (
    BUY_AND_HOLD,
    ORACLE,
    PORTFOLIO,
    StrategyResult,
)
from reinforcestrategycreator_pipeline.reporting.confidence import TERMS, says, z_of
from reinforcestrategycreator_pipeline.reporting.data import ReportData, stamp_texts
from reinforcestrategycreator_pipeline.reporting.history import largest_drawdowns
from reinforcestrategycreator_pipeline.reporting.words import portfolio_note

TRADES_SHOWN = 100
ITEMS_SHOWN = 6
_SYMBOLS_SHOWN = 20
DRAWDOWN_COLUMNS = ("Depth", "High before", "Trough", "Recovered", "Bars")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# The best cell is marked only in groups that doing nothing cannot win by definition.
_RANKED_GROUPS = ("Return", "Return for risk")
_OVERVIEW = ("annual_return", "sharpe", "max_drawdown", "trades", "costs_paid")


@dataclass(frozen=True)
class Cell:
    """A number of a metrics table: text and exact value, or the reason why it is undefined."""

    text: str
    value: float | None = None
    reason: str = ""
    best: bool = False


@dataclass(frozen=True)
class MetricRow:
    """One metric of all strategies."""

    metric: MetricInfo
    cells: list[Cell]


@dataclass(frozen=True)
class YearRow:
    """Twelve monthly returns as fractions (None without bars) and the return of the year."""

    year: int
    months: list[float | None]
    total: float | None


def metric_table(data: ReportData, asset: str) -> list[MetricRow]:
    """Return the metrics (rows) of an asset's strategies (columns), in the order of the tables."""
    rows = []
    for name, metric in data.judgement.infos.items():
        if name not in data.judgement.metrics[asset][data.policy]:
            continue
        values = {column: data.value(asset, column, name) for column in data.results[asset]}
        causal = {column: value for column, value in values.items() if column != ORACLE}
        best = None
        if metric.group in _RANKED_GROUPS and metric.higher_is_better is not None:
            best = causal[rank(causal, metric)[0]].value
        cells = [
            cell(metric, value, best=column in causal and best is not None and value.value == best)
            for column, value in values.items()
        ]
        rows.append(MetricRow(metric, cells))
    return rows


def grouped(rows: list[MetricRow]) -> list[list[MetricRow]]:
    """Return the rows by their metrics' groups, in the order in which groups first appear."""
    groups: dict[str, list[MetricRow]] = {}
    for row in rows:
        groups.setdefault(row.metric.group, []).append(row)
    return list(groups.values())


def overview(data: ReportData) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """Return one row per asset: the policy's main figures and the return of buy and hold."""
    labels = [data.info(key).label for key in _OVERVIEW]
    columns = [labels[0], f"{labels[0]}, {BUY_AND_HOLD}", *labels[1:]]
    rows = []
    for asset in data.assets:
        cells = [cell(data.info(key), data.value(asset, data.policy, key)) for key in _OVERVIEW]
        hold = cell(data.info(_OVERVIEW[0]), data.value(asset, BUY_AND_HOLD, _OVERVIEW[0]))
        rows.append((asset, [cells[0], hold, *cells[1:]]))
    return columns, rows


def cell(metric: MetricInfo, value: MetricValue, *, best: bool = False) -> Cell:
    """Return a metric's value as a table cell."""
    if value.value is None:
        return Cell("—", reason=value.reason)
    return Cell(format_value(metric.unit, value.value), value.value, best=best)


def monthly_returns(result: StrategyResult) -> list[YearRow]:
    """Return the returns by calendar month and year, in UTC, according to the bars' close times.

    A month runs from the last close before it to its last close; the first and the last may be
    partial. Returns after ruin are None.
    """
    stamps = result.timestamps
    keys = (stamps.year * 12 + stamps.month - 1).to_numpy()
    ends = _ends(keys[1:])
    starts = np.concatenate([[0], ends[:-1]]) if ends.size else ends
    by_month = {
        int(keys[end]): _growth(result.equity, int(start), int(end))
        for start, end in zip(starts, ends, strict=True)
    }
    years = stamps.year.to_numpy()
    year_ends = _ends(years[1:])
    year_starts = np.concatenate([[0], year_ends[:-1]]) if year_ends.size else year_ends
    return [
        YearRow(
            int(years[end]),
            [by_month.get(int(years[end]) * 12 + month) for month in range(12)],
            _growth(result.equity, int(start), int(end)),
        )
        for start, end in zip(year_starts, year_ends, strict=True)
    ]


def _ends(keys: Array) -> Array:
    """Return the index in the equity array of the last close of each run of equal keys."""
    if not len(keys):
        return np.empty(0, dtype=np.int64)
    return np.append(np.flatnonzero(np.diff(keys)), len(keys) - 1) + 1


def _growth(equity: Array, start: int, end: int) -> float | None:
    if (equity[: start + 1] <= 0).any():
        return None
    return float(equity[end] / equity[start] - 1.0)


def shown_trades(result: StrategyResult, limit: int = TRADES_SHOWN) -> list[dict[str, Any]]:
    """Return the `limit` trades with the largest absolute result, by time, as mappings.

    If the strategy says how sure it was of them, ``z`` is its advantage over the spread.
    """
    trades = result.trades.assign(z=z_of(result.trades)) if says(result) else result.trades
    if not len(trades):
        return []
    if len(trades) > limit:
        largest = np.argsort(-trades["pnl"].abs().to_numpy(), kind="stable")[:limit]
        trades = trades.iloc[largest]
    trades = trades.sort_values(["entry_time", "symbol"], kind="stable")
    columns: dict[str, list[Any]] = {str(name): trades[name].tolist() for name in trades.columns}
    for name in ("entry_time", "exit_time"):
        columns[name] = stamp_texts(pd.DatetimeIndex(trades[name]), result.timestamps)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def facts(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested settings into (dotted name, text) pairs."""
    rows: list[tuple[str, str]] = []
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += facts(value, f"{name}.")
        elif isinstance(value, str):
            rows.append((name, value))
        elif isinstance(value, float):
            rows.append((name, f"{value:g}"))
        elif isinstance(value, (list, tuple)):
            texts = [_item_text(item) for item in value[:ITEMS_SHOWN]]
            more = len(value) - len(texts)
            rest = [f"and {more} more (all are in manifest.json)"] if more else []
            rows.append((name, "; ".join([*texts, *rest])))
        else:
            rows.append((name, json.dumps(value, default=str)))
    return rows


def _item_text(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    known = {key: value for key, value in item.items() if value is not None}
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in known.items()
    )


def run_facts(data: ReportData) -> list[tuple[str, str]]:
    """Return the facts that identify and describe the run."""
    rows = [
        ("Run", data.run_id),
        ("Created", data.created),
        ("Package version", data.version),
    ]
    if data.seed is not None:
        rows.append(("Seed", str(data.seed)))
    more = len(data.symbols) - _SYMBOLS_SHOWN
    named = ", ".join(data.symbols[:_SYMBOLS_SHOWN])
    rows.append(("Assets", named + (f", and {more:,} more" if more > 0 else "")))
    bars = data.results[data.assets[0]][data.policy].timestamps
    for name, (start, end) in data.spans.items():
        texts = stamp_texts(pd.DatetimeIndex([start, end]), bars)
        count = f" ({data.bar_counts[name]:,} bars)" if name in data.bar_counts else ""
        said = f"{name.capitalize()} span"
        if data.walks:
            said = "Test bars" if name == "test" else f"Deployed policy, {name} span"
        rows.append((said, f"{texts[0]} to {texts[1]}{count}"))
    rows.append(("Bars per year", _periods(data)))
    if PORTFOLIO in data.results:
        rows.append(("Portfolio", portfolio_note(data)))
    if (percent := data.judgement.random_percentile.get(data.assets[0])) is not None:
        text = f"ended above {percent:.1f}% of its own exposures at shifted times"
        rows.append(("Timing", f"{text}; a description, not a test"))
    if data.knows_trades:
        costs = ", ".join(f"{name} {text}" for name, text in facts(data.costs)) or "none"
        grid = ", ".join(f"{position:g}" for position in data.positions)
        rows += [("Positions", grid), ("Costs", costs)]
    if data.best_step is not None:
        rows.append(("Evaluated checkpoint", f"step {data.best_step:,}"))
    if data.stage_seconds:
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in data.stage_seconds.items())
        rows.append(("Stage times", times))
    return rows


def _periods(data: ReportData) -> str:
    """Return the bars per year of each asset, or once if they are all alike."""
    shown = {asset: f"{data.judgement.periods_per_year[asset]:.1f}" for asset in data.assets}
    if len(set(shown.values())) == 1:
        return next(iter(shown.values()))
    named = [f"{text} ({asset})" for asset, text in shown.items()]
    more = len(named) - ITEMS_SHOWN
    return ", ".join(named[:ITEMS_SHOWN]) + (f", and {more} more" if more > 0 else "")


def definitions(data: ReportData) -> list[tuple[str, str]]:
    """Return label and definition of each metric and term in the report."""
    shown = data.judgement.metrics[data.assets[0]][data.policy]
    infos = data.judgement.infos.values()
    found = [(info.label, info.definition) for info in infos if info.key in shown]
    return [*found, *(TERMS if says(data.results[data.assets[0]][data.policy]) else ())]


def drawdown_rows(result: StrategyResult) -> list[tuple[str, ...]]:
    """Return the five largest drawdowns as texts of `DRAWDOWN_COLUMNS`, the deepest first."""
    texts = stamp_texts(result.timestamps)
    rows: list[tuple[str, ...]] = []
    for found in largest_drawdowns(np.asarray(result.equity, dtype=np.float64)):
        last = len(texts) - 1 if found.end is None else found.end
        end = "not yet" if found.end is None else texts[found.end]
        bars = f"{last - found.start:,}"
        rows.append((f"{found.depth:.1%}", texts[found.start], texts[found.trough], end, bars))
    return rows
