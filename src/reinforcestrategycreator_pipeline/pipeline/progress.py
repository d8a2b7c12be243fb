"""Progress bars on the terminal."""

from __future__ import annotations

from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


class Bars(Progress):
    """One bar for each piece of work that reports progress, followed by its own texts."""

    def __init__(self, console: Any) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not (console.is_terminal or console.is_jupyter),  # it would pile up in a log
        )
        self._shown: dict[str, TaskID] = {}
        self._texts: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Bars:
        return self  # started by the first progress: work without progress needs no bar

    def __exit__(self, *_: object) -> None:
        if self.live.is_started:
            self.stop()

    def show(self, name: str, done: float, total: float, **texts: str) -> None:
        """Advance a bar; a text stays until another one of its name arrives."""
        if not self.live.is_started:
            self.start()
        if name not in self._shown:
            self._shown[name] = self.add_task(name, total=None, said="")
        known = self._texts.setdefault(name, {})
        known |= texts
        said = "  ".join(text if key == "speed" else f"{key} {text}" for key, text in known.items())
        self.update(self._shown[name], completed=done, total=total, said=said)

    def drop(self, name: str) -> None:
        """Remove a bar whose work has ended."""
        if name in self._shown:
            self.remove_task(self._shown.pop(name))
            self._texts.pop(name, None)
