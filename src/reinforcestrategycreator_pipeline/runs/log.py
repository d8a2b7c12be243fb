"""``log.jsonl``: one JSON object a line, flushed line by line, through structlog."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.runs.manifest import jsonable

FILE_NAME = "log.jsonl"


@contextmanager
def open_log(run_dir: Path) -> Iterator[Any]:
    """Give a structlog logger that appends to the run's ``log.jsonl``.

    Raises
    ------
    RunError
        If the file cannot be opened.
    """
    import structlog

    path = run_dir / FILE_NAME
    try:
        _end_torn_line(path)
        file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror}.") from error
    with file:
        yield structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_serialise),
            ],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
            cache_logger_on_first_use=False,
        )


def _end_torn_line(path: Path) -> None:
    """Close the line in whose middle a killed process stopped."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _serialise(event: Any, **_: Any) -> str:
    """Render an event; what JSON cannot hold is logged as its repr, for a log must not fail."""
    return json.dumps({key: _loggable(value) for key, value in event.items()}, ensure_ascii=False)


def _loggable(value: Any) -> Any:
    try:
        return jsonable(value)
    except TypeError:
        return repr(value)
