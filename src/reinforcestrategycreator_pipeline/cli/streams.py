"""Standard streams that may be closed, full or read by nobody: the work goes on."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Tolerant(io.FileIO):
    """A descriptor whose failed writes are remembered, and not raised."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write some of `data`; after an error, discard it."""
        while self.error is None:
            try:
                if (written := super().write(data)) is not None:
                    return written
                select.select([], [self], [])  # a terminal or pipe that another process set so
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


class Streams:
    """The standard streams of a command.

    Attributes
    ----------
    only_shown : bool
        Whether the result is also in files, and the command succeeds without showing it.
    """

    def __init__(self) -> None:
        self.only_shown = False
        self._raw: dict[str, _Tolerant] = {}

    def replace(self, name: str, descriptor: int) -> None:
        """Make ``sys.stdout`` or ``sys.stderr`` tolerant, unless somebody captures it."""
        old = getattr(sys, name)
        if old is not None and old is not getattr(sys, f"__{name}__"):
            return
        raw = self._raw[name] = _Tolerant(descriptor)
        text = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=old.encoding if old else "utf-8",
            errors="backslashreplace",  # of a name that the encoding cannot write
            line_buffering=old.line_buffering if old else False,
            write_through=old.write_through if old else False,
        )
        setattr(sys, name, text)

    def lost(self) -> OSError | None:
        """Flush, and return the error because of which standard output is incomplete."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        return self._raw["stdout"].error if "stdout" in self._raw else None


_ACTIVE: list[Streams] = []


def result_is_in_files() -> None:
    """Let the command succeed even if its output cannot be shown."""
    for streams in _ACTIVE:
        streams.only_shown = True


@contextmanager
def tolerant() -> Iterator[Streams]:
    """Make the standard streams tolerant inside the context.

    A closed one is opened on the null device: else the next file that is opened would get its
    number, and what is printed.
    """
    _open_closed()
    before = sys.stdout, sys.stderr
    streams = Streams()
    streams.replace("stdout", 1)
    streams.replace("stderr", 2)
    _ACTIVE.append(streams)
    try:
        yield streams
    finally:
        streams.lost()
        _ACTIVE.remove(streams)
        sys.stdout, sys.stderr = before


def _open_closed() -> None:
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, descriptor)  # child processes inherit it
            if null != descriptor:
                os.close(null)
