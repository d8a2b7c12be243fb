"""Stage 4: backtest on the held-out test bars, judge, store the results, and render the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.backtesting.compare import RANDOM, compare
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import METRICS
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.store import table_for_people, write_results
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.files import sha256_file, write_text
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.evidence import held_against_chance, look_of
from reinforcestrategycreator_pipeline.pipeline.fits import SUMMARY
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS, Spans
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import load_policy
from reinforcestrategycreator_pipeline.policies.catalog import labeled
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward, fit_in_turn
from reinforcestrategycreator_pipeline.reporting.behavior.measured import behavior
from reinforcestrategycreator_pipeline.reporting.run import render_run
from reinforcestrategycreator_pipeline.runs.artifacts import POLICY
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.verdict.judgement import judge
from reinforcestrategycreator_pipeline.verdict.looks import (
    known,
    record,
    seal,
)
from reinforcestrategycreator_pipeline.verdict.robustness import robustness


class Evaluation:
    """Evaluate the strategy on the test bars; write results, metrics, trades, equity and report.

    Each window's policy decides on its own test bars; the account goes on from one to the next.
    """

    name = "evaluation"
    inputs: tuple[str, ...] = (*SPAN_INPUTS, "policy", "history", "training_summary", "fits")
    outputs: tuple[str, ...] = (
        *("results", "all_trades", "metrics", "behavior", "trades", "equity"),
    )

    def section(self, config: RunConfig) -> Any:
        """Return the settings on which the results and the decision depend."""
        return {
            "trading": to_plain(config.trading),
            "evaluation": to_plain(config.evaluation),
            "thresholds": to_plain(config.deployment.thresholds),
            "metrics": list(METRICS),
        }

    def run(self, context: StageContext) -> None:
        """Backtest the policies and all benchmarks, judge, and store the results."""
        config: RunConfig = context.config
        spans, seeds = Spans.read(context), Seeds(context.seed)
        test, starts = spans.test, spans.windows.starts
        fits = [context.path("fits") / str(k + 1) for k in range(len(starts))]
        turns = WalkForward(tuple(load_policy(fit / POLICY) for fit in fits), starts)
        windows = [spans.fitted(window) for window in spans.windows.judged]
        (judged, _), *rivals = labeled([config.strategy, *config.evaluation.benchmarks]).items()
        policies, left_out = {judged: turns}, []
        with Bars(context.console) as bars:
            for done, (label, rival) in enumerate(rivals, 1):
                own_seeds = seeds.within(f"benchmarks/{label}")
                try:
                    policies[label] = fit_in_turn(rival, windows, starts, own_seeds)
                except DataError as error:  # such as too few bars for a forecast
                    left_out.append(f"The benchmark {label} is left out: {error}.")
                bars.show("benchmarks", done, len(rivals))
            draws, shown = config.evaluation.random_draws, partial(bars.show, "decisions")
            results, percentile = compare(policies, test, draws, seeds, shown)
            hashes = [sha256_file(fit / POLICY) for fit in fits]
            tested = held_against_chance(context, turns, test, hashes, bars)
            bars.show("evaluation", 0, 4, now="robustness")
            hindsight = {name for name, found in policies.items() if not found.policies[0].causal}
            bears = robustness(
                results,
                judged,
                test,
                seeds.generator("verdict/excess"),
                frozenset(hindsight | {RANDOM}),
            )
            bars.show("evaluation", 1, 4, now="behavior")
            does = behavior(
                *(turns, test, results, judged, [train for train, _ in windows]),
                seeds.generator("report/behavior"),
            )
            bars.show("evaluation", 2, 4, now="metrics")
            judgement = judge(
                results,
                judged,
                turns.describe(),
                config.deployment.thresholds,
                percentile,
                (*fallbacks(fits), *left_out),
                tested,
                bears,
            )
            bars.show("evaluation", 3, 4, now="results")
            # Recorded before anybody can see it: a look counts whatever becomes of the run.
            look = look_of(context, test, judgement, hashes)
            sealed = seal(judgement.decision, look, known(context.run_dir)[0])
            judgement = replace(judgement, decision=sealed)
            record(context.run_dir, look)
            write_results(context.path("results"), context.path("all_trades"), results)
        judgement.write(context.path("metrics"))
        does.write(context.path("behavior"))
        trades = results[PORTFOLIO][judged].trades
        write_text(context.path("trades"), trades.to_csv(index=False, lineterminator="\n"))
        table, part = table_for_people(results)
        write_text(context.path("equity"), table.to_csv(index=False))
        if part:
            context.log.info(f"equity.csv has {part}; results.parquet has every close")
        context.summary["strategy"] = judged
        context.summary["promoted"] = judgement.decision.promoted
        context.summary["answer"] = judgement.answer and judgement.answer.level
        own = judgement.metrics[PORTFOLIO][judged]
        context.summary["figures"] = {key: found.value for key, found in own.items()}
        if sealed.first:
            context.summary["first_decision"] = asdict(sealed.first)
        for note in judgement.notes:
            context.log.warning(note)
        context.log.info("evaluated", decision=judgement.decision.sentence)

    def published(self, context: StageContext) -> None:
        """Render the report from the run's folder."""
        with Bars(context.console) as bars:
            bars.show("report", 0, 1)
            render_run(context.run_dir)


def fallbacks(fits: Sequence[Path]) -> tuple[str, ...]:
    """Return a sentence for each kind of fallback among the policies of the windows."""
    windows: dict[str, list[str]] = {}
    for number, fit in enumerate(fits, 1):
        summary = json.loads((fit / SUMMARY).read_text(encoding="utf-8"))
        if said := str(summary.get("fallback", "")):
            windows.setdefault(said, []).append(str(number))
    if len(fits) == 1:
        return tuple(windows)
    found = []
    for said, (*others, last) in windows.items():
        which = f"Windows {', '.join(others)} and {last}" if others else f"Window {last}"
        found.append(f"{which} of {len(fits)}: {said}")
    return tuple(found)
