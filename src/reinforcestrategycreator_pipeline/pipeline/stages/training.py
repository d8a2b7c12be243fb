"""Stage 3: fit the strategy on the training span, and store its policy."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from reinforcestrategycreator_pipeline.files import write_json, write_text
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS, Spans
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import Row, Work
from reinforcestrategycreator_pipeline.seeding import Seeds


class Training:
    """Fit the strategy; write ``policy``, ``history`` and ``training_summary``."""

    name = "training"
    inputs: tuple[str, ...] = SPAN_INPUTS
    outputs: tuple[str, ...] = ("policy", "history", "training_summary")

    def section(self, config: RunConfig) -> Any:
        """Return the sections of trading and strategy."""
        whole = to_plain(config)
        return {part: whole[part] for part in ("trading", "strategy")}

    def run(self, context: StageContext) -> None:
        """Fit the strategy, or continue an interrupted fit."""
        config: RunConfig = context.config
        spans = Spans.read(context)
        train, validation = spans.cut("train"), spans.cut("validation")
        skipped = [*train.skipped, *validation.skipped]
        for sentence in skipped:
            context.log.warning("symbol left out", reason=sentence)

        def say(sentence: str) -> None:
            context.say(sentence)
            context.log.warning(sentence)

        with _Bar(context.console) as bar:
            folder = context.scratch("checkpoints")
            log = context.log.info
            work = Work(Seeds(context.seed), folder, context.resume, bar.show, say, log)
            policy = config.strategy.fit(train, validation, work)
        sha256 = policy.save(context.path("policy"))
        write_history(context.path("history"), work.history)
        summary = {**work.facts, "policy_content_sha256": sha256, "skipped": skipped}
        write_json(context.path("training_summary"), summary)
        context.summary.update(summary)
        context.log.info("trained", **summary)


def write_history(path: Path, rows: list[Row]) -> None:
    """Write the history as CSV; missing values are left empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["step"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


class _Bar(Progress):
    """The progress bar of a fit, followed by the strategy's own texts."""

    def __init__(self, console: Any) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not (console.is_terminal or console.is_jupyter),  # it would pile up in a log
        )
        self._task = self.add_task("training", total=None, said="")
        self._texts: dict[str, str] = {}

    def __enter__(self) -> _Bar:
        return self  # started by the first progress: a fit without progress needs no bar

    def __exit__(self, *_: object) -> None:
        if self.live.is_started:
            self.stop()

    def show(self, done: float, total: float, **texts: str) -> None:
        """Advance the bar; a text stays until another one of its name arrives."""
        if not self.live.is_started:
            self.start()
        self._texts |= texts
        said = "  ".join(
            text if name == "speed" else f"{name} {text}" for name, text in self._texts.items()
        )
        self.update(self._task, completed=done, total=total, said=said)
