"""Stage 5: package the policy, replay the test bars on paper, promote what passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.backtest.results import PORTFOLIO
from reinforcestrategycreator_pipeline.deployment.broker import BROKERS
from reinforcestrategycreator_pipeline.deployment.package import data_schema, write_package
from reinforcestrategycreator_pipeline.deployment.paper import paper_trade_from_bars
from reinforcestrategycreator_pipeline.deployment.policy import Policy
from reinforcestrategycreator_pipeline.files import replace_link, sha256_file, write_json
from reinforcestrategycreator_pipeline.market.bars import MarketData, read_bars
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.dataset import (
    FeatureSet,
    greedy_policy,
    read_features,
)
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.report.model_card import compose_model_card
from reinforcestrategycreator_pipeline.report.run import read_run
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement

PROMOTED_LINK = "promoted"


class Deployment:
    """``policy`` and the test result -> ``package``, and ``paper``, the proof that it trades so."""

    name = "deployment"
    inputs: tuple[str, ...] = ("bars", "features", "feature_spec", "policy", "metrics", "equity")
    outputs: tuple[str, ...] = ("package", "paper")

    def section(self, config: RunConfig) -> Any:
        """Return everything: the package holds the whole configuration."""
        return {"config": plain(config), "code": fingerprints([config.deployment.broker])}

    def run(self, context: StageContext) -> None:
        """Write the package, load it back, trade the test bars with it, promote or say why not."""
        config: RunConfig = context.config
        data = read_bars(context.path("bars"))
        features = read_features(context.path("features"), context.path("feature_spec"))
        judgement = Judgement.read(context.path("metrics"))
        decision = judgement.decision
        folder = context.path("package")
        self._write(context, data, features, judgement)
        policy = Policy.load(folder)
        paper = replay(config, policy, data, features, context.path("equity"), judgement.strategy)
        write_json(context.path("paper"), paper)
        worst = max(p["largest_relative_gap"] for p in paper.values())
        context.summary["paper_largest_relative_gap"] = worst
        context.summary["promoted"] = decision.promoted
        context.log.info("paper trading equals the backtest", largest_relative_gap=worst)
        link = context.run_dir.parent / PROMOTED_LINK
        if decision.promoted:
            replace_link(link, folder.relative_to(link.parent))
            context.log.info("promoted", link=str(link))
        elif link.is_symlink() and context.run_dir.resolve() in link.resolve().parents:
            link.unlink()  # a run that passed before and does not pass any more

    def _write(
        self, context: StageContext, data: MarketData, features: FeatureSet, judgement: Judgement
    ) -> None:
        config: RunConfig = context.config
        model = MODELS.get(config.model.name).load(context.path("policy"))
        policy = greedy_policy(model, features, config.trading.positions)
        facts = read_run(context.run_dir)
        columns = next(iter(data.bars.values())).columns
        write_package(
            context.path("package"),
            network=policy.network,
            positions=policy.positions,
            feature_specs=policy.feature_specs,
            feature_names=policy.feature_names,
            lookback=policy.lookback,
            scaler=policy.scaler.to_dict(),
            data_schema=data_schema(list(map(str, columns)), data.bar_seconds),
            config_yaml=config_to_yaml(config),
            costs=plain(config.trading.costs),
            provenance={
                "run_id": context.run_dir.name,
                "seed": context.seed,
                "version": __version__,
                "data": dict(data.provenance),
                "bars_sha256": sha256_file(context.path("bars")),
                "spans": {n: [str(a.date()), str(b.date())] for n, (a, b) in facts.spans.items()},
            },
            promotion=judgement.decision.to_json(),
            model_card=compose_model_card(facts),
        )


def replay(
    config: RunConfig,
    policy: Policy,
    data: MarketData,
    features: FeatureSet,
    equity_csv: Path,
    strategy: str,
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
    backtest = backtest[backtest["strategy"] == strategy]
    make_broker: Any = BROKERS.get(config.deployment.broker)
    paper = {}
    for symbol, part in backtest[backtest["symbol"] != PORTFOLIO].groupby("symbol"):
        frame = data.bars[str(symbol)]
        start = int(np.flatnonzero(features.splits.test.mask(pd.DatetimeIndex(frame.index)))[0])
        frame = frame.iloc[: start + len(part)]
        # Python reads a written float64 back to the bit; not every pandas does by default.
        equity = np.array([float(text) for text in part["equity"]])
        broker = make_broker(float(equity[0]), config.trading.costs)
        traded = paper_trade_from_bars(
            policy, features.specs, frame, start, broker, symbol=str(symbol)
        )
        paper[str(symbol)] = {
            "final_equity": float(traded.equity[-1]),
            "fills": len(traded.fills),
            "fees_paid": traded.fees_paid,
            "ruined": traded.ruined,
            "largest_relative_gap": traded.require_equal(equity),
        }
    return paper
