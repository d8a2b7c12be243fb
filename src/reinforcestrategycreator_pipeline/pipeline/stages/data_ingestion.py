"""Stage 1: load market data from a source, validated and adjusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.market.bars import write_bars
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, summarize
from reinforcestrategycreator_pipeline.market.sources.files.file_source import MAX_DATA_BYTES
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.seeding import generator


class DataIngestion:
    """Source -> ``bars``."""

    name = "data_ingestion"
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("bars",)

    def section(self, config: RunConfig) -> Any:
        """Return the data section and the hashes of the files that it names."""
        named = config.data.params.get("path")
        return {
            "data": plain(config.data),
            "code": fingerprints([config.data.source]),
            "files": _fingerprints(Path(str(named))) if named else {},
        }

    def run(self, context: StageContext) -> None:
        """Load, validate, write."""
        config: RunConfig = context.config
        source = build_source(config.data.source, config.data.params)
        data = source.load(generator(context.seed, "data"))
        write_bars(context.path("bars"), data)
        for note in data.notes:
            context.log.info("data", note=note)
        for line in summarize(data):
            context.log.info("bars", symbol=line.symbol, bars=line.n_bars)
        context.summary["source"] = config.data.source
        context.summary["bars"] = {s.symbol: s.n_bars for s in summarize(data)}
        context.summary["notes"] = list(data.notes)
        context.summary["provenance"] = dict(data.provenance)


def _fingerprints(path: Path) -> dict[str, str]:
    """Hash a file, or the files of a folder; what cannot be read is the source's to refuse."""
    if path.is_file():
        found = [path]
    elif path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file())
    else:
        found = []
    hashes = {}
    for file in found:
        try:
            small = file.stat().st_size <= MAX_DATA_BYTES
            hashes[file.name] = sha256_file(file) if small else "too large"
        except OSError as error:
            hashes[file.name] = f"unreadable: {error.strerror}"
    return hashes
