"""The workers of an engine: begun as they are needed, replaced when lost, and ended together."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterable
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any

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
from reinforcestrategycreator_pipeline.experiments.jobs import (
    Job,
    Listener,
    deliver,
    finish,
    pending,
)
from reinforcestrategycreator_pipeline.interrupts import StopRequest, deferred_interrupts

_LEAVING = 5.0  # seconds that an idle worker has to end


class Crew:
    """An engine and a context: its workers stay for the next batch, and none outlives the context.

    Parameters
    ----------
    size : int
        Maximum number of workers, >= 1. No more are started than there are jobs at once.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._workers: list[WorkerProcess] = []
        self._made_for: Any = None  # the state of this process that the workers have
        self._begin(Listener())

    def __enter__(self) -> Crew:
        return self

    def run(self, jobs: Iterable[Job], listener: Listener) -> None:
        """Run every job that has no result yet; see `Engine.run`."""
        todo = deque(pending(jobs, listener))
        if not todo:
            return
        self._begin(listener)
        # A signal in the middle of a message, or of the start of a worker, would leave a mess.
        with deferred_interrupts() as stop:
            try:
                self._muster()
                try:
                    self._work(todo, stop)
                except BaseException:
                    self._interrupt()
                    raise
            except KeyboardInterrupt:
                raise KeyboardInterrupt("; ".join(self._said)) from None

    def _begin(self, listener: Listener) -> None:
        self._listener = listener
        self._losses: Counter[str] = Counter()
        self._lost: list[Job] = []
        self._said: list[str] = []
        self._stopping = False

    def _muster(self) -> None:
        """End workers that are gone, and all if this process has changed since they began."""
        for worker in list(self._workers):
            if None in worker.messages():
                self._lose(worker)
        setting, environment = Setting.here(), kernels.environment()
        now = (setting, environment, tuple(sys.path))
        if self._made_for != now:
            self._leave()
        self._made_for, self._setting, self._environment = now, setting, environment

    def _work(self, todo: deque[Job], stop: StopRequest) -> None:
        while todo or self._busy:
            if stop:
                raise KeyboardInterrupt
            while todo and self._has_room:
                self._give(todo.popleft())
            self._attend()
            todo.extendleft(self._lost)
            self._lost.clear()

    @property
    def _busy(self) -> bool:
        return any(worker.job is not None for worker in self._workers)

    @property
    def _has_room(self) -> bool:
        return len(self._workers) < self._size or any(w.job is None for w in self._workers)

    def _give(self, job: Job) -> None:
        worker = next((w for w in self._workers if w.job is None), None)
        if worker is None:
            worker = WorkerProcess(self._setting, self._environment)
            self._workers.append(worker)
        self._listener.began(job.name)
        worker.give(job)

    def _attend(self) -> None:
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
                self._said.append(f"{job.name}: {outcome.interrupted}")
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
        self._lost.append(job)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with deferred_interrupts() as stop:
            self._leave()
        if stop and error is None:
            raise KeyboardInterrupt

    def _leave(self) -> None:
        """End the workers, which have no jobs."""
        patience = _LEAVING
        try:
            for worker in self._workers:
                worker.leave()
        except BaseException:
            patience = 0.0
            raise
        finally:
            self._end(patience)

    def _interrupt(self) -> None:
        """Interrupt the jobs, which have `GRACE` seconds, and end the workers."""
        self._stopping = True
        patience = _LEAVING
        try:
            for worker in self._workers:
                worker.interrupt()
            end = time.monotonic() + GRACE
            while self._busy and time.monotonic() < end:
                self._attend()
        except BaseException:
            patience = 0.0
            raise
        finally:
            self._end(patience)

    def _end(self, patience: float) -> None:
        for worker in self._workers:
            worker.end(patience if worker.job is None else 0.0)
        self._workers.clear()
