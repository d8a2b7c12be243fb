"""Ctrl-C and SIGTERM: handled alike, and deferrable until the state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopRequest:
    """A flag that is true once the user has asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


@contextmanager
def _handled(stop: Callable[[], None], *signals: int) -> Iterator[None]:
    """Call `stop` on `signals`; only in the main thread, where Python allows handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        stop()

    previous: dict[int, Any] = {s: signal.signal(s, handle) for s in signals}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Make SIGTERM act like Ctrl-C."""

    def stop() -> None:
        raise KeyboardInterrupt

    with _handled(stop, signal.SIGTERM):
        yield


@contextmanager
def deferred_interrupts() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one interrupts immediately.

    Outside the main thread, where Python allows no signal handlers, nothing changes.
    """
    request = StopRequest()

    def stop() -> None:
        if request.requested:
            raise KeyboardInterrupt
        request.requested = True

    with _handled(stop, signal.SIGINT, signal.SIGTERM):
        yield request
