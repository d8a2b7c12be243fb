"""The columns of a file before they mean anything: text or typed, and strictly numbers or not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.sources.files.stamps import (
    ParsedStamps,
    StampRules,
    Where,
    parse_texts,
)
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, OHLCV

_DIGITS = set("0123456789+-.eE")
_MISSING = {"", "nan", "null", "none", "na", "n/a", "#n/a"}


class Column(Protocol):
    """One column of a file, of whichever type it is stored in."""

    def numbers(self, name: str, where: Where) -> F64 | None:
        """Return the numbers, NaN where missing; None for a column that holds only text."""
        ...

    def texts(self) -> list[str]:
        """Return what is written, as text."""
        ...

    def stamps(self, rules: StampRules, name: str, where: Where) -> ParsedStamps:
        """Return the stamps."""
        ...


@dataclass(frozen=True)
class Table:
    """A file's columns, by the names they have in it; lines if the file has such."""

    path: Path
    columns: Mapping[str, Column]
    n_rows: int
    lines: Ints | None

    def where(self, row: int) -> str:
        """Return how a message calls a row."""
        name = f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.path}: {name}"


@dataclass(frozen=True)
class TextColumn:
    """A column of text, as CSV has them."""

    values: Sequence[str]

    def texts(self) -> list[str]:
        """Return what is written."""
        return [value.strip() for value in self.values]

    def numbers(self, name: str, where: Where) -> F64 | None:
        """Return the numbers; a column without any is text."""
        if set("".join(self.values)) <= _DIGITS and all(self.values):
            try:
                return np.array([float(value) for value in self.values])
            except ValueError:
                pass  # such as "1-2": the row by row pass below says where
        bad: list[tuple[int, str]] = []
        result = np.full(len(self.values), np.nan)
        for row, text in enumerate(self.texts()):
            if text.lower() in _MISSING:
                continue
            try:
                # float() also takes "1_000" and digits of other scripts, which no file means.
                if not (set(text.lower()) <= _DIGITS | set("infty")):
                    raise ValueError
                result[row] = float(text)
            except ValueError:
                bad.append((row, text))
        filled = len(bad) + int((~np.isnan(result)).sum())
        if bad and (len(bad) < filled or name in OHLCV or name == ADJUSTED_CLOSE):
            row, text = bad[0]
            hint = ""
            if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text):
                hint = " Thousands separators are not allowed."
            elif re.fullmatch(r"[+-]?\d*,\d+", text):
                hint = " The decimal sign must be a point."
            more = f" ({len(bad) - 1} more such rows)" if len(bad) > 1 else ""
            raise DataError(f"{where(row)}: {name} {text!r} is not a number{more}.{hint}")
        return None if bad or filled == 0 else result

    def stamps(self, rules: StampRules, name: str, where: Where) -> ParsedStamps:
        """Parse the texts."""
        return parse_texts(self.texts(), rules, name, where)
