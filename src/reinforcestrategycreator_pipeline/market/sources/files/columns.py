"""The raw columns of a file, as text or typed, and their strict conversion to numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bad_rows import Where
from reinforcestrategycreator_pipeline.market.sources.files.numbers import (
    MISSING,
    PLAIN,
    NumberStyle,
    all_plain,
)
from reinforcestrategycreator_pipeline.market.sources.files.stamps import (
    ParsedStamps,
    StampRules,
    parse_texts,
)
from reinforcestrategycreator_pipeline.market.sources.files.text_form import TextForm
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, OHLCV


def require_different(place: str | Path, names: Sequence[str]) -> None:
    """Raise if two columns of a file or frame have the same name.

    Raises
    ------
    DataError
        The message names the place and the column.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{place}: has the column {twice[0]!r} twice.")


class Column(Protocol):
    """One column of a file, of any stored type."""

    def numbers(self, name: str, where: Where) -> F64 | None:
        """Return the numbers, NaN where missing; None for a column of text."""
        ...

    def texts(self, count: int | None = None) -> list[str]:
        """Return the values, or the first of them, as text."""
        ...

    def stamps(self, rules: StampRules, name: str, where: Where) -> ParsedStamps:
        """Return the timestamps."""
        ...


@dataclass(frozen=True)
class Table:
    """The columns of a file.

    Attributes
    ----------
    path : Path
        Path of the file.
    columns : mapping of str to Column
        Columns, by their names in the file.
    n_rows : int
        Number of rows.
    lines : ndarray of int, optional
        Line of each row, if it has lines.
    form : TextForm
        What was found of the form of a text file.
    """

    path: Path
    columns: Mapping[str, Column]
    n_rows: int
    lines: Ints | None
    form: TextForm = field(default_factory=TextForm)

    @property
    def where(self) -> Where:
        """Names of the rows for errors."""
        return Where(self.path, self.lines)


@dataclass(frozen=True)
class TextColumn:
    """A column of text, as in CSV files."""

    values: Sequence[str]
    style: NumberStyle = PLAIN

    def texts(self, count: int | None = None) -> list[str]:
        """Return the values, without surrounding spaces."""
        return [value.strip() for value in self.values[:count]]

    def numbers(self, name: str, where: Where) -> F64 | None:
        """Return the numbers; None for a column without any."""
        if self.style.plain and all_plain(list(self.values)):
            try:
                return np.array([float(value) for value in self.values])
            except ValueError:
                pass  # such as "1-2"; the loop below finds the row
        bad: list[tuple[int, str]] = []
        result = np.full(len(self.values), np.nan)
        for row, text in enumerate(self.texts()):
            if text.lower() in MISSING:
                continue
            try:
                result[row] = self.style.parse(text)
            except ValueError:
                bad.append((row, text))
        filled = len(bad) + int((~np.isnan(result)).sum())
        if bad and (len(bad) < filled or name in OHLCV or name == ADJUSTED_CLOSE):
            more = f" ({len(bad) - 1} more such rows)" if len(bad) > 1 else ""
            rows, texts = zip(*bad, strict=True)
            hint = self.style.hint(bad[0][1])
            raise where.error(rows, name, texts, "is not a number", f"{more}.{hint}")
        return None if bad or filled == 0 else result

    def stamps(self, rules: StampRules, name: str, where: Where) -> ParsedStamps:
        """Parse the texts."""
        return parse_texts(self.texts(), rules, name, where)
