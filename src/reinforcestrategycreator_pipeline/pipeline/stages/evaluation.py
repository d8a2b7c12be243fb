"""Stage 4: backtest on the held-out test span, judge, store the results, and render the report."""

from __future__ import annotations

from typing import Any

from reinforcestrategycreator_pipeline.backtesting.compare import compare
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import METRICS
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.store import bars_table, write_results
from reinforcestrategycreator_pipeline.files import write_text
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS, Spans
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import Work, load_policy
from reinforcestrategycreator_pipeline.policies.catalog import labeled
from reinforcestrategycreator_pipeline.reporting.run import remove_pages, render_run
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.verdict.judgement import judge


class Evaluation:
    """Evaluate ``policy`` on the test bars; write results, metrics, trades, equity and report."""

    name = "evaluation"
    inputs: tuple[str, ...] = (*SPAN_INPUTS, "policy", "history", "training_summary")
    outputs: tuple[str, ...] = ("results", "all_trades", "metrics", "trades", "equity")

    def section(self, config: RunConfig) -> Any:
        """Return the settings on which the results and the decision depend."""
        return {
            "trading": to_plain(config.trading),
            "evaluation": to_plain(config.evaluation),
            "thresholds": to_plain(config.deployment.thresholds),
            "metrics": list(METRICS),
        }

    def run(self, context: StageContext) -> None:
        """Backtest the policy and all benchmarks on the test bars, judge, and store the results."""
        config: RunConfig = context.config
        remove_pages(context.run_dir)
        spans, seeds = Spans.read(context), Seeds(context.seed)
        policy = load_policy(context.path("policy"))
        train, validation = spans.cut("train"), spans.cut("validation")
        (judged, _), *rivals = labeled([config.strategy, *config.evaluation.benchmarks]).items()
        policies = {judged: policy} | {
            label: rival.fit(train, validation, Work(seeds.within(f"benchmarks/{label}")))
            for label, rival in rivals
        }
        draws = config.evaluation.random_draws
        results, percentile = compare(policies, spans.cut("test"), draws, seeds)
        judgement = judge(
            results,
            judged,
            policy.describe(),
            infer_periods_per_year(spans.data.timestamps, spans.data.bar_seconds),
            config.deployment.thresholds,
            percentile,
        )
        write_results(context.path("results"), context.path("all_trades"), results)
        judgement.write(context.path("metrics"))
        trades = results[PORTFOLIO][judged].trades
        write_text(context.path("trades"), trades.to_csv(index=False, lineterminator="\n"))
        write_text(context.path("equity"), bars_table(results).to_csv(index=False))
        context.summary["strategy"] = judged
        context.summary["promoted"] = judgement.decision.promoted
        context.log.info("evaluated", decision=judgement.decision.sentence)
        render_run(context.run_dir)
