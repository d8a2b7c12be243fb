"""Stage 3: fit the strategy on every window, and store its policies."""

from __future__ import annotations

import json
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.market.windows import Windows
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.fits import CONFIG, HISTORY, POLICY, SUMMARY, FitJob
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.spans import SPAN_INPUTS
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext

ALONE = "training"
OF_DEPLOYED = {"policy": POLICY, "history": HISTORY, "training_summary": SUMMARY}


class Training:
    """Fit the strategy; write ``policy``, ``history`` and ``training_summary``, and ``fits``.

    The first three are of the deployed policy; ``fits`` has a folder with the same three for each
    window that judges the strategy.
    """

    name = "training"
    inputs: tuple[str, ...] = SPAN_INPUTS
    outputs: tuple[str, ...] = ("policy", "history", "training_summary", "fits")

    def section(self, config: RunConfig) -> Any:
        """Return the sections of trading and strategy."""
        whole = to_plain(config)
        return {part: whole[part] for part in ("trading", "strategy")}

    def run(self, context: StageContext) -> None:
        """Fit the strategy on every window, or continue where an earlier attempt ended."""
        jobs = jobs_of(context)
        with Bars(context.console) as bars:
            heard = _Heard(context, bars)
            for job in jobs:
                if not job.done():
                    job.run(_Of(heard, job.name))
        *judged, deployed = jobs if len(jobs) > 1 else jobs * 2
        for artifact, name in OF_DEPLOYED.items():
            files.copy(deployed.results / name, context.path(artifact))
        for number, job in enumerate(judged, 1):
            for name in OF_DEPLOYED.values():
                files.copy(job.results / name, context.path("fits") / str(number) / name)
        summary = json.loads((deployed.results / SUMMARY).read_text(encoding="utf-8"))
        context.summary.update(summary)
        context.log.info("trained", **summary)


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


class _Heard:
    """Shows and records what the fits report."""

    def __init__(self, context: StageContext, bars: Bars) -> None:
        self._context, self._bars = context, bars

    def progress(self, name: str, done: float, total: float, **texts: str) -> None:
        self._bars.show(name, done, total, **texts)

    def say(self, name: str, sentence: str) -> None:
        named = sentence if name == ALONE else f"{name}: {sentence}"
        self._context.say(named)
        self._context.log.warning(named)

    def log(self, name: str, event: str, **values: Any) -> None:
        self._context.log.info(event, **({} if name == ALONE else {"fit": name}), **values)


class _Of:
    def __init__(self, heard, name):
        self.heard, self.name = heard, name

    def progress(self, done, total, **texts):
        self.heard.progress(self.name, done, total, **texts)

    def say(self, sentence):
        self.heard.say(self.name, sentence)

    def log(self, event, **values):
        self.heard.log(self.name, event, **values)
