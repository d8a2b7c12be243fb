"""The tasks of one batch on a Ray cluster, and the actor through which they report."""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.errors import RunError, shorten
from reinforcestrategycreator_pipeline.experiments.engines.base import (
    GRACE,
    RETRIES,
    TICK,
    lost_too_often,
)
from reinforcestrategycreator_pipeline.experiments.engines.failures import unpack
from reinforcestrategycreator_pipeline.experiments.engines.setting import (
    Outcome,
    Setting,
    carry_out,
    packed_job,
)
from reinforcestrategycreator_pipeline.experiments.jobs import Event, Job, Listener, deliver, finish
from reinforcestrategycreator_pipeline.interrupts import raised_interrupts

AHEAD = 2
"""Tasks that are submitted per processor of the cluster: the next one is there when one ends."""
_BEGAN = Event("began", (), {})


class Mailbox:
    """The actor that keeps what jobs report until the process that runs the engine takes it."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Event]] = []

    def put(self, job: str, event: Event) -> None:
        """Keep one event."""
        self._events.append((job, event))

    def take(self) -> list[tuple[str, Event]]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events


def run_job(setting: Setting, data: bytes, name: str, mailbox: Any) -> Outcome:
    """Run a job in a worker of the cluster; Ray calls this again if the worker is lost."""
    import ray

    last: list[Any] = []

    def send(event: Event) -> None:
        last[:] = [mailbox.put.remote(name, event)]

    signal.signal(signal.SIGINT, signal.default_int_handler)  # `ray.cancel` raises it
    send(_BEGAN)
    ray.get(last)  # counted, even if the worker is lost at once
    with raised_interrupts():
        outcome = carry_out(setting, data, name, send)
    ray.get(last)  # events arrive in order: with the last, all are there
    return outcome


class RayTasks:
    """A context that holds the submitted tasks, and leaves none behind.

    When an exception leaves the context, the tasks are interrupted and have `GRACE` seconds.

    Parameters
    ----------
    ray : module
        The imported package, connected to a cluster.
    listener : Listener
        Receives what the jobs report.

    Attributes
    ----------
    running : dict
        Job of each task that has not ended.
    said : list of str
        What jobs said about their interruption.
    """

    def __init__(self, ray: Any, listener: Listener) -> None:
        self._ray, self._listener = ray, listener
        self._begun: Counter[str] = Counter()
        self.running: dict[Any, Job] = {}
        self.said: list[str] = []

    def __enter__(self) -> RayTasks:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self._ray.get_runtime_context().get_node_id()
        strategy = NodeAffinitySchedulingStrategy(here, soft=False)  # lives as long as this process
        surroundings = {"env_vars": {**kernels.variables(), "PYTHONPATH": _search_path()}}
        actor = self._ray.remote(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            scheduling_strategy=strategy,
            runtime_env=surroundings,
        )
        self._mailbox = actor(Mailbox).remote()
        self._setting = self._ray.put(Setting.here())
        task = self._ray.remote(
            max_retries=RETRIES, retry_exceptions=False, runtime_env=surroundings
        )
        self._task = task(run_job)
        return self

    @property
    def has_room(self) -> bool:
        """Whether another task is worth submitting now."""
        processors = int(self._ray.cluster_resources().get("CPU", 1))
        return len(self.running) < AHEAD * max(1, processors)

    def submit(self, job: Job) -> None:
        """Submit a job."""
        task = self._task.remote(self._setting, packed_job(job), job.name, self._mailbox)
        self.running[task] = job

    def attend(self) -> None:
        """Wait a moment for tasks to end, and pass on what arrived.

        Raises
        ------
        RunError
            If the worker of one job was lost `RETRIES` + 1 times.
        Exception
            What a job raised.
        """
        ended, _ = self._ray.wait(list(self.running), timeout=TICK)
        self._hear()
        for task in ended:
            job = self.running.pop(task)
            outcome = self._outcome(task, job)
            if outcome.failure is not None:
                raise unpack(outcome.failure, job.name)
            if outcome.interrupted is not None:  # by somebody else
                self.submit(job)
            else:
                finish(job, self._listener)

    def _hear(self) -> None:
        for name, event in self._ray.get(self._mailbox.take.remote()):
            if event == _BEGAN:
                self._begun[name] += 1
                if self._begun[name] > RETRIES + 1:
                    raise lost_too_often(name, "an interruption or a lack of memory")
                if self._begun[name] > 1:
                    self._listener.say(name, "its worker was lost; the job is done again")
            deliver(event, name, self._listener)

    def _outcome(self, task: Any, job: Job) -> Outcome:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(task)
        except (errors.WorkerCrashedError, errors.NodeDiedError) as error:
            raise lost_too_often(job.name, type(error).__name__) from error
        except errors.RayError as error:
            raise cluster_error(f"job {job.name!r} cannot be done on the cluster", error) from error
        return outcome

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None and self.running:
                self._interrupt()
        finally:
            for task in self.running:
                self._ray.cancel(task, force=True)
            self.running.clear()
            self._ray.kill(self._mailbox)

    def _interrupt(self) -> None:
        for task in self.running:
            self._ray.cancel(task)
        tasks = list(self.running)
        ended, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=GRACE)
        self._hear()
        for task in ended:
            job = self.running.pop(task)
            try:
                outcome = self._ray.get(task)
            except self._ray.exceptions.RayError:
                continue  # it had not begun, or says nothing
            if outcome.interrupted:
                self.said.append(f"{job.name}: {outcome.interrupted}")


def cluster_error(what: str, error: Exception) -> RunError:
    """Return the error for the user about one of Ray's, whose last line says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return RunError(f"{what}: {shorten(lines[-1]) if lines else type(error).__name__}")


def _search_path() -> str:
    """Return the folders that this process searches for modules, except for libraries."""
    libraries = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    folders = [Path(entry or ".").absolute() for entry in sys.path]
    own = [f for f in folders if not any(f.is_relative_to(library) for library in libraries)]
    return os.pathsep.join(dict.fromkeys(str(f) for f in own if f.is_dir()))
