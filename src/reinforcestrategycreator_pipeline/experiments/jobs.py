"""A job: a pure function from a specification and a reference to data, to a file with the result.

A job holds plain values and paths, no bars and no networks, so it costs nothing to send. It writes
its result itself and knows whether there is one. So nothing but its reports comes back, and a batch
that was killed goes on where it was: what is done is not run again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.kernels import one_thread
from reinforcestrategycreator_pipeline.runs.log import loggable

PACKAGE = __name__.partition(".")[0]
INTERVAL = 0.1
"""Seconds between two reports of progress by one job, at least."""


class Event(NamedTuple):
    """One report of a job.

    Attributes
    ----------
    kind : str
        The method of `Listener` to call, or ``"logging"`` for a record of Python's `logging`.
    values : tuple
        Its positional arguments after the name of the job.
    texts : dict
        Its keyword arguments.
    """

    kind: str
    values: tuple[Any, ...]
    texts: dict[str, Any]


class Report:
    """The way from a job to the user, from whichever process runs the job.

    The methods are those that `policies.base.Work` takes.

    Parameters
    ----------
    send : callable
        Receives each `Event`.
    """

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._sent = float("-inf")
        self._held: Event | None = None

    def progress(self, done: int, total: int, **texts: Any) -> None:
        """Report progress; of frequent reports, the newest in every `INTERVAL` is sent."""
        self._held = Event("progress", (done, total), texts)
        if time.monotonic() - self._sent >= INTERVAL:
            self.flush()

    def say(self, sentence: str) -> None:
        """Tell the user something."""
        self._send(Event("say", (sentence,), {}))

    def log(self, event: str, **values: Any) -> None:
        """Write to the log of the run only."""
        self._send(Event("log", (event,), {key: loggable(value) for key, value in values.items()}))

    def flush(self) -> None:
        """Send the progress that was held back."""
        if self._held is not None:
            held, self._held, self._sent = self._held, None, time.monotonic()
            self._send(held)


class Job(Protocol):
    """A frozen dataclass that does one piece of work and writes its result to files.

    It must be picklable, and everything on which the result depends is in its fields, or in files
    that these name. Its class must be in a module: a worker cannot load what a script or a notebook
    defines.
    """

    @property
    def name(self) -> str:
        """Return the name of the job, which no other job of the batch has."""
        ...

    def run(self, report: Report) -> None:
        """Do the work and write the result atomically.

        If an earlier call was interrupted or killed, this one may go on from its checkpoints, and
        must write the same result.

        Raises
        ------
        RscError
            If the user has to act; it ends the batch.
        KeyboardInterrupt
            On Ctrl-C or SIGTERM, once the checkpoints are written.
        """
        ...

    def done(self) -> bool:
        """Return whether the valid result of this job exists."""
        ...


class Listener:
    """The receiver of what jobs report, in the process and the thread that called the engine.

    Each method does nothing here; override those that you need. The first argument is the name of
    the job.
    """

    def began(self, job: str, /) -> None:
        """Receive that a job begins, or begins again after its worker was lost."""

    def progress(self, job: str, done: int, total: int, /, **texts: Any) -> None:
        """Receive the progress of a job."""

    def say(self, job: str, sentence: str, /) -> None:
        """Receive a sentence for the user."""

    def log(self, job: str, event: str, /, **values: Any) -> None:
        """Receive an event for the log."""

    def ended(self, job: str, /) -> None:
        """Receive that the result of a job exists, maybe from an earlier run."""


def deliver(event: Event, job: str, listener: Listener) -> None:
    """Call the method of a listener that belongs to an event of a job."""
    if event.kind == "logging":  # as if this process had logged it
        name, level, text = event.values
        logging.getLogger(name).log(level, "%s", text)
    else:
        getattr(listener, event.kind)(job, *event.values, **event.texts)


def pending(jobs: Iterable[Job], listener: Listener) -> list[Job]:
    """Return the jobs without a result, and tell the listener of the others.

    Raises
    ------
    ConfigError
        If two jobs have the same name.
    """
    names: set[str] = set()
    found = []
    for job in jobs:
        if job.name in names:
            raise ConfigError(f"the names of jobs must be unique. Got {job.name!r} twice.")
        names.add(job.name)
        found.append(job)
    todo = []
    for job in found:
        if job.done():
            listener.ended(job.name)
        else:
            todo.append(job)
    return todo


def perform(job: Job, report: Report) -> None:
    """Run a job as every engine runs it: with one thread, and only without a result.

    A worker may have been killed between the result and the message about it.
    """
    if not job.done():
        with one_thread():
            job.run(report)
    report.flush()


def finish(job: Job, listener: Listener) -> None:
    """Tell the listener that a job ended, once its result was found.

    Raises
    ------
    RunError
        If there is no result.
    """
    if not job.done():
        raise RunError(
            f"job {job.name!r} ended, but its result is not there. Workers on other machines need "
            "the same folder, on a file system that all of them share."
        )
    listener.ended(job.name)
