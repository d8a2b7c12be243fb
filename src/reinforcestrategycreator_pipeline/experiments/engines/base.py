"""The protocol of engines, and their registry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from reinforcestrategycreator_pipeline.experiments.jobs import Job, Listener
from reinforcestrategycreator_pipeline.registry import Registry

RETRIES = 3
"""How many times a job is done again whose worker was lost."""


class Engine(Protocol):
    """A frozen dataclass that runs jobs; its fields say where and how many at once.

    The results have the same bits whichever engine runs the jobs.
    """

    def run(self, jobs: Iterable[Job], listener: Listener) -> None:
        """Run every job that has no result yet, and return when all have one.

        Parameters
        ----------
        jobs : iterable of Job
            Jobs with unique names that do not depend on each other.
        listener : Listener
            Receives what the jobs report; called in this process and thread.

        Raises
        ------
        ConfigError
            If two jobs have one name, or a job cannot be sent to a worker.
        RunError
            If the worker of one job was lost `RETRIES` + 1 times.
        KeyboardInterrupt
            On Ctrl-C or SIGTERM, after the jobs that were running have ended; they were interrupted
            alike and could write their checkpoints.
        Exception
            The first that a job raised, of the same class, with the same text and attributes; the
            other jobs are interrupted. Its cause holds the traceback of the worker.
        """
        ...


ENGINES: Registry[type[Engine]] = Registry("engine", ("run",))
