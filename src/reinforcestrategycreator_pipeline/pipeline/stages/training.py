"""Stage 3: fit the strategy on every window, and store its policies."""

from __future__ import annotations

import json
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.experiments.engines.base import Engine
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
from reinforcestrategycreator_pipeline.market.windows import Windows
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.engines import engine_for
from reinforcestrategycreator_pipeline.pipeline.fits import CONFIG, HISTORY, SUMMARY, FitJob
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.base import Strategy
from reinforcestrategycreator_pipeline.runs.artifacts import POLICY

ALONE = "training"
FEW_JOBS = 8  # of a quick strategy take about as long as to start a process
OF_DEPLOYED = {"policy": POLICY, "history": HISTORY, "training_summary": SUMMARY}


class Training:
    """Fit the strategy; write ``policy``, ``history`` and ``training_summary``, and ``fits``.

    The first three are of the deployed policy; ``fits`` has a folder with the same three for each
    window that judges the strategy.

    Parameters
    ----------
    engine : Engine, optional
        Engine that runs the fits; the results are the same with any. See `engines.engine_for`.
    """

    name = "training"
    inputs: tuple[str, ...] = SPAN_INPUTS
    outputs: tuple[str, ...] = ("policy", "history", "training_summary", "fits")

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine

    def section(self, config: RunConfig) -> Any:
        """Return the sections of trading and strategy."""
        whole = to_plain(config)
        return {part: whole[part] for part in ("trading", "strategy")}

    def run(self, context: StageContext) -> None:
        """Fit the strategy on every window, or continue where an earlier attempt ended."""
        jobs = jobs_of(context)
        with Bars(context.console) as bars:
            small = len(jobs) <= FEW_JOBS and is_quick(context.config.strategy)
            engine = engine_for(jobs[0].config, len(jobs), self._engine, small)
            engine.run(jobs, Heard(context, bars, len(jobs)))
        *judged, deployed = jobs if len(jobs) > 1 else jobs * 2
        for artifact, name in OF_DEPLOYED.items():
            files.copy(deployed.results / name, context.path(artifact))
        for number, job in enumerate(judged, 1):
            for name in OF_DEPLOYED.values():
                files.copy(job.results / name, context.path("fits") / str(number) / name)
        summary = json.loads((deployed.results / SUMMARY).read_text(encoding="utf-8"))
        context.summary.update(summary)
        context.log.info("trained", **summary)


def is_quick(strategy: Strategy) -> bool:
    """Return whether the strategy is trained as little as its method ``quick`` has it trained."""
    quick = getattr(strategy, "quick", None)
    return quick is not None and quick() == strategy


def jobs_of(context: StageContext) -> list[FitJob]:
    """Return the fits of a run in order of time; with several windows, the last one is deployed."""
    paths = {name: context.path(name) for name in SPAN_INPUTS}
    windows = Windows.from_json(json.loads(paths["windows"].read_text(encoding="utf-8")))
    whole = to_plain(context.config)
    config = {key: whole[key] for key in CONFIG}
    results, checkpoints = context.scratch("fitted"), context.scratch("checkpoints")
    if windows.deployed is None:
        names = [""]
    else:
        names = [*(f"window {k + 1}" for k in range(len(windows.judged))), "deployed"]
    return [
        FitJob(
            name or ALONE,
            config,
            paths,
            k,
            name,
            results / name.replace(" ", "-"),
            checkpoints / name.replace(" ", "-"),
            context.resume,
        )
        for k, name in enumerate(names)
    ]


class Heard(Listener):
    """Shows and records what the fits report."""

    def __init__(self, context: StageContext, bars: Bars, jobs: int) -> None:
        self._context, self._bars = context, bars
        self._jobs, self._done = jobs, 0

    def progress(self, job: str, done: int, total: int, /, **texts: Any) -> None:
        """Advance the bar of a fit."""
        self._bars.show(job, done, total, **texts)

    def began(self, job: str, /) -> None:
        """Show the bar of all fits before that of the first."""
        if self._jobs > 1:
            self._bars.show("windows", self._done, self._jobs)

    def ended(self, job: str, /) -> None:
        """Replace the bar of a fit by one step of the bar of all fits."""
        self._done += 1
        if self._jobs > 1:
            self._bars.drop(job)
            self._bars.show("windows", self._done, self._jobs)

    def say(self, job: str, sentence: str, /) -> None:
        """Print a sentence and log it as a warning."""
        named = sentence if job == ALONE else f"{job}: {sentence}"
        self._context.say(named)
        self._context.log.warning(named)

    def log(self, job: str, event: str, /, **values: Any) -> None:
        """Log an event."""
        self._context.log.info(event, **({} if job == ALONE else {"fit": job}), **values)
