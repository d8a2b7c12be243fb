"""Ctrl-C and SIGTERM: the same for a run, and able to wait for a moment when the state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopRequest:
    """Whether the user has asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


@contextmanager
def _handled(stop: Callable[[], None], *signals: int) -> Iterator[None]:
    """Call `stop` at `signals`, in the main thread; elsewhere Python allows no handlers."""
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
    """Let SIGTERM do what Ctrl-C does."""

    def stop() -> None:
        raise KeyboardInterrupt

    with _handled(stop, signal.SIGTERM):
        yield


@contextmanager
def deferred_interrupts() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one interrupts at once.

    Outside the main thread, where Python allows no handlers, nothing is changed.
    """
    request = StopRequest()

    def stop() -> None:
        if request.requested:
            raise KeyboardInterrupt
        request.requested = True

    with _handled(stop, signal.SIGINT, signal.SIGTERM):
        yield request
