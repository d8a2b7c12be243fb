"""The progress bar of `learn`, on standard error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

EPISODES = 20
"""Number of latest episodes in the mean return."""

_SECONDS = 0.1  # between two updates


class ProgressBar:
    """Shows environment steps, steps per second, mean return of recent episodes, and exploration.

    Parameters
    ----------
    total_steps, done : int
        Environment steps of the whole training, and those already done when it is resumed.
    console : rich.console.Console, optional
        Console to write to; by default standard error.
    """

    def __init__(self, total_steps: int, done: int = 0, console: Any = None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("learning"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]} steps/s"),
            TextColumn("return {task.fields[mean]}"),
            TextColumn("exploration {task.fields[exploration]}"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True, highlight=False),
        )
        self._task = self._progress.add_task(
            "learning", total=total_steps, completed=done, speed="", mean="-", exploration=""
        )
        self._then, self._then_steps = time.perf_counter(), done

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(
        self, steps: int, returns: Sequence[float], exploration: float, at_once: bool = False
    ) -> None:
        """Show the latest numbers, at most ten times per second unless `at_once`."""
        now = time.perf_counter()
        seconds = now - self._then
        if seconds < _SECONDS and not at_once:
            return
        newest = returns[-EPISODES:]
        fields: dict[str, Any] = {"exploration": f"{exploration:.2f}"}
        if steps > self._then_steps:
            fields["speed"] = f"{(steps - self._then_steps) / max(seconds, 1e-9):,.0f}"
        if newest:
            fields["mean"] = f"{sum(newest) / len(newest):.4g}"
        self._progress.update(self._task, completed=steps, **fields)
        self._then, self._then_steps = now, steps
