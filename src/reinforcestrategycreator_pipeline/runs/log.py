"""``log.jsonl``: one JSON object per line, flushed line by line, written with structlog."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.runs.artifacts import LOG
from reinforcestrategycreator_pipeline.runs.manifest import jsonable

_PACKAGE = __name__.partition(".")[0]


@contextmanager
def open_log(run_dir: Path, say: Callable[[str], None] | None = None) -> Iterator[Any]:
    """Yield a structlog logger that appends to the run's ``log.jsonl``.

    Warnings that the package issues through Python's `logging` go there and to `say`.

    Raises
    ------
    RunError
        If the file cannot be opened.
    """
    import structlog

    path = run_dir / LOG
    try:
        _end_torn_line(path)
        file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror}.") from error
    with file:
        log = structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_serialize),
            ],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
            cache_logger_on_first_use=False,
        )
        bridge = _Bridge(log, say)
        logging.getLogger(_PACKAGE).addHandler(bridge)
        try:
            yield log
        finally:
            logging.getLogger(_PACKAGE).removeHandler(bridge)


class _Bridge(logging.Handler):
    """A handler that passes records of Python's `logging` to a structlog logger."""

    def __init__(self, log: Any, say: Callable[[str], None] | None) -> None:
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


def _serialize(event: Any, **_: Any) -> str:
    """Render an event; values without a JSON form become their repr: logging must not fail."""
    return json.dumps({key: _loggable(value) for key, value in event.items()}, ensure_ascii=False)


def _loggable(value: Any) -> Any:
    try:
        return jsonable(value)
    except TypeError:
        return repr(value)
