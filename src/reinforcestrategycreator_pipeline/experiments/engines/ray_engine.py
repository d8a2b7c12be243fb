"""The engine `ray`: jobs as tasks of a Ray cluster, which may have many machines.

Nothing but the jobs is sent. Data and results are files, so the machines need a file system that
all of them share, with this package and the modules of the user at the same paths or installed.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from reinforcestrategycreator_pipeline.checks import require
from reinforcestrategycreator_pipeline.errors import RunError, needs
from reinforcestrategycreator_pipeline.experiments.engines.base import ENGINES
from reinforcestrategycreator_pipeline.experiments.engines.processes import processors
from reinforcestrategycreator_pipeline.experiments.engines.ray_tasks import RayTasks, cluster_error
from reinforcestrategycreator_pipeline.experiments.jobs import Job, Listener, pending
from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts

_ADDRESS = re.compile(r"[^/\s]+:\d{1,5}")
_PATIENCE = 10.0  # seconds to wait for a connection
_KEPT: list[ExitStack] = []
"""The open contexts of `Ray.opened`: a process has one connection, whatever engines it has."""


@ENGINES.register("ray")
@dataclass(frozen=True)
class Ray:
    """Run the jobs on a Ray cluster, of one machine or many; it needs the extra `distributed`.

    Attributes
    ----------
    address : str or None
        Address of the cluster, such as ``"10.0.0.5:6379"``; ``"auto"`` for the one to which this
        machine belongs. By default, a cluster is started on this machine and ended with the batch,
        or with the search or run to which it belongs.
        Where the program has called ``ray.init`` itself, that cluster is used.
    """

    address: str | None = None

    def __post_init__(self) -> None:
        known = self.address in (None, "auto") or _ADDRESS.fullmatch(str(self.address))
        require(bool(known), "Ray", "address", 'must be "host:port" or "auto"', self.address)

    @contextmanager
    def opened(self) -> Iterator[Ray]:
        """Keep the connection that the first batch makes for the batches after it."""
        with ExitStack() as stack:
            _KEPT.append(stack)
            try:
                yield self
            finally:
                _KEPT.remove(stack)

    def run(self, jobs: Iterable[Job], listener: Listener) -> None:
        """Run every job that has no result yet; see `Engine.run`."""
        todo = deque(pending(jobs, listener))
        if not todo:
            return
        with needs("distributed", "the engine 'ray'"):
            import ray
            from ray.exceptions import RayError
        with _connected(ray, self.address), deferred_interrupts() as stop:
            tasks = RayTasks(ray, listener)
            try:
                with tasks:
                    while todo or tasks.running:
                        if stop:
                            raise KeyboardInterrupt
                        while todo and tasks.has_room:
                            tasks.submit(todo.popleft())
                        tasks.attend()
            except RayError as error:
                raise cluster_error("the Ray cluster failed", error) from error
            except KeyboardInterrupt:
                raise KeyboardInterrupt("; ".join(tasks.said)) from None


def _require_answer(address: str) -> None:
    """Raise `RunError` if nothing listens at an address: Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _PATIENCE).close()
    except OSError as error:
        raise RunError(
            f"no Ray cluster answers at {address!r}: {error.strerror or error}"
        ) from error


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one, unless the program is connected already.

    Afterwards the connection ends, unless `Ray.opened` keeps it.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    settings: dict[str, Any] = {"logging_level": "error", "address": address or "local"}
    if address is not None:
        _require_answer(address)
    else:
        settings |= {"num_cpus": processors(), "include_dashboard": False}
    with _own_handlers():
        try:
            ray.init(**settings)
        except (ConnectionError, RuntimeError, ValueError) as error:
            what = "a Ray cluster cannot be started"
            if address is not None:
                what = f"no Ray cluster answers at {address!r}"
            raise cluster_error(what, error) from error
    if _KEPT:
        _KEPT[-1].callback(ray.shutdown)
        yield
        return
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep the handlers of signals that Ray would replace."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            signal.signal(number, handler)
