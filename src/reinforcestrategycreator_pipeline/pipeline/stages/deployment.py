"""Stage 5: package the policy, replay the test bars on paper, promote what passed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.backtest.metrics.catalog import MetricValue
from reinforcestrategycreator_pipeline.backtest.results import POLICY, PORTFOLIO
from reinforcestrategycreator_pipeline.deployment.broker import BROKERS
from reinforcestrategycreator_pipeline.deployment.package import (
    data_schema,
    load_package,
    write_package,
)
from reinforcestrategycreator_pipeline.deployment.paper import paper_trade_from_bars
from reinforcestrategycreator_pipeline.files import replace_link, sha256_file, write_json
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS, Spans
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import Policy, load_policy
from reinforcestrategycreator_pipeline.report.model_card import compose_model_card
from reinforcestrategycreator_pipeline.verdict.decision import Check

PROMOTED_LINK = "promoted"


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
        config: RunConfig = context.config
        spans = Spans.read(context)
        result = json.loads(context.path("metrics").read_text(encoding="utf-8"))
        folder = context.path("package")
        self._write(context, spans, result)
        policy = load_package(folder)
        paper = replay(config, policy, spans, context.path("equity"))
        write_json(context.path("paper"), paper)
        worst = max(p["largest_relative_gap"] for p in paper.values())
        context.summary["paper_largest_relative_gap"] = worst
        context.summary["promoted"] = result["promoted"]
        missed = [
            f"{c['name']} is {c['value']} and must be {c['rule']}"
            for c in result["checks"]
            if not c["passed"]
        ]
        if missed:
            context.summary["reason"] = "; ".join(missed)
        context.log.info("paper trading equals the backtest", largest_relative_gap=worst)
        link = context.run_dir.parent / PROMOTED_LINK
        if result["promoted"]:
            replace_link(link, folder.relative_to(link.parent))
            context.log.info("promoted", link=str(link))
        elif link.is_symlink() and context.run_dir.resolve() in link.resolve().parents:
            link.unlink()  # a run that passed before and does not pass any more

    def _write(self, context: StageContext, spans: Spans, result: dict[str, Any]) -> None:
        config: RunConfig = context.config
        data, policy = spans.data, load_policy(context.path("policy"))
        checks = [Check(**c) for c in result["checks"]]
        metrics = {
            strategy: {k: MetricValue(m["value"], m.get("reason", "")) for k, m in values.items()}
            for strategy, values in result["metrics"][PORTFOLIO].items()
        }
        days = {n: (str(s.start.date()), str(s.end.date())) for n, s in spans.window.items()}
        columns = next(iter(data.bars.values())).columns
        source = data.provenance.get("source", config.data.source)
        licence = data.provenance.get("licence")
        write_package(
            context.path("package"),
            policy=policy,
            data_schema=data_schema(list(map(str, columns)), data.bar_seconds),
            config_yaml=config_to_yaml(config),
            costs=plain(config.trading.costs),
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
                checks=checks,
            ),
        )


def replay(
    config: RunConfig, policy: Policy, spans: Spans, equity_csv: Path
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
    backtest = pd.read_csv(equity_csv, dtype={"equity": str})
    backtest = backtest[backtest["strategy"] == POLICY]
    make_broker: Any = BROKERS.get(config.deployment.broker)
    paper = {}
    for symbol, part in backtest[backtest["symbol"] != PORTFOLIO].groupby("symbol"):
        frame = spans.data.bars[str(symbol)]
        start = int(np.flatnonzero(spans.window.test.mask(pd.DatetimeIndex(frame.index)))[0])
        frame = frame.iloc[: start + len(part)]
        # Python reads a written float64 back to the bit; not every pandas does by default.
        equity = np.array([float(text) for text in part["equity"]])
        broker = make_broker(float(equity[0]), config.trading.costs)
        traded = paper_trade_from_bars(
            policy, policy.inputs.parsed(), frame, start, broker, symbol=str(symbol)
        )
        paper[str(symbol)] = {
            "final_equity": float(traded.equity[-1]),
            "fills": len(traded.fills),
            "fees_paid": traded.fees_paid,
            "ruined": traded.ruined,
            "largest_relative_gap": traded.require_equal(equity),
        }
    return paper
