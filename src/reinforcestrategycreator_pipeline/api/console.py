"""Rich consoles: color only on a terminal and without ``NO_COLOR``; broken pipes are ignored."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console


class QuietConsole(Console):
    """A console that falls silent when its reader goes away, while the work goes on."""

    def on_broken_pipe(self) -> None:
        """Discard all further output."""
        self.quiet = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.file.fileno())
        os.close(null)


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
