"""The replay of a run's newest test bars with its package, and the comparison with the backtest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Bools, Ints
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, StrategyResult
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.deployment.package import load_package, read_schema
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.deployment.portfolio import paper_trade_together
from reinforcestrategycreator_pipeline.deployment.replay import paper_trade
from reinforcestrategycreator_pipeline.execution.schedule import rebalancing_bars
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.spans import Spans


def replay(
    package: Path,
    config: RunConfig,
    spans: Spans,
    backtest: dict[str, StrategyResult],
    progress: Callable[[str, int, int], None] | None = None,
    singly: Mapping[str, Bools] | None = None,
) -> dict[str, dict[str, Any]]:
    """Trade the bars of a backtest on paper, and compare all of it.

    Parameters
    ----------
    package : Path
        Folder of the package.
    config : RunConfig
        Configuration of the run.
    spans : Spans
        Bars and features of the run.
    backtest : dict of str to StrategyResult
        Results to compare with, by symbol.
    progress : callable, optional
        ``progress(name, done, total)`` reports progress.
    singly : mapping of str to ndarray of bool, optional
        Bars of each symbol to push one by one, all by default; the others go in blocks, see
        `Replay`.

    Returns
    -------
    dict
        Final equity, fills, fees, and the largest relative gaps to the backtest, by symbol.

    Raises
    ------
    RunError
        If equity, a decision or a feature differs from the backtest's.
    """
    schema = read_schema(package)
    paper: dict[str, dict[str, Any]] = {}
    for symbol, trader in traders_of(package, config, backtest).items():
        result = backtest[symbol]
        features = spans.features.frames[symbol].loc[result.timestamps]
        bars, start = _bars_of(spans, result)
        schema.require(bars, symbol)
        shown = None
        if progress and len(backtest) == 1:
            shown = partial(progress, f"paper {symbol}")
        elif progress:
            progress("paper trading of symbols", len(paper), len(backtest))
        one_by_one = singly[symbol] if singly else None
        traded = paper_trade(trader, bars, start, shown, one_by_one)
        equity_gap, feature_gap = traded.require_equal(result.equity, result.exposure, features)
        gaps = {"largest_relative_gap": equity_gap, "largest_feature_gap": feature_gap}
        paper[symbol] = traded.summary() | gaps
    return paper


def replay_together(
    package: Path,
    config: RunConfig,
    spans: Spans,
    backtest: dict[str, StrategyResult],
    portfolio: StrategyResult,
    progress: Callable[[str, int, int], None] | None = None,
    singly: Mapping[str, Bools] | None = None,
) -> dict[str, dict[str, Any]]:
    """Trade the test bars of all symbols in one loop, if money moves between their accounts.

    Parameters are those of `replay`, and the portfolio's backtest.

    Returns
    -------
    dict
        Final equity, number of transfers, and the largest relative gap to the portfolio's
        backtest, as ``"PORTFOLIO"``; empty if no money moves.

    Raises
    ------
    RunError
        If equity differs from that of the portfolio's backtest.
    """
    times = {symbol: times_of(r) for symbol, r in backtest.items()}
    stamps = rebalancing_bars(times, config.trading.rebalance).tolist()
    if not stamps:
        return {}
    traders = traders_of(package, config, backtest)
    cut = {symbol: _bars_of(spans, result) for symbol, result in backtest.items()}
    frames = {symbol: bars for symbol, (bars, _) in cut.items()}
    starts = {symbol: start for symbol, (_, start) in cut.items()}
    shown = partial(progress, "paper portfolio") if progress else None
    due = frozenset(stamps)
    traded = paper_trade_together(traders, frames, starts, due, singly, shown)
    gap = traded.require_equal(portfolio.timestamps, portfolio.equity)
    return {PORTFOLIO: traded.summary() | {"largest_relative_gap": gap}}


def traders_of(
    package: Path, config: RunConfig, backtest: Mapping[str, StrategyResult]
) -> dict[str, PaperTrader]:
    """Return a paper trader for each symbol, with the money that its backtest began with."""
    policy, schema = load_package(package), read_schema(package)
    costs, broker = config.trading.costs, config.deployment.broker
    return {
        symbol: PaperTrader(
            policy,
            schema.rules_of(symbol),
            PaperMarket(symbol, float(result.equity[0]), costs),
            broker,
        )
        for symbol, result in backtest.items()
    }


def times_of(result: StrategyResult) -> Ints:
    """Return the closes of a result's bars, nanoseconds since 1970 UTC."""
    return result.timestamps.as_unit("ns").asi8


def _bars_of(spans: Spans, result: StrategyResult) -> tuple[pd.DataFrame, int]:
    """Return the bars of a symbol up to the end of its backtest, and the row where that begins."""
    bars = spans.data.bars[result.symbol]
    start = int(bars.index.searchsorted(result.timestamps[0]))
    return bars.iloc[: start + len(result.equity)], start
