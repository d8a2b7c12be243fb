"""Stage 5: package the policy, replay the test bars on paper, promote what passed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.backtest.metrics.catalog import MetricValue
from reinforcestrategycreator_pipeline.backtest.results import POLICY, PORTFOLIO
from reinforcestrategycreator_pipeline.deployment.brokers.catalog import BROKERS
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.deployment.package import (
    DataSchema,
    PackageRecord,
    load_package,
    read_schema,
    write_package,
)
from reinforcestrategycreator_pipeline.deployment.paper import paper_trade
from reinforcestrategycreator_pipeline.files import replace_folder, sha256_file, write_json
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS, Spans
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import Policy, load_policy
from reinforcestrategycreator_pipeline.report.model_card import compose_model_card
from reinforcestrategycreator_pipeline.runs.folder import point_promoted, withdraw_promoted
from reinforcestrategycreator_pipeline.verdict.decision import Check


class Deployment:
    """``policy`` and the test result -> ``package``, and ``paper``, the proof that it trades so."""

    name = "deployment"
    inputs: tuple[str, ...] = (*SPAN_INPUTS, "policy", "metrics", "equity")
    outputs: tuple[str, ...] = ("package", "paper")

    def section(self, config: RunConfig) -> Any:
        """Return everything: the package holds the whole configuration."""
        return {"config": plain(config), "code": fingerprints([config.deployment.broker])}

    def run(self, context: StageContext) -> None:
        """Write the package, load it back, trade the test bars with it, promote or say why not."""
        spans = Spans.read(context)
        result = json.loads(context.path("metrics").read_text(encoding="utf-8"))
        policy = load_policy(context.path("policy"))
        withdraw_promoted(context.run_dir)
        # The package gets its name when it is proved: a stage that stops before leaves none.
        scratch, package = context.scratch("unproved"), context.path("package")
        try:
            write_package(scratch / "package", policy, record_of(context, policy, spans, result))
            paper = replay(scratch / "package", context.config, spans, context.path("equity"))
            write_json(context.path("paper"), paper)
            replace_folder(scratch / "package", package)
        finally:
            shutil.rmtree(scratch)
        worst = max(p["largest_relative_gap"] for p in paper.values())
        context.summary |= {"paper_largest_relative_gap": worst, "promoted": result["promoted"]}
        context.log.info("paper trading equals the backtest", largest_relative_gap=worst)
        missed = [c for c in result["checks"] if not c["passed"]]
        if missed:
            reasons = [f"{c['name']} is {c['value']} and must be {c['rule']}" for c in missed]
            context.summary["reason"] = "; ".join(reasons)
        if result["promoted"]:
            link = point_promoted(context.run_dir, package)
            context.log.info("promoted", link=str(link))


def replay(
    package: Path, config: RunConfig, spans: Spans, equity_csv: Path
) -> dict[str, dict[str, Any]]:
    """Trade the test bars bar by bar, and hold the equity against the backtest's.

    Returns
    -------
    dict
        By symbol: final equity, fills, and the largest relative gap to the backtest.

    Raises
    ------
    RunError
        If a gap exceeds 1e-9.
    """
    policy, schema = load_package(package), read_schema(package)
    make_broker: Any = BROKERS.get(config.deployment.broker)
    backtest = pd.read_csv(equity_csv, dtype={"equity": str})
    backtest = backtest[(backtest["strategy"] == POLICY) & (backtest["symbol"] != PORTFOLIO)]
    paper = {}
    for symbol, part in backtest.groupby("symbol"):
        table = spans.features.frames[str(symbol)]
        table = table[spans.window.test.mask(pd.DatetimeIndex(table.index))]
        bars = spans.data.bars[str(symbol)]
        start = int(pd.DatetimeIndex(bars.index).searchsorted(table.index[0]))
        bars = bars.iloc[: start + len(part)]
        schema.require(bars, str(symbol))
        # Python reads a written float64 back to the bit; not every pandas does by default.
        equity = np.array([float(text) for text in part["equity"]])
        market = PaperMarket(str(symbol), float(equity[0]), config.trading.costs)
        traded = paper_trade(policy, bars, start, market, make_broker(market))
        paper[str(symbol)] = traded.summary() | {
            "largest_relative_gap": traded.require_equal(equity, table)
        }
    return paper


def record_of(
    context: StageContext, policy: Policy, spans: Spans, result: dict[str, Any]
) -> PackageRecord:
    """Return what the package says of its policy."""
    config: RunConfig = context.config
    metrics = {
        strategy: {k: MetricValue(m["value"], m.get("reason", "")) for k, m in values.items()}
        for strategy, values in result["metrics"][PORTFOLIO].items()
    }
    data = spans.data
    days = {n: (str(s.start.date()), str(s.end.date())) for n, s in spans.window.items()}
    source = data.provenance.get("source", config.data.source)
    licence = data.provenance.get("licence")
    return PackageRecord(
        schema=DataSchema.of(data.bars),
        config_yaml=config_to_yaml(config),
        provenance={
            "run_id": context.run_dir.name,
            "seed": context.seed,
            "version": __version__,
            "data": dict(data.provenance),
            "bars_sha256": sha256_file(context.path("bars")),
            "spans": {n: list(d) for n, d in days.items()},
        },
        promotion={"promoted": result["promoted"], "checks": result["checks"]},
        model_card=compose_model_card(
            run_id=context.run_dir.name,
            seed=context.seed,
            version=__version__,
            data=f"Source: {source}" + (f"; licence: {licence}" if licence else ""),
            symbols=data.symbols,
            spans=days,
            positions=policy.positions,
            feature_names=policy.inputs.names,
            lookback=policy.inputs.lookback,
            network=policy.describe(),
            costs=plain(config.trading.costs),
            metrics=metrics,
            checks=[Check(**c) for c in result["checks"]],
        ),
    )
