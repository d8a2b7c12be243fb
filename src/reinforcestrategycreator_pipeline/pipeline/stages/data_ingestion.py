"""Stage 1: load, validate and adjust market data."""

from __future__ import annotations

from typing import Any

from reinforcestrategycreator_pipeline.market.bars import write_bars
from reinforcestrategycreator_pipeline.market.health.check import check_health
from reinforcestrategycreator_pipeline.market.preparation import without_guessed_sessions
from reinforcestrategycreator_pipeline.market.sources.catalog import (
    build_source,
    fingerprint_source,
    load_source,
)
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.runs.manifest import Manifest
from reinforcestrategycreator_pipeline.seeding import generator

MOST_WARNINGS = 10  # that are printed


class DataIngestion:
    """Load the configured source and write ``bars``."""

    name = "data_ingestion"
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("bars",)

    def section(self, config: RunConfig) -> Any:
        """Return the data section and the source's fingerprints of its files."""
        source = build_source(config.data.source, config.data.params)
        return {
            "data": to_plain(config.data),
            "files": fingerprint_source(source, config.data.source),
        }

    def run(self, context: StageContext) -> None:
        """Load and validate the data, and write the bars."""
        config: RunConfig = context.config
        source = build_source(config.data.source, config.data.params)
        with Bars(context.console) as shown:
            shown.show(f"data of {config.data.source}", 0, 1)
            data = load_source(source, config.data.source, generator(context.seed, "data"))
            health = check_health(data, config.data.calendar)
            if config.data.calendar is not None:
                data = without_guessed_sessions(data)
            write_bars(context.path("bars"), data)
        for note in data.notes:
            context.log.info("data", note=note)
        for warning in data.warnings[:MOST_WARNINGS]:
            context.say(f"warning: {warning}")
        if (more := len(data.warnings) - MOST_WARNINGS) > 0:
            context.say(f"{more} more warnings, in the report and by rsc data check")
        for symbol, frame in data.bars.items():
            context.log.info("bars", symbol=symbol, bars=len(frame))
        context.summary["source"] = config.data.source
        context.summary["bars"] = {symbol: len(frame) for symbol, frame in data.bars.items()}
        context.summary["warnings"] = list(data.warnings)
        context.summary["notes"] = list(data.notes)
        context.summary["health"] = health.summary()
        # Without the list of splits and dividends, which is long, and in the bars' own file.
        context.summary["provenance"] = {
            key: value for key, value in data.provenance.items() if key != "corporate_actions"
        }


def data_warnings(manifest: Manifest) -> tuple[str, ...]:
    """Return the warnings of a run's data, such as guessed times or dropped rows."""
    record = manifest.stages.get(DataIngestion.name)
    return () if record is None else tuple(map(str, record.summary.get("warnings", ())))
