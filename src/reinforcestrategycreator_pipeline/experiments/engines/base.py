"""The protocol of engines, and their registry."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar, cast

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.experiments.jobs import Job, Listener
from reinforcestrategycreator_pipeline.registry import Registry

RETRIES = 3
"""How many times a job is done again whose worker was lost."""
TICK = 0.2
"""Seconds until Ctrl-C is noticed while there are no messages."""
GRACE = 30.0
"""Seconds that interrupted jobs have to write their checkpoints."""


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


_E = TypeVar("_E", bound=Engine | None)


def kept_open(engine: _E) -> AbstractContextManager[_E]:
    """Return a context with an engine for several batches, which keeps what they share.

    An engine that has something to keep, such as workers or a connection, has a method ``opened``
    that returns the context; none has to have it, and then the context has the engine itself.
    """
    method = getattr(engine, "opened", None)
    found = nullcontext(engine) if method is None else method()
    return cast("AbstractContextManager[_E]", found)


def lost_too_often(job: str, how: str) -> RunError:
    """Return the error about a job whose worker was lost `RETRIES` + 1 times, and how it was."""
    return RunError(
        f"job {job!r} cannot be done: its worker was lost {RETRIES + 1} times, the last time by "
        f"{how}. A system that runs out of memory kills workers."
    )


ENGINES: Registry[type[Engine]] = Registry("engine", ("run",))
