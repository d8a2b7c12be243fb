"""JSON files of bars: one object or list a line, or one list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.errors import DataError, shorten
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table, TextColumn
from reinforcestrategycreator_pipeline.market.sources.files.csv_source import decode
from reinforcestrategycreator_pipeline.market.sources.files.file_source import FileSource
from reinforcestrategycreator_pipeline.market.sources.files.layout_catalog import (
    NONE,
    layouts_named,
)
from reinforcestrategycreator_pipeline.market.sources.files.reading import stem_of
from reinforcestrategycreator_pipeline.market.sources.files.recognition import merged
from reinforcestrategycreator_pipeline.market.sources.files.text_form import (
    SAMPLE,
    TextForm,
    unnamed_form,
)


@SOURCES.register("json")
@dataclass(frozen=True, kw_only=True)
class JsonSource(FileSource):
    """Bars from a file of JSON lines, or of one JSON list, or from a folder of such files.

    Each bar is an object, all with the same keys, or a list, all of one length.

    Parameters
    ----------
    header : tuple of str
        Names of the columns of bars that are lists. `FileSource` documents the other parameters.
    """

    kind = "json"
    suffixes = (".jsonl", ".ndjson", ".json")

    header: tuple[str, ...] = ()

    def read_table(self, path: Path, content: bytes) -> Table:
        """Return the columns of the file, every value as text until a rule converts it."""
        text = decode(path, content, "JSON")
        if not text.strip():
            raise DataError(f"{path}: the file is empty.")
        lines, rows = _rows(path, text)
        if not rows:
            raise DataError(f"{path}: has no rows.")
        first, form = rows[0], TextForm()
        if isinstance(first, dict):
            names, records = list(first), list(_of_objects(path, lines, rows, list(first)))
        elif isinstance(first, list):
            records = list(_of_lists(path, lines, rows, len(first)))
            if not self.header and self.layout != NONE:
                columns = list(zip(*records[:SAMPLE], strict=True))
                form = unnamed_form(columns, layouts_named(self.layout), stem_of(path))
            names = merged(self, form.parameters)._names(path, first)
        else:
            raise DataError(f"{path}: line {lines[0]}: a bar must be an object or a list.")
        values = list(zip(*records, strict=True))
        table = {n: TextColumn(v) for n, v in zip(names, values, strict=True)}
        return Table(path, table, len(rows), np.asarray(lines, dtype=np.int64), form)

    def _names(self, path: Path, row: Sequence[object]) -> list[str]:
        if len(self.header) != len(row):
            shown = shorten(", ".join(map(str, row)), 60)
            raise DataError(
                f"{path}: its bars are lists of {len(row)} values, the first {shown}. Set header "
                f"to {len(row)} names, such as [timestamp, open, high, low, close, volume]. Got "
                f"{len(self.header)}."
            )
        return list(self.header)


def _rows(path: Path, text: str) -> tuple[list[int], list[Any]]:
    """Return the line, or number, of each bar, and the bar."""
    if text.lstrip().startswith("["):
        whole = _parsed_list(text)
        if whole is not None and (not whole or isinstance(whole[0], (dict, list))):
            return list(range(1, len(whole) + 1)), whole
    lines: list[int] = []
    rows: list[Any] = []
    for number, line in _lines(text):
        try:
            rows.append(_parsed(line))
        except (ValueError, RecursionError) as error:
            reason = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise DataError(
                f"{path}: line {number}: is not valid JSON: {shorten(reason)}."
            ) from error
        lines.append(number)
    return lines, rows


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def _parsed_list(text: str) -> list[Any] | None:
    try:
        found = _parsed(text)
    except (ValueError, RecursionError):
        return None  # as lines, the message names one
    return found if isinstance(found, list) else None


def _parsed(text: str) -> Any:
    """Return a value whose numbers are text, as they are written."""
    return json.loads(
        text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_once
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice")
    return found


def _of_objects(
    path: Path, lines: Sequence[int], rows: Sequence[Any], names: list[str]
) -> Iterator[list[str]]:
    keys = set(names)
    for line, row in zip(lines, rows, strict=True):
        if not isinstance(row, dict) or row.keys() != keys:
            odd = sorted(keys ^ row.keys()) if isinstance(row, dict) else []
            what = f": {odd[0]!r}" if odd else ""
            raise DataError(f"{path}: line {line}: has other keys than the first bar{what}.")
        yield [_text(row[name]) for name in names]


def _of_lists(
    path: Path, lines: Sequence[int], rows: Sequence[Any], width: int
) -> Iterator[list[str]]:
    for line, row in zip(lines, rows, strict=True):
        if not isinstance(row, list) or len(row) != width:
            raise DataError(f"{path}: line {line}: is no list of {width} values, as the first is.")
        yield [_text(value) for value in row]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
