"""``log.jsonl``: one JSON object per line, flushed line by line."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.runs.artifacts import LOG
from reinforcestrategycreator_pipeline.runs.manifest import jsonable

_PACKAGE = __name__.partition(".")[0]


class RunLog:
    """A log of events, each with fields of its own.

    Parameters
    ----------
    file : text file
        Receives one JSON object per event.
    **fields
        Written with every event. A value without a JSON form becomes its repr: logging must not
        fail.
    """

    def __init__(self, file: TextIO, **fields: Any) -> None:
        self._file, self._fields = file, fields

    def bind(self, **fields: Any) -> RunLog:
        """Return a log that also writes these fields with every event."""
        return RunLog(self._file, **{**self._fields, **fields})

    def info(self, event: str, **fields: Any) -> None:
        """Write an event."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write an event that the user should know of."""
        self._write("warning", event, fields)

    def error(self, event: str, *, raised: BaseException | None = None, **fields: Any) -> None:
        """Write a failure, with the traceback of what was raised."""
        if raised is not None:
            fields["exception"] = "".join(traceback.format_exception(raised)).rstrip()
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = {**self._fields, **fields, "event": event, "level": level, "timestamp": now}
        found = {key: loggable(value) for key, value in line.items()}
        self._file.write(json.dumps(found, ensure_ascii=False) + "\n")


@contextmanager
def open_log(run_dir: Path, say: Callable[[str], None] | None = None) -> Iterator[RunLog]:
    """Yield a log that appends to the run's ``log.jsonl``.

    Warnings that the package issues through Python's `logging` go there and to `say`.

    Raises
    ------
    RunError
        If the file cannot be opened.
    """
    path = run_dir / LOG
    try:
        _end_torn_line(path)
        file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror}.") from error
    with file:
        log = RunLog(file)
        bridge = _Bridge(log, say)
        logging.getLogger(_PACKAGE).addHandler(bridge)
        try:
            yield log
        finally:
            logging.getLogger(_PACKAGE).removeHandler(bridge)


class _Bridge(logging.Handler):
    """A handler that passes records of Python's `logging` to a log."""

    def __init__(self, log: RunLog, say: Callable[[str], None] | None) -> None:
        super().__init__(logging.WARNING)
        self._log, self._say = log, say

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record, as a warning or as an error."""
        text = record.getMessage()
        log = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        log(text, logger=record.name)
        if self._say is not None:
            self._say(text)


def _end_torn_line(path: Path) -> None:
    """End the line that a killed process left unfinished."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")


def loggable(value: Any) -> Any:
    """Return `value` as it is logged: in its JSON form, or its repr if it has none."""
    try:
        return jsonable(value)
    except TypeError:
        return repr(value)
