"""Stage 4: backtest on the untouched test span, benchmarks, metrics, the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.backtest.compare import Results, compare
from reinforcestrategycreator_pipeline.backtest.metrics.base import METRICS
from reinforcestrategycreator_pipeline.backtest.metrics.catalog import (
    MetricValue,
    compute_metrics,
    format_value,
    metrics_to_json,
)
from reinforcestrategycreator_pipeline.backtest.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtest.results import POLICY, PORTFOLIO
from reinforcestrategycreator_pipeline.files import write_json, write_text
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS, Spans
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import Work, load_policy
from reinforcestrategycreator_pipeline.report.data import ReportData, Threshold
from reinforcestrategycreator_pipeline.report.html import render_html
from reinforcestrategycreator_pipeline.report.markdown import render_markdown
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.verdict.decision import Check, check, promoted

Metrics = dict[str, dict[str, dict[str, MetricValue]]]

TABLE_METRICS = ("total_return", "annual_return", "sharpe", "max_drawdown", "trades", "costs_paid")


class Evaluation:
    """``bars``, ``features``, ``policy`` -> metrics, trades, equity, reports."""

    name = "evaluation"
    inputs: tuple[str, ...] = (
        *SPAN_INPUTS,
        "policy",
        "history",
        "training_summary",
    )
    outputs: tuple[str, ...] = ("metrics", "trades", "equity", "report_html", "report_md")

    def section(self, config: RunConfig) -> Any:
        """Return what the result and the report show."""
        return {
            "trading": plain(config.trading),
            "evaluation": plain(config.evaluation),
            "thresholds": plain(config.deployment.thresholds),
        }

    def run(self, context: StageContext) -> None:
        """Trade the test bars with the policy and every benchmark, and report."""
        config: RunConfig = context.config
        spans = Spans.read(context)
        data, span = spans.data, spans.cut("test")
        policies = {POLICY: load_policy(context.path("policy"))}
        seeds, benchmarks = Seeds(context.seed), config.evaluation.benchmarks
        train, validation = spans.cut("train"), spans.cut("validation")
        for label, strategy in benchmarks.strategies().items():
            policies[label] = strategy.fit(train, validation, Work(seeds))
        results, percentile = compare(policies, span, benchmarks.random_draws, seeds)
        periods = infer_periods_per_year(data.timestamps, data.bar_seconds)
        metrics: Metrics = {
            asset: {name: compute_metrics(r, periods) for name, r in strategies.items()}
            for asset, strategies in results.items()
        }
        checks = check(
            config.deployment.thresholds,
            metrics[PORTFOLIO][POLICY],
            metrics[PORTFOLIO],
            percentile[PORTFOLIO],
        )
        passed = promoted(checks)
        write_json(
            context.path("metrics"),
            {
                "periods_per_year": periods,
                "metrics": {
                    asset: {name: metrics_to_json(m) for name, m in strategies.items()}
                    for asset, strategies in metrics.items()
                },
                "random_percentile": percentile,
                "checks": [c._asdict() for c in checks],
                "promoted": passed,
            },
        )
        trades = results[PORTFOLIO][POLICY].trades
        write_text(context.path("trades"), trades.to_csv(index=False, lineterminator="\n"))
        write_text(context.path("equity"), _equity_table(results).to_csv(index=False))
        report = self._report(context, spans, results, metrics, periods, checks)
        write_text(context.path("report_html"), render_html(report))
        write_text(context.path("report_md"), render_markdown(report))
        context.summary["promoted"] = passed
        context.summary["checks"] = [c._asdict() for c in checks]
        context.summary["table"] = _summary_table(metrics[PORTFOLIO])
        context.log.info("evaluated", promoted=passed)

    def _report(
        self,
        context: StageContext,
        spans: Spans,
        results: Results,
        metrics: Metrics,
        periods: float,
        checks: list[Check],
    ) -> ReportData:
        config: RunConfig = context.config
        training = json.loads(context.path("training_summary").read_text(encoding="utf-8"))
        manifest = json.loads((context.run_dir / "manifest.json").read_text(encoding="utf-8"))
        seconds = {n: s.get("seconds") for n, s in manifest["stages"].items()}
        counts = json.loads(context.path("windows").read_text(encoding="utf-8"))["rows"][-1]
        data, symbols = spans.data, [symbol for symbol in results if symbol != PORTFOLIO]
        return ReportData(
            run_id=context.run_dir.name,
            seed=context.seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
            config_yaml=config_to_yaml(config),
            symbols=symbols,
            spans={name: (span.start, span.end) for name, span in spans.window.items()},
            bar_counts=counts,
            costs=plain(config.trading.costs),
            positions=config.trading.positions,
            periods_per_year=periods,
            results=results,
            metrics=metrics,
            prices={
                symbol: data.bars[symbol].loc[results[symbol][POLICY].timestamps]
                for symbol in symbols
            },
            history=pd.read_csv(context.path("history")),
            notes=data.notes,
            provenance=data.provenance,
            loss_floor=training["loss_floor"],
            loss_floor_note=_floor_note(training["loss_floor"]),
            thresholds=[Threshold(c.name, c.rule, c.value, c.passed) for c in checks],
            promoted=promoted(checks),
            best_step=training["best_step"],
            stage_seconds={name: s for name, s in seconds.items() if s is not None},
        )


def _equity_table(results: Results) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "symbol": asset,
                "strategy": name,
                "timestamp": r.timestamps,
                "equity": r.equity,
                "exposure": np.concatenate([[0.0], r.exposure]),
                "turnover": np.concatenate([[0.0], r.turnover]),
                "costs": np.concatenate([[0.0], r.costs]),
            }
        )
        for asset, strategies in results.items()
        for name, r in strategies.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _summary_table(metrics: Mapping[str, Mapping[str, MetricValue]]) -> list[dict[str, str]]:
    rows = []
    for strategy, values in metrics.items():
        row = {"strategy": strategy}
        for name in TABLE_METRICS:
            found = values[name]
            unit = METRICS.get(name).unit
            row[METRICS.get(name).label] = (
                "n/a" if found.value is None else format_value(unit, found.value)
            )
        rows.append(row)
    return rows


def _floor_note(floor: float | None) -> str:
    if floor is None:
        return "This loss is no plain mean of squared errors: the market's noise gives it no floor."
    return (
        f"The floor ({floor:.4g}) is the market's own noise: the variance of a bar's reward over "
        "the training bars when nothing of the bar is known. As far as next-bar returns cannot be "
        "forecast, no forecast of them has a smaller squared error. The training loss can end "
        "somewhat below it without any edge, for two reasons: its target adds the learned value "
        "of the next state, which tends to be lower after a high return and so cancels part of "
        "that bar's noise; and training bars can be learned by heart. That is why unseen bars, "
        "not the loss, decide."
    )
