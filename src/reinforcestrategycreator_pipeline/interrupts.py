"""Ctrl-C and SIGTERM: handled alike, and deferrable until the state is consistent."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class StopRequest:
    """A flag that is true once the user has asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


@contextmanager
def _handled(stop: Callable[[], None], *signals: int) -> Iterator[None]:
    """Call `stop` on `signals`, but on none that the parent process had ignored.

    That is possible only in the main thread, where Python allows handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        stop()

    heeded = [s for s in signals if signal.getsignal(s) is not signal.SIG_IGN]
    previous: dict[int, Any] = {s: signal.signal(s, handle) for s in heeded}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


@contextmanager
def raised_interrupts() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM raise `KeyboardInterrupt`."""

    def stop() -> None:
        raise KeyboardInterrupt

    with _handled(stop, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Make Ctrl-C end the process with one line: for a program that has nothing to save yet.

    An exception would not do: libraries that are just being imported catch some of them, and those
    that leave an import half done.
    """

    def stop() -> None:
        with contextlib.suppress(OSError):
            os.write(2, b"error: interrupted\n")
        os._exit(INTERRUPTED)

    with _handled(stop, signal.SIGINT):
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
