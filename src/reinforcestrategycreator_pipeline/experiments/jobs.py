"""Provisional."""

from __future__ import annotations

from typing import Any, Protocol


class Channel(Protocol):
    def progress(self, done: float, total: float, **texts: str) -> None: ...
    def say(self, sentence: str) -> None: ...
    def log(self, event: str, **values: Any) -> None: ...
