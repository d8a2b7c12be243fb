"""Stage 4: backtest on the untouched test span, judge, store, and make the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.backtest.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtest.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtest.store import bars_table, write_results
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.files import write_text
from reinforcestrategycreator_pipeline.market.bars import read_bars
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.pipeline.backtests import backtest_all
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.dataset import (
    greedy_policy,
    read_features,
    tradable,
)
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.report.run import remove_pages, render_run
from reinforcestrategycreator_pipeline.verdict.judgement import judge


class Evaluation:
    """``bars``, ``features``, ``policy`` -> results, metrics, trades, equity; and the report."""

    name = "evaluation"
    inputs: tuple[str, ...] = (
        "bars",
        "features",
        "feature_spec",
        "policy",
        "history",
        "training_summary",
    )
    outputs: tuple[str, ...] = ("results", "all_trades", "metrics", "trades", "equity")

    def section(self, config: RunConfig) -> Any:
        """Return what the results and the decision depend on."""
        return {
            "trading": plain(config.trading),
            "evaluation": plain(config.evaluation),
            "thresholds": plain(config.deployment.thresholds),
        }

    def run(self, context: StageContext) -> None:
        """Trade the test bars with the policy and every benchmark, and judge."""
        config: RunConfig = context.config
        remove_pages(context.run_dir)
        data = read_bars(context.path("bars"))
        features = read_features(context.path("features"), context.path("feature_spec"))
        model = MODELS.get(config.model.name).load(context.path("policy"))
        policy = greedy_policy(model, features, config.trading.positions)
        strategy = config.model.name.rpartition(":")[2]

        span = tradable(data, features, "test")
        grid = np.array(policy.positions)
        targets = {
            symbol: grid[follow(policy.decision_table(raw[:-1]), policy.flat)]
            for symbol, raw in span.raw.items()
        }
        results, percentile = backtest_all(
            config, context.seed, data, span.assets, strategy, targets
        )
        judgement = judge(
            results,
            strategy,
            policy.network.describe(),
            infer_periods_per_year(data.timestamps, data.bar_seconds),
            config.deployment.thresholds,
            percentile,
        )

        write_results(context.path("results"), context.path("all_trades"), results)
        judgement.write(context.path("metrics"))
        trades = results[PORTFOLIO][strategy].trades
        write_text(context.path("trades"), trades.to_csv(index=False, lineterminator="\n"))
        write_text(context.path("equity"), bars_table(results).to_csv(index=False))
        context.summary["strategy"] = strategy
        context.summary["promoted"] = judgement.decision.promoted
        context.log.info("evaluated", decision=judgement.decision.sentence)
        render_run(context.run_dir)
