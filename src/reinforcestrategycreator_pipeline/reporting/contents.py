"""The text and tables of a report, composed once for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.reporting import tables, windows
from reinforcestrategycreator_pipeline.reporting.behavior.words import importance_rows, trade_rows
from reinforcestrategycreator_pipeline.reporting.confidence import confidence_note, says
from reinforcestrategycreator_pipeline.reporting.data import ReportData, stamp_texts
from reinforcestrategycreator_pipeline.reporting.detail import in_full, left_out, others
from reinforcestrategycreator_pipeline.reporting.regimes import RegimeRow, regime_rows
from reinforcestrategycreator_pipeline.reporting.robustness import robustness_rows
from reinforcestrategycreator_pipeline.reporting.strategies import look_of
from reinforcestrategycreator_pipeline.reporting.tables import TRADES_SHOWN
from reinforcestrategycreator_pipeline.reporting.words import Tile, Verdict, tiles, verdict

_FEW_TRADES = 20  # of each asset, where there are many assets

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class AssetContents:
    """One asset or the portfolio: metrics of all strategies, the policy's months and trades."""

    index: int
    name: str
    is_portfolio: bool
    columns: list[str]
    rows: list[tables.MetricRow]
    months: list[tables.YearRow]
    trades: list[dict[str, Any]]
    trade_count: int
    drawdowns: list[tuple[str, ...]]
    regimes: list[RegimeRow]
    says: bool  # how sure the policy was of its trades
    confidence: str

    @property
    def groups(self) -> list[list[tables.MetricRow]]:
        """The rows by their metrics' groups."""
        return tables.grouped(self.rows)


@dataclass(frozen=True)
class Contents:
    """The contents of a report, independent of its format: its data, text and tables.

    `assets` are those that are shown in full, and `left_out` says which are not, and why.
    """

    data: ReportData
    verdict: Verdict
    tiles: list[Tile]
    assets: list[AssetContents]
    others: list[str]
    left_out: str
    overview: tuple[list[str], list[tuple[str, list[tables.Cell]]]]
    windows: list[windows.WindowRow]
    robustness: list[tuple[str, str, str]]
    importance: list[tuple[str, ...]]
    largest: list[tuple[str, ...]]
    strategies: Rows
    facts: Rows
    provenance: Rows
    definitions: Rows


def contents(data: ReportData) -> Contents:
    """Compose the text and tables of a report."""
    assets = []
    rest = others(data)
    for index, asset in enumerate(in_full(data)):
        result = data.results[asset][data.policy]
        assets.append(
            AssetContents(
                index=index,
                name=asset,
                is_portfolio=asset == PORTFOLIO,
                columns=list(data.results[asset]),
                rows=tables.metric_table(data, asset),
                months=tables.monthly_returns(result),
                trades=tables.shown_trades(result, _FEW_TRADES if rest and index else TRADES_SHOWN),
                trade_count=len(result.trades),
                drawdowns=tables.drawdown_rows(result),
                regimes=regime_rows(data, asset),
                says=says(result),
                confidence=confidence_note(result),
            )
        )
    notes = [(name, look_of(name, data.policy).note) for name in assets[0].columns]
    return Contents(
        data=data,
        verdict=verdict(data),
        tiles=tiles(data),
        assets=assets,
        others=rest,
        left_out=left_out(data),
        overview=tables.overview(data),
        windows=windows.window_rows(data),
        robustness=robustness_rows(data.judgement),
        importance=importance_rows(data.behavior),
        largest=trade_rows(data.behavior, daily=_is_daily(data)),
        strategies=[(name, note) for name, note in notes if note],
        facts=tables.run_facts(data),
        provenance=tables.facts(data.provenance),
        definitions=tables.definitions(data),
    )


def _is_daily(data: ReportData) -> bool:
    """Return whether each date has one bar."""
    stamps = data.results[data.assets[0]][data.policy].timestamps
    return len(stamp_texts(stamps[:1], stamps)[0]) == 10
