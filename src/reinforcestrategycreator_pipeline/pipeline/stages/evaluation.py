"""Stage 4: backtest on the untouched test span, benchmarks, metrics, the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.backtest.metrics.base import METRICS
from reinforcestrategycreator_pipeline.backtest.metrics.catalog import (
    MetricValue,
    compute_metrics,
    format_value,
    metrics_to_json,
)
from reinforcestrategycreator_pipeline.backtest.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtest.results import POLICY, PORTFOLIO, StrategyResult
from reinforcestrategycreator_pipeline.backtest.run import combine, run_backtest
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.files import write_json, write_text
from reinforcestrategycreator_pipeline.market.bars import MarketData, read_bars
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.dataset import (
    SPANS,
    FeatureSet,
    greedy_policy,
    read_features,
    tradable,
)
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.benchmarks import (
    BENCHMARKS,
    BenchmarkContext,
    random_policies,
)
from reinforcestrategycreator_pipeline.report.data import ReportData, Threshold
from reinforcestrategycreator_pipeline.report.html import render_html
from reinforcestrategycreator_pipeline.report.markdown import render_markdown
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.verdict.decision import Check, check, promoted

Results = dict[str, dict[str, StrategyResult]]
Metrics = dict[str, dict[str, dict[str, MetricValue]]]

RANDOM = "random (same turnover)"
TABLE_METRICS = ("total_return", "annual_return", "sharpe", "max_drawdown", "trades", "costs_paid")


class Evaluation:
    """``bars``, ``features``, ``policy`` -> metrics, trades, equity, reports."""

    name = "evaluation"
    inputs: tuple[str, ...] = (
        "bars",
        "features",
        "feature_spec",
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
        data = read_bars(context.path("bars"))
        features = read_features(context.path("features"), context.path("feature_spec"))
        span = tradable(data, features, "test")
        assets = span.assets
        model = MODELS.get(config.model.name).load(context.path("policy"))
        policy = greedy_policy(model, features, config.trading.positions)
        grid = np.array(policy.positions)
        targets = {
            symbol: grid[follow(policy.decision_table(raw[:-1]), policy.flat)]
            for symbol, raw in span.raw.items()
        }

        results, percentile = _backtests(config, context.seed, data, assets, targets)
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
        report = self._report(context, data, features, assets, results, metrics, periods, checks)
        write_text(context.path("report_html"), render_html(report))
        write_text(context.path("report_md"), render_markdown(report))
        context.summary["promoted"] = passed
        context.summary["checks"] = [c._asdict() for c in checks]
        context.summary["table"] = _summary_table(metrics[PORTFOLIO])
        context.log.info("evaluated", promoted=passed)

    def _report(
        self,
        context: StageContext,
        data: MarketData,
        features: FeatureSet,
        assets: tuple[AssetBars, ...],
        results: Results,
        metrics: Metrics,
        periods: float,
        checks: list[Check],
    ) -> ReportData:
        config: RunConfig = context.config
        training = json.loads(context.path("training_summary").read_text(encoding="utf-8"))
        manifest = json.loads((context.run_dir / "manifest.json").read_text(encoding="utf-8"))
        seconds = {n: s.get("seconds") for n, s in manifest["stages"].items()}
        spans = {name: getattr(features.splits, name) for name in SPANS}
        counts = {
            name: sum(
                int(span.mask(pd.DatetimeIndex(f.index)).sum()) for f in features.frames.values()
            )
            for name, span in spans.items()
        }
        return ReportData(
            run_id=context.run_dir.name,
            seed=context.seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
            config_yaml=config_to_yaml(config),
            symbols=[a.symbol for a in assets],
            spans={name: (span.start, span.end) for name, span in spans.items()},
            bar_counts=counts,
            costs=plain(config.trading.costs),
            positions=config.trading.positions,
            periods_per_year=periods,
            results=results,
            metrics=metrics,
            prices={
                a.symbol: data.bars[a.symbol].loc[results[a.symbol][POLICY].timestamps]
                for a in assets
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


def _backtests(
    config: RunConfig,
    seed: int,
    data: MarketData,
    assets: tuple[AssetBars, ...],
    targets: Mapping[str, Any],
) -> tuple[Results, dict[str, float]]:
    """Backtest the policy and every benchmark, by asset and as a portfolio.

    Returns
    -------
    results : mapping of asset to mapping of strategy to StrategyResult
        The portfolio first.
    percentile : mapping of asset to float
        Percent of random policies of the policy's own turnover that end below it.
    """
    money = config.trading.initial_equity / len(assets)
    grid = np.array(config.trading.positions)
    by_asset: Results = {}
    percentile: dict[str, float] = {}
    random_ends = np.zeros(config.evaluation.benchmarks.random_draws)
    for bars in assets:
        frame = data.bars[bars.symbol]
        first = pd.Timestamp(bars.seconds[0], unit="s", tz="UTC")

        def world(name: str, bars: AssetBars = bars, past: Any = None) -> BenchmarkContext:
            return BenchmarkContext(
                bars=bars,
                past_close=past,
                positions=grid,
                policy_targets=targets[bars.symbol],
                costs=config.trading.costs,
                config=config.evaluation.benchmarks,
                rng=generator(seed, f"benchmarks/{name}/{bars.symbol}"),
            )

        past = frame.loc[frame.index < first, "close"].to_numpy(dtype=np.float64)
        chosen = {POLICY: targets[bars.symbol]}
        for name in BENCHMARKS:
            chosen[name] = BENCHMARKS.get(name)(world(name, past=past))
        by_asset[bars.symbol] = {
            name: run_backtest(name, bars, t, config.trading.costs, money)
            for name, t in chosen.items()
        }
        _, growth = random_policies(world(RANDOM, past=past))
        ends = money * np.exp(growth)
        random_ends += ends
        percentile[bars.symbol] = _percentile(ends, by_asset[bars.symbol][POLICY].equity[-1])
    portfolio = {
        name: combine([strategies[name] for strategies in by_asset.values()])
        for name in next(iter(by_asset.values()))
    }
    percentile[PORTFOLIO] = _percentile(random_ends, portfolio[POLICY].equity[-1])
    return {PORTFOLIO: portfolio, **by_asset}, percentile


def _percentile(random_ends: Any, own_end: float) -> float:
    # A policy that random timing only repeats (one that never changes) is not above itself.
    return float((random_ends < own_end * (1.0 - 1e-12)).mean() * 100.0)


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
