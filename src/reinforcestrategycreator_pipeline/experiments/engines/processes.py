"""The engine `processes`: as many jobs at once as there are processors, each in a worker process.

The workers are interpreters of their own that load the same kernels and modules as this process
(see `worker`), so the results have the same bits as those of `inline`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from reinforcestrategycreator_pipeline.checks import Ge, Le
from reinforcestrategycreator_pipeline.experiments.engines.base import ENGINES
from reinforcestrategycreator_pipeline.experiments.engines.crew import Crew
from reinforcestrategycreator_pipeline.experiments.jobs import Job, Listener

MOST_WORKERS = 1_000


@ENGINES.register("processes")
@dataclass(frozen=True)
class Processes:
    """Run several jobs at once, each in a worker process of this machine.

    Attributes
    ----------
    workers : int or None
        Maximum number of workers; by default, the number of processors that this process may use.
        No more are started than there are jobs.
    """

    workers: Annotated[int, Ge(1), Le(MOST_WORKERS)] | None = None

    def run(self, jobs: Iterable[Job], listener: Listener) -> None:
        """Run every job that has no result yet; see `Engine.run`."""
        with self.opened() as crew:
            crew.run(jobs, listener)

    def opened(self) -> Crew:
        """Return a context with an engine whose workers stay for the next batch."""
        return Crew(self.workers or processors())


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
