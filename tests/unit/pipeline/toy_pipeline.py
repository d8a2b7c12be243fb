"""A pipeline of three stages in miniature; as a script, it is a process that can be killed."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from reinforcestrategycreator_pipeline.backtesting.metrics.base import MetricValue
from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.errors import RscError
from reinforcestrategycreator_pipeline.files import write_json, write_text
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.runner import Runner, StageContext
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement


@dataclass(frozen=True)
class DataConfig:
    """Numbers to learn from.

    Attributes
    ----------
    count : int
        How many numbers are drawn.
    """

    count: int = 4

    def __post_init__(self) -> None:
        require_int("data", "count", self.count, 1)


@dataclass(frozen=True)
class TrainingConfig:
    """Sums up."""

    steps: int = 5


@dataclass(frozen=True)
class ReportConfig:
    """Says so."""

    title: str = "Result"
    threshold: float = 0.5


@dataclass(frozen=True)
class ToyConfig:
    """The whole toy."""

    seed: int = 0
    reproducibility: str = "exact"
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    report: ReportConfig = ReportConfig()
    tracking: tuple[str, ...] = ()
    search: str | None = None


ARTIFACTS = {
    "numbers": "data/numbers.json",
    "weights": "training/weights",
    "html": "evaluation/report.html",
    "metrics": "evaluation/metrics.json",
}


class Data:
    name = "data"
    inputs: tuple[str, ...] = ()
    outputs = ("numbers",)

    def section(self, config: Any) -> Any:
        return to_plain(config.data)

    def run(self, context: StageContext) -> None:
        draws = generator(context.seed, "data").random(context.config.data.count)
        write_json(context.path("numbers"), draws.tolist())
        context.summary["mean"] = draws.mean()


class Training:
    """Adds the numbers up, a step a time, with a checkpoint after each."""

    name = "training"
    inputs = ("numbers",)
    outputs = ("weights",)

    def __init__(self) -> None:
        self.at_step: Any = lambda step: None
        self.first_steps: list[int] = []

    def section(self, config: Any) -> Any:
        return to_plain(config.training)

    def run(self, context: StageContext) -> None:
        numbers = json.loads(context.path("numbers").read_text())
        saved = context.scratch("checkpoints") / "state.json"
        state = {"step": 0, "sum": 0.0}
        if context.resume and saved.is_file():
            state = json.loads(saved.read_text())
        self.first_steps.append(state["step"])
        while state["step"] < context.config.training.steps:
            self.at_step(state["step"])
            state["sum"] += numbers[state["step"] % len(numbers)]
            state["step"] += 1
            write_json(saved, state)
            context.log.info("step", **state)
        write_json(context.path("weights") / "sum.json", state["sum"])
        write_text(context.path("weights") / "deep" / "note.txt", "ü\n")


class Report:
    name = "evaluation"
    inputs = ("numbers", "weights")
    outputs = ("html", "metrics")

    def section(self, config: Any) -> Any:
        return to_plain(config.report)

    def run(self, context: StageContext) -> None:
        total = json.loads((context.path("weights") / "sum.json").read_text())
        write_text(context.path("html"), f"<h1>{context.config.report.title}: {total}</h1>\n")
        promoted = total > context.config.report.threshold
        check = Check("the sum", "large", f"{total:.2f}", promoted)
        metrics = {name: {"sharpe": MetricValue(total)} for name in ("dqn [bold]", "flat")}
        of_all, periods = {"PORTFOLIO": metrics}, {"PORTFOLIO": 1.0}
        judgement = Judgement("dqn [bold]", "", periods, of_all, {}, Decision((check,)))
        judgement.write(context.path("metrics"))


def build_stages() -> list[Any]:
    return [Data(), Training(), Report()]


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Hang in training at step 2 until killed."""
    stages = build_stages()

    def hang(step: int) -> None:
        if step == 2:
            say("hanging")
            time.sleep(60)

    stages[1].at_step = hang
    runner = Runner(stages, ARTIFACTS, Console(stderr=True))
    try:
        runner.start(ToyConfig(), Path(sys.argv[1]), "toy")
    except RscError as error:
        say(f"{type(error).__name__}: {error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
