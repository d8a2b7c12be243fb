"""A worker: a process that runs the jobs that it is sent.

It is started as an interpreter of its own, never from the user's `__main__`: a script without
``if __name__ == "__main__"``, a notebook and ``python -`` work alike. Messages have a socket of
their own, so jobs may print. It ends with the process that started it, however that ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from reinforcestrategycreator_pipeline.experiments.engines.failures import dumped, loaded
from reinforcestrategycreator_pipeline.experiments.engines.setting import Setting, carry_out
from reinforcestrategycreator_pipeline.experiments.jobs import Event
from reinforcestrategycreator_pipeline.interrupts import INTERRUPTED, raised_interrupts

_PULSE = 1.0  # seconds between two checks that the parent lives


class Worker:
    """The main thread runs jobs; one thread reads messages, and one writes them.

    So a job that computes hears that it is to stop, and no message is torn when it does.

    Parameters
    ----------
    link : Connection
        Connection to the process that started this one.
    """

    def __init__(self, link: Connection) -> None:
        self._link, self._parent = link, os.getppid()
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._lock = threading.Lock()
        self._busy = self._stopping = False
        self._main = threading.get_ident()
        threading.Thread(target=self._read, daemon=True).start()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def serve(self) -> None:
        """Run jobs until there are no more."""
        kind, setting = self._inbox.get()
        assert kind == "setting"
        while (message := self._inbox.get()) is not None and self._begins():
            _, data, name = message
            try:
                self._run(setting, data, name)
            finally:
                with self._lock:
                    self._busy = False
        self._outbox.put(None)
        self._writer.join()

    def _begins(self) -> bool:
        """Note that a job begins, unless none may begin any more."""
        with self._lock:
            self._busy = not self._stopping
            return self._busy

    def _run(self, setting: Setting, data: bytes, name: str) -> None:
        def send(event: Event) -> None:
            self._outbox.put(bytes(dumped(("event", event))))

        outcome = carry_out(setting, data, name, send)
        with contextlib.suppress(OSError, ValueError):  # nobody may read it any more
            sys.stdout.flush()  # what the job printed
        self._outbox.put(bytes(dumped(("outcome", outcome))))

    def _read(self) -> None:
        """Read messages; end the process if the parent ended, which a child of it may hide."""
        try:
            while True:
                while not self._link.poll(_PULSE):
                    if os.getppid() != self._parent:
                        os._exit(1)
                message = loaded(self._link.recv_bytes())
                if message == "stop":
                    self._stop()
                else:
                    self._inbox.put(message)
        except (EOFError, OSError):
            os._exit(1)

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            self._inbox.put(None)
            if not self._busy:
                os._exit(INTERRUPTED)
            # A signal to the thread itself ends whatever it waits for.
            signal.pthread_kill(self._main, signal.SIGINT)

    def _write(self) -> None:
        try:
            while (data := self._outbox.get()) is not None:
                self._link.send_bytes(data)
        except OSError:
            os._exit(1)


def main(descriptor: int) -> None:
    """Serve the process that started this one through an open socket."""
    os.set_inheritable(descriptor, False)
    # A process that a shell started in the background ignores Ctrl-C, and its children inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with raised_interrupts():
            Worker(Connection(descriptor)).serve()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
