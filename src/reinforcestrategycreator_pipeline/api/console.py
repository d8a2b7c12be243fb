"""Rich consoles: color only on a terminal and without ``NO_COLOR``; what fails is not shown."""

from __future__ import annotations

import os
from typing import IO, Any, cast

from rich.console import Console


class QuietConsole(Console):
    """A console that falls silent when it cannot write any more, while the work goes on."""

    @property
    def file(self) -> IO[str]:
        """The stream, which raises nothing."""
        found = super().file
        return cast(IO[str], _Quiet(found, self))

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file


class _Quiet:
    """A stream that silences its console when a write fails."""

    def __init__(self, stream: IO[str], console: Console) -> None:
        self._stream, self._console = stream, console

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._console.quiet = True
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._console.quiet = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def output() -> Console:
    """Return the console for results, on standard output."""
    return QuietConsole(highlight=False, **_width())


def progress() -> Console:
    """Return the console for progress, on standard error."""
    return QuietConsole(stderr=True, highlight=False, **_width())


def progress_console(show: bool | None) -> Console:
    """Return the console of a function's progress.

    Parameters
    ----------
    show : bool, optional
        Whether anything is shown; by default only where somebody can see it move: in a terminal
        or a notebook.
    """
    console = progress()
    if show is None:
        show = console.is_terminal or console.is_jupyter
    console.quiet = not show
    return console


def _width() -> dict[str, Any]:
    """Return a width for files and pipes, which have none: wide enough for a whole table."""
    return {} if os.isatty(1) or "COLUMNS" in os.environ else {"width": 140}
