"""The engine `inline`: one job after the other in this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reinforcestrategycreator_pipeline.experiments.engines.base import ENGINES
from reinforcestrategycreator_pipeline.experiments.jobs import (
    Event,
    Job,
    Listener,
    Report,
    deliver,
    finish,
    pending,
    perform,
)


@ENGINES.register("inline")
@dataclass(frozen=True)
class Inline:
    """Run the jobs one after the other in this process."""

    def run(self, jobs: Iterable[Job], listener: Listener) -> None:
        """Run every job that has no result yet; see `Engine.run`."""
        for job in pending(jobs, listener):
            name = job.name

            def send(event: Event, name: str = name) -> None:
                deliver(event, name, listener)

            listener.began(name)
            perform(job, Report(send))
            finish(job, listener)
