"""The fit of a strategy on one window, as a job that any process can do."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.experiments.jobs import Report
from reinforcestrategycreator_pipeline.files import write_json, write_text
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.spans import Spans
from reinforcestrategycreator_pipeline.policies.base import Row, Work
from reinforcestrategycreator_pipeline.runs.artifacts import POLICY
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors

CONFIG = ("seed", "imports", "trading", "strategy")
HISTORY, SUMMARY = "history.csv", "summary.json"


@dataclass(frozen=True)
class FitJob:
    """The fit of the configured strategy on one window; what it needs is on disk.

    Attributes
    ----------
    name : str
        Name of the window: ``"window 1"``, ``"deployed"``.
    config : mapping
        Keys `CONFIG` of the run's configuration, as plain values.
    paths : mapping of str to Path
        Artifacts `SPAN_INPUTS`, by name.
    window : int
        Index in `Windows.all`.
    scope : str
        Scope of the random numbers; ``""`` for that of the run.
    results, checkpoints : Path
        Folder of `POLICY`, `HISTORY` and `SUMMARY`, and folder of the state of an unfinished fit.
    resume : bool
        Whether `checkpoints` may hold the state of this fit, interrupted earlier.
    """

    name: str
    config: Mapping[str, Any]
    paths: Mapping[str, Path]
    window: int
    scope: str
    results: Path
    checkpoints: Path
    resume: bool

    def done(self) -> bool:
        """Return whether all results are there, as they were written; the summary is the last."""
        try:
            summary = json.loads((self.results / SUMMARY).read_text(encoding="utf-8"))
            read_tensors(self.results / POLICY)
        except (OSError, ValueError, CheckpointError):
            return False
        return "policy_content_sha256" in summary and (self.results / HISTORY).is_file()

    def run(self, report: Report) -> None:
        """Fit the strategy, or continue an interrupted fit, and write the results."""
        config = load_config(RunConfig, None, (), given=self.config)
        spans = Spans.load(self.paths, config.trading)
        train, validation = spans.fitted(spans.windows.all[self.window])
        skipped = [*train.skipped, *validation.skipped]
        for sentence in skipped:
            report.log("symbol left out", reason=sentence)
        seeds = Seeds(config.seed).within(self.scope) if self.scope else Seeds(config.seed)
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        work = Work(seeds, self.checkpoints, self.resume, report.progress, report.say, report.log)
        policy = config.strategy.fit(train, validation, work)
        self.results.mkdir(parents=True, exist_ok=True)
        sha256 = policy.save(self.results / POLICY)
        write_history(self.results / HISTORY, work.history)
        summary = {**work.facts, "policy_content_sha256": sha256, "skipped": skipped}
        write_json(self.results / SUMMARY, summary)


def write_history(path: Path, rows: list[Row]) -> None:
    """Write the history as CSV; missing values are left empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["step"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
