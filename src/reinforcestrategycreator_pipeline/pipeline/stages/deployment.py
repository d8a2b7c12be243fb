"""Stage 5: package the policy, replay the test bars on paper, and promote it if it passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.arrays import Bools, Ints
from reinforcestrategycreator_pipeline.backtesting.compare import backtest_alone
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, StrategyResult
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.deployment.package import (
    DataSchema,
    PackageRecord,
    load_package,
    read_schema,
    write_package,
)
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.deployment.portfolio import paper_trade_together
from reinforcestrategycreator_pipeline.deployment.replay import paper_trade
from reinforcestrategycreator_pipeline.deployment.sampling import Replayed, bars_to_push
from reinforcestrategycreator_pipeline.execution.schedule import rebalancing_bars
from reinforcestrategycreator_pipeline.files import sha256_file, write_json
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS, Spans
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import load_policy
from reinforcestrategycreator_pipeline.reporting.model_card import compose_model_card
from reinforcestrategycreator_pipeline.reporting.run import read_run
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest
from reinforcestrategycreator_pipeline.runs.promotion import promote, withdraw
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement


class Deployment:
    """Package the policy and replay the newest test span on paper, to the result of a backtest.

    After walking forward, the packaged policy has learned from these bars, too. Its replay says
    nothing of its worth: it shows that the package trades as the backtest says.
    """

    name = "deployment"
    inputs: tuple[str, ...] = (*SPAN_INPUTS, "policy", "metrics", "results", "all_trades")
    outputs: tuple[str, ...] = ("package", "paper")

    def section(self, config: RunConfig) -> Any:
        """Return the configuration as the package contains it: all that results depend on."""
        return {key: value for key, value in to_plain(config).items() if key != "tracking"}

    def run(self, context: StageContext) -> None:
        """Write the package, load it, and trade the newest test span with it."""
        card = compose_model_card(read_run(context.run_dir))  # alone, as it reads all results
        spans = Spans.read(context)
        judgement = Judgement.read(context.path("metrics"))
        newest = spans.cut(spans.windows.tests[-1], "test")
        package, record = context.path("package"), record_of(context, spans, judgement, card)
        write_package(package, load_policy(context.path("policy")), record)
        accounts, whole = backtest_alone(judgement.strategy, load_package(package), newest)
        singly = bars_to_push(
            {symbol: Replayed(_times(r), r.exposure) for symbol, r in accounts.items()},
            generator(context.seed, "deployment/bars one by one"),
        )
        given = package, context.config, spans, accounts
        with Bars(context.console) as bars:
            paper = replay(*given, bars.show, singly)
            paper |= replay_together(*given, whole, bars.show, singly)
        write_json(context.path("paper"), paper)
        worst = max(p["largest_relative_gap"] for p in paper.values())
        promoted = judgement.decision.promoted
        context.summary |= {"paper_largest_relative_gap": worst, "promoted": promoted}
        pushed = sum(p.get("bars_one_by_one", 0) for p in paper.values())
        blocks = sum(p.get("bars_in_blocks", 0) for p in paper.values())
        context.summary |= {"bars_one_by_one": pushed, "bars_in_blocks": blocks}
        context.log.info(
            "paper trading equals the backtest",
            largest_relative_gap=worst,
            bars_one_by_one=pushed,
            bars_in_blocks=blocks,
        )
        if blocks:
            context.say(
                f"Paper trading: {pushed:,} bars one by one and {blocks:,} in blocks, "
                "all equal to the backtest."
            )

    def published(self, context: StageContext) -> None:
        """Promote the package if the policy passed; else withdraw an earlier one of this run."""
        created = load_manifest(context.run_dir).created
        if Judgement.read(context.path("metrics")).decision.promoted:
            link = promote(context.run_dir, created, context.path("package"))
            context.log.info("promoted", link=str(link))
        else:
            withdraw(context.run_dir, created)


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
    times = {symbol: _times(r) for symbol, r in backtest.items()}
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


def _times(result: StrategyResult) -> Ints:
    """Return the closes of a result's bars, nanoseconds since 1970 UTC."""
    return result.timestamps.as_unit("ns").asi8


def _bars_of(spans: Spans, result: StrategyResult) -> tuple[pd.DataFrame, int]:
    """Return the bars of a symbol up to the end of its backtest, and the row where that begins."""
    bars = spans.data.bars[result.symbol]
    start = int(bars.index.searchsorted(result.timestamps[0]))
    return bars.iloc[: start + len(result.equity)], start


def _zone(config: RunConfig) -> str | None:
    """Return the time zone of the sessions, if the configuration says one other than UTC."""
    named = config.data.params.get("timezone")
    known = isinstance(named, str) and named != "UTC" and named in available_timezones()
    return named if known else None


def record_of(
    context: StageContext, spans: Spans, judgement: Judgement, card: str
) -> PackageRecord:
    """Return the information about the policy for its package."""
    return PackageRecord(
        schema=DataSchema.of(spans.data.bars, _zone(context.config)),
        config_yaml=config_to_yaml(replace(context.config, tracking=())),
        provenance={
            "run_id": context.run_dir.name,
            "seed": context.seed,
            "version": __version__,
            "data": dict(spans.data.provenance),
            "bars_sha256": sha256_file(context.path("bars")),
            "split": spans.windows.to_json(),
        },
        promotion=judgement.decision.to_json(),
        model_card=card,
    )
