"""The workers of one batch of jobs: begun as they are needed, replaced when lost, and ended."""

from __future__ import annotations

import time
from collections import Counter
from multiprocessing.connection import wait
from types import TracebackType

from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.experiments.engines.base import (
    GRACE,
    RETRIES,
    TICK,
    lost_too_often,
)
from reinforcestrategycreator_pipeline.experiments.engines.failures import unpack
from reinforcestrategycreator_pipeline.experiments.engines.setting import Outcome, Setting
from reinforcestrategycreator_pipeline.experiments.engines.worker_process import WorkerProcess
from reinforcestrategycreator_pipeline.experiments.jobs import Job, Listener, deliver, finish

_LEAVING = 5.0  # seconds that an idle worker has to end


class Crew:
    """A context that holds up to `size` workers, and leaves none behind.

    When an exception leaves the context, the jobs are interrupted and have `GRACE` seconds.

    Parameters
    ----------
    size : int
        Maximum number of workers, >= 1.
    listener : Listener
        Receives what the jobs report.

    Attributes
    ----------
    lost : list of Job
        Jobs to be given again.
    said : list of str
        What jobs said about their interruption.
    """

    def __init__(self, size: int, listener: Listener) -> None:
        self._size, self._listener = size, listener
        self._workers: list[WorkerProcess] = []
        self._losses: Counter[str] = Counter()
        self._stopping = False
        self.lost: list[Job] = []
        self.said: list[str] = []

    def __enter__(self) -> Crew:
        self._setting, self._environment = Setting.here(), kernels.environment()
        return self

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return any(worker.job is not None for worker in self._workers)

    @property
    def has_room(self) -> bool:
        """Whether another job can be given."""
        return len(self._workers) < self._size or any(w.job is None for w in self._workers)

    def give(self, job: Job) -> None:
        """Have a worker run a job."""
        worker = next((w for w in self._workers if w.job is None), None)
        if worker is None:
            worker = WorkerProcess(self._setting, self._environment)
            self._workers.append(worker)
        self._listener.began(job.name)
        worker.give(job)

    def attend(self) -> None:
        """Wait a moment for messages of the workers, and pass them on.

        Raises
        ------
        RunError
            If the worker of one job was lost `RETRIES` + 1 times.
        Exception
            What a job raised.
        """
        wait([worker.link for worker in self._workers], TICK)
        for worker in list(self._workers):
            for message in worker.messages():
                if message is None:
                    self._lose(worker)
                elif message[0] == "event" and worker.job is not None:
                    deliver(message[1], worker.job.name, self._listener)
                elif message[0] == "outcome":
                    self._conclude(worker, message[1])

    def _conclude(self, worker: WorkerProcess, outcome: Outcome) -> None:
        job, worker.job = worker.job, None
        assert job is not None
        if self._stopping:
            if outcome.interrupted:
                self.said.append(f"{job.name}: {outcome.interrupted}")
        elif outcome.failure is not None:
            raise unpack(outcome.failure, job.name)
        elif outcome.interrupted is not None:  # by somebody else
            self._again(job, "an interruption")
        else:
            finish(job, self._listener)

    def _lose(self, worker: WorkerProcess) -> None:
        self._workers.remove(worker)
        how = worker.end(_LEAVING)
        if worker.job is not None and not self._stopping:
            self._again(worker.job, how)

    def _again(self, job: Job, how: str) -> None:
        self._losses[job.name] += 1
        if self._losses[job.name] > RETRIES:
            raise lost_too_often(job.name, how)
        self._listener.say(job.name, f"its worker was lost by {how}; the job is done again")
        self.lost.append(job)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        patience = _LEAVING
        try:
            if error is None:
                for worker in self._workers:
                    worker.leave()
            else:
                self._interrupt()
        except BaseException:
            patience = 0.0
            raise
        finally:
            for worker in self._workers:
                worker.end(patience if worker.job is None else 0.0)
            self._workers.clear()

    def _interrupt(self) -> None:
        self._stopping = True
        for worker in self._workers:
            worker.interrupt()
        end = time.monotonic() + GRACE
        while self.busy and time.monotonic() < end:
            self.attend()
