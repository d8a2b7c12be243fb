"""CSV files, read strictly: every cell is text until a rule converts it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.checks import Ge, Le, require
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table, TextColumn
from reinforcestrategycreator_pipeline.market.sources.files.file_source import FileSource
from reinforcestrategycreator_pipeline.market.sources.files.layout_catalog import (
    NONE,
    layouts_named,
)
from reinforcestrategycreator_pipeline.market.sources.files.names import (
    ROW_NUMBER,
    has_role,
    plain_name,
)
from reinforcestrategycreator_pipeline.market.sources.files.numbers import NumberStyle
from reinforcestrategycreator_pipeline.market.sources.files.plain_text import plain_columns
from reinforcestrategycreator_pipeline.market.sources.files.reading import stem_of
from reinforcestrategycreator_pipeline.market.sources.files.recognition import merged
from reinforcestrategycreator_pipeline.market.sources.files.text_form import TextForm, form_of

_EXCEL_HINT = re.compile(r"sep=(.)\r?\n")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?|\d{1,6}")
_Read: TypeAlias = tuple[list[str], Sequence[Sequence[str]], Ints]
_DATES = ("date", "dtyyyymmdd", "tradedate", "tradingdate", "day")
_CLOCKS = ("time", "timehhmmss", "tradetime", "hour")
_MAGIC = {
    b"PAR1": "a Parquet file; use the parquet source",
    b"\x1f\x8b": "compressed by gzip; call it .csv.gz",
    b"PK\x03\x04": "a zip or Excel file; call a zip .zip, export Excel as CSV",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}


@SOURCES.register("csv")
@dataclass(frozen=True, kw_only=True)
class CsvSource(FileSource):
    """Bars from a CSV file in UTF-8 with a header, or from a folder of such files.

    Parameters
    ----------
    delimiter : str
        Character between fields, such as ";". `FileSource` documents the other parameters.
    header : tuple of str
        Names of the columns of a file without a header.
    skip_lines, skip_footer : int
        Number of lines before the header, and of rows after the data, that are not read.
    decimal : str
        Sign before the decimals, "." or ",".
    formatted_numbers : bool
        Whether numbers may have a currency sign, thousands separators, and K, M, B, T or % at their
        end: "$2,070.60", "20.3K". A percentage is read as a fraction.
    """

    kind = "csv"
    suffixes = (".csv", ".txt")

    delimiter: str = ","
    header: tuple[str, ...] = ()
    skip_lines: Annotated[int, Ge(0), Le(1000)] = 0
    skip_footer: Annotated[int, Ge(0), Le(1000)] = 0
    decimal: Literal[".", ","] = "."
    formatted_numbers: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        ok = isinstance(self.delimiter, str) and len(self.delimiter) == 1
        ok = ok and self.delimiter not in '"\r\n .0123456789'
        require(ok, type(self).__name__, "delimiter", "one character such as ';'", self.delimiter)

    def read_table(self, path: Path, content: bytes) -> Table:
        """Split the file into columns of text; each row must have as many fields as the header."""
        text = decode(path, content)
        if self.layout == NONE:
            return self._table(path, text)
        stated = None if self.delimiter == "," else self.delimiter
        excel = _EXCEL_HINT.match(text)
        rest = text[excel.end() :] if excel else text
        stated = excel[1] if excel else stated
        tried, known = layouts_named(self.layout), self.decimal != "." or self.formatted_numbers
        form = form_of(path, rest, stated, tried, stem_of(path), known)
        table = merged(self, form.parameters)._table(path, text)
        return replace(table, form=form.also(table.form))

    def _table(self, path: Path, text: str) -> Table:
        header, values, lines = self._plain(path, text) or self._quoted(path, text)
        form = TextForm()
        if twice := self._twice(header):
            shown = ", ".join(map(repr, twice))
            said = f"there are several columns {shown}; none of them is read."
            form = TextForm({"ignore": tuple(twice)}, (), (said,))
        style = NumberStyle(self.decimal, self.formatted_numbers)
        columns = {n: TextColumn(v, style) for n, v in zip(header, values, strict=True) if n}
        columns = self._with_date_and_time(columns)
        return Table(path, columns, len(lines), lines, form)

    def _plain(self, path: Path, text: str) -> _Read | None:
        """Return the header, the columns and the lines of a plain file; None for any other."""
        if self.skip_footer or _EXCEL_HINT.match(text):
            return None
        columns = plain_columns(text, self.delimiter, self.skip_lines)
        if columns is None or (self.header and len(self.header) != len(columns)):
            return None
        head = [column[0] for column in columns]
        if head[0] == "Price" or not any(name.strip() for name in head):
            return None
        header = self._checked(path, list(self.header) or head, given=bool(self.header))
        start = 0 if self.header else 1
        lines = np.arange(start, len(columns[0]), dtype=np.int64) + 1 + self.skip_lines
        return header, [column[start:] for column in columns], lines

    def _quoted(self, path: Path, text: str) -> _Read:
        """Return the header, the columns and the lines of any file, or say what is wrong."""
        lines, rows = self._rows(path, text)
        if not rows:
            raise DataError(f"{path}: the file is empty.")
        if self.header:
            header = self._checked(path, list(self.header), given=True)
        else:
            head, _ = rows.pop(0), lines.pop(0)
            rows, lines, head = _without_levels(path, rows, lines, head)
            header = self._checked(path, head)
        if self.skip_footer:
            rows, lines = rows[: -self.skip_footer], lines[: -self.skip_footer]
        for row, line in zip(rows, lines, strict=True):
            if len(row) != len(header):
                raise DataError(
                    f"{path}: line {line} has {len(row)} fields, the header has {len(header)}."
                    f"{_why_ragged(row, header, last=line == lines[-1])}"
                )
        values: list[Sequence[str]] = list(zip(*rows, strict=True)) if rows else []
        return header, values or [()] * len(header), np.asarray(lines, dtype=np.int64)

    def _rows(self, path: Path, text: str) -> tuple[list[int], list[list[str]]]:
        """Return line and fields of every row that is not empty."""
        stream = io.StringIO(text, newline="")
        delimiter, skip = self.delimiter, self.skip_lines
        if not skip and (match := _EXCEL_HINT.match(text)):
            delimiter, skip = match[1], 1  # Excel's own line, which states the delimiter
        for _ in range(skip):
            stream.readline()
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        rows: list[list[str]] = []
        lines: list[int] = []
        try:
            for row in reader:
                if row and (rows or any(name.strip() for name in row)):
                    rows.append(row)
                    lines.append(reader.line_num + skip)
        except csv.Error as error:
            hint = ""
            if "unexpected end" in str(error):
                after = lines[-1] if lines else 1
                hint = f"; a quotation mark that opens after line {after} is never closed"
            line = reader.line_num + skip
            raise DataError(f"{path}: line {line}: {error}{hint}.") from error
        return lines, rows

    def _checked(self, path: Path, row: list[str], given: bool = False) -> list[str]:
        names = [name.strip() for name in row]
        if not names[0] and ROW_NUMBER not in names:
            names[0] = ROW_NUMBER  # the index that pandas' to_csv writes
        if not given and all(n[:1].isdigit() for n in names):
            raise DataError(
                f"{path}: has no header; the first line is data: {names[0]!r}, ... Set header to "
                "the names of its columns: [date, open, high, low, close, volume]."
            )
        twice = self._twice(names)
        if twice and (self.layout == NONE or given or any(has_role(n) for n in twice)):
            what = "header parameter" if given else "header"
            raise DataError(f"{path}: the {what} has the column {twice[0]!r} twice.")
        if len(names) == 1:
            other = [d for d in (",", ";", "\t", "|") if d != self.delimiter and d in names[0]]
            if other:
                raise DataError(
                    f"{path}: the header is one field {names[0]!r}; the delimiter seems to be "
                    f"{other[0]!r}, not {self.delimiter!r}. Set delimiter."
                )
        return names

    def _twice(self, names: list[str]) -> list[str]:
        return sorted({n for n in names if n and names.count(n) > 1 and n not in self.ignore})

    def _with_date_and_time(self, columns: dict[str, TextColumn]) -> dict[str, TextColumn]:
        """Join a column of dates and one of times of day, as ``<DATE>`` and ``<TIME>``."""
        free = {plain_name(n): n for n in columns if n not in self.ignore}
        date = next((free[n] for n in _DATES if n in free), None)
        time = next((free[n] for n in _CLOCKS if n in free), None)
        if self.timestamp_column is not None or date is None or time is None:
            return columns
        clocks = columns[time].texts()
        if not (clocks and all(_CLOCK.fullmatch(clock) for clock in clocks)):
            return columns
        if all(clock.isdecimal() for clock in clocks):  # 930, of which a table lost the zero
            width = 6 if max(map(len, clocks)) > 4 else 4
            clocks = [clock.zfill(width) for clock in clocks]
        both = [f"{d} {t}" for d, t in zip(columns[date].texts(), clocks, strict=True)]
        rest = {name: column for name, column in columns.items() if name not in (date, time)}
        return {f"{date} {time}": TextColumn(both), **rest}


def _without_levels(
    path: Path, rows: list[list[str]], lines: list[int], head: list[str]
) -> tuple[list[list[str]], list[int], list[str]]:
    """Return a table without the two further rows of names that yfinance writes.

    Symbols side by side become one below the other, with a column for the symbol; rows on which a
    symbol has no value, as before its listing, are left out.
    """
    if not (head[0] == "Price" and len(rows) > 1 and rows[0][0] == "Ticker"):
        return rows, lines, head
    if rows[1][0] not in ("Date", "Datetime"):
        return rows, lines, head
    owners, data = rows[0], rows[2:]
    if len(tickers := dict.fromkeys(owners[1:])) < 2:
        return data, lines[2:], [rows[1][0], *head[1:]]
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(head):
            raise DataError(
                f"{path}: line {line} has {len(row)} fields, the header has {len(head)}."
            )
    fields = list(dict.fromkeys(head[1:]))
    long: list[list[str]] = []
    places: list[int] = []
    for ticker in tickers:
        at = {head[i]: i for i in range(1, len(head)) if owners[i] == ticker}
        if lacks := [field for field in fields if field not in at]:
            raise DataError(f"{path}: {ticker} has no column {lacks[0]!r}, as other symbols have.")
        for row, line in zip(data, lines[2:], strict=True):
            values = [row[at[field]] for field in fields]
            if any(values):
                long.append([row[0], *values, ticker])
                places.append(line)
    return long, places, [rows[1][0], *fields, "Ticker"]


def _why_ragged(row: list[str], header: list[str], last: bool) -> str:
    """Return a sentence, with a space before it, on the likely cause of a row's length."""
    if len(header) == 1:
        return " Set skip_lines, if the first lines are no header."
    if len(row) > len(header) and any(re.fullmatch(r"\d{3}(\.\d*)?", f) for f in row):
        return " (A thousands separator, as in 1,234.5, adds a field.)"
    return " Set skip_footer, if the last rows are no data." if last else ""


def decode(path: Path, content: bytes, form: str = "CSV") -> str:
    """Return the text of a file; raise `DataError` unless it is UTF-8 without NUL."""
    for magic, what in _MAGIC.items():
        if content.startswith(magic):
            raise DataError(f"{path}: is not {form} but {what}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line}: the byte 0x{content[error.start]:02x} is not UTF-8; save the "
            "file as UTF-8."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}: line {line} contains a NUL: the file is binary or damaged.")
    return text
