"""Stage 5: package the policy, replay the test bars on paper, and promote it if it passed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import available_timezones

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.backtesting.compare import backtest_alone
from reinforcestrategycreator_pipeline.deployment.package import (
    DataSchema,
    PackageRecord,
    load_package,
    write_package,
)
from reinforcestrategycreator_pipeline.deployment.sampling import Replayed, bars_to_push
from reinforcestrategycreator_pipeline.files import sha256_file, write_json
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.paper_replay import (
    replay,
    replay_together,
    times_of,
)
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS, Spans
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import load_policy
from reinforcestrategycreator_pipeline.reporting.model_card import compose_model_card
from reinforcestrategycreator_pipeline.reporting.run import read_run
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest
from reinforcestrategycreator_pipeline.runs.promotion import promote, withdraw
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.storage.parquet_files import release_memory
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
        with Bars(context.console) as bars:
            bars.show("package", 0, 1)
            card = compose_model_card(read_run(context.run_dir))  # alone: it reads all results
        release_memory()
        spans = Spans.read(context)
        judgement = Judgement.read(context.path("metrics"))
        newest = spans.cut(spans.windows.tests[-1], "test")
        package, record = context.path("package"), record_of(context, spans, judgement, card)
        write_package(package, load_policy(context.path("policy")), record)
        accounts, whole = backtest_alone(judgement.strategy, load_package(package), newest)
        singly = bars_to_push(
            {symbol: Replayed(times_of(r), r.exposure) for symbol, r in accounts.items()},
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
