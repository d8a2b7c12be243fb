"""The form of a text table, from its first and last lines: separator, header, what is around it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import DataError, shorten
from reinforcestrategycreator_pipeline.market.sources.files.layout_catalog import (
    Layout,
    best_without_header,
)
from reinforcestrategycreator_pipeline.market.sources.files.number_forms import (
    AmbiguousNumbers,
    is_number,
    number_style_of,
)
from reinforcestrategycreator_pipeline.market.sources.files.numbers import MISSING

SAMPLE = 60
"""Rows whose values tell the form."""
_HEAD = 2**16  # characters
_MOST_AROUND = 20  # lines before the table, and after it
_DELIMITERS = (",", ";", "\t", "|")
_LEAST_WIDTH = 5  # a time and four prices
_TIMES = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*|\d{1,2}:\d{2}.*|\d{6,19}|\d{8} \d{4,9}")


@dataclass(frozen=True)
class TextForm:
    """Form of a table of text, beyond what the configuration says.

    Attributes
    ----------
    parameters : mapping
        Parameters of `CsvSource`.
    notes, warnings : tuple of str
        What was taken for what, without the file's name; warnings on lines that are not read.
    layout : Layout, optional
        The layout of a file without a header.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    layout: Layout | None = None

    def also(self, other: TextForm) -> TextForm:
        """Return this form and what another adds to it."""
        return TextForm(
            {**self.parameters, **other.parameters},
            (*self.notes, *other.notes),
            (*self.warnings, *other.warnings),
            self.layout or other.layout,
        )


def form_of(
    path: Path,
    text: str,
    delimiter: str | None,
    tried: Sequence[Layout],
    stem: str,
    numbers_known: bool = False,
) -> TextForm:
    """Find the form of a table.

    Parameters
    ----------
    path : Path
        Path of the file, for error messages.
    text : str
        The whole file.
    delimiter : str, optional
        The separator, if it is known.
    tried : sequence of Layout
        Layouts of files without a header.
    stem : str
        Name of the file, without its endings.
    numbers_known : bool
        Whether the form of the numbers is known.

    Returns
    -------
    TextForm
        Empty if the file has no form that is known; reading it then tells what is wrong.

    Raises
    ------
    DataError
        If the file allows several; the message names the parameter to set.
    """
    head = text[:_HEAD]
    if len(text) > _HEAD:
        head = head[: head.rfind("\n") + 1]
    lines = head.splitlines()[: SAMPLE + _MOST_AROUND]
    found = _delimiter_of(lines, (delimiter,) if delimiter else _DELIMITERS)
    if found is None:
        return TextForm()
    separator, width, first = found
    parameters: dict[str, Any] = {}
    notes: list[str] = []
    warnings: list[str] = []
    if separator != "," and separator != delimiter:
        parameters["delimiter"] = separator
        notes.append(f"fields are separated by {separator!r}")
    if first:
        parameters["skip_lines"] = first
        shown = shorten(" ".join(lines[:first]), 60)
        warnings.append(f"the first {first} lines are not of the table: {shown!r}.")
    if footer := _footer(text, separator, width):
        parameters["skip_footer"] = len(footer)
        warnings.append(f"the last {len(footer)} lines are not of the table: {footer[0]!r}.")
    rows = [row for row in _split(lines[first:], separator) if len(row) == width]
    named = not all(map(_is_value, filter(None, map(str.strip, rows[0]))))
    form = TextForm(parameters, tuple(notes), tuple(warnings))
    if not named:
        values = [[row[i].strip() for row in rows[:SAMPLE]] for i in range(width)]
        form = form.also(unnamed_form(values, tried, stem))
    if numbers_known:
        return form
    body = rows[1:] if named else rows
    names = [name.strip() for name in rows[0]] if named else list(map(str, range(width)))
    columns = {f"{i} {n}": [row[i].strip() for row in body[:SAMPLE]] for i, n in enumerate(names)}
    numbers = {n: v for n, v in columns.items() if not any(_TIMES.fullmatch(x) for x in v)}
    try:
        style = number_style_of(numbers)
    except AmbiguousNumbers as error:
        raise DataError(
            f"{path}: {error.column.partition(' ')[2]} {error.text!r} may be "
            f"{error.text.replace(',', '')} or {error.text.replace(',', '.')}: set "
            "formatted_numbers: true or decimal: ','."
        ) from error
    if style.decimal == ",":
        form = form.also(TextForm({"decimal": ","}, ("the decimal sign is a comma",)))
    if style.formatted:
        said = ("numbers have currency signs, thousands separators or units",)
        form = form.also(TextForm({"formatted_numbers": True}, said))
    return form


def unnamed_form(values: Sequence[Sequence[str]], tried: Sequence[Layout], stem: str) -> TextForm:
    """Return the names of columns without a header, by a layout, else by what their numbers show.

    Parameters
    ----------
    values : sequence of sequence of str
        First values of each column.
    tried : sequence of Layout
        Layouts that the file may have.
    stem : str
        Name of the file, without its endings.
    """
    chosen = best_without_header(tried, values, stem)
    if chosen is not None:
        layout, shape = chosen
        return TextForm({"header": shape.header, **shape.parameters}, layout=layout)
    header = _header_by_numbers(values)
    if header is None:
        return TextForm()
    said = f"there is no header; by their numbers the columns are {', '.join(header)} (header)."
    return TextForm({"header": header}, (), (said,))


def _delimiter_of(lines: Sequence[str], tried: Sequence[str]) -> tuple[str, int, int] | None:
    """Return separator, number of fields and first line of the table; None if there is none."""
    found: list[tuple[int, str, int, int]] = []
    for delimiter in tried:
        rows = _split(lines, delimiter)
        widths = [len(row) for row in rows if row]
        if not widths:
            continue
        width = max(set(widths), key=widths.count)
        first = next(i for i, row in enumerate(rows) if len(row) == width)
        if width < _LEAST_WIDTH or not _may_skip(rows[:first], width):
            continue
        table = [row for row in rows[first:] if len(row) == width]
        if len(table) < 2:
            continue
        values = min(sum(map(_is_value, row)) for row in table[1:6])
        found.append((values, delimiter, width, first))
    if not found:
        return None
    _, delimiter, width, first = max(found, key=lambda f: f[0])
    return delimiter, width, first


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the fields of each line; two empty ones where a quotation mark is open at its end."""
    rows = []
    for line in lines:
        try:
            rows.append(
                next(
                    csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, strict=True), []
                )
            )
        except csv.Error:
            rows.append(["", ""])
    return rows


def _may_skip(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Return whether rows before the table are words and not damaged rows of it."""
    if len(rows) > _MOST_AROUND:
        return False
    return all(not row or (len(row) < width and not _starts_as_data(row[0])) for row in rows)


def _footer(text: str, delimiter: str, width: int) -> list[str]:
    """Return the last lines, of words."""
    lines = [line for line in text[-(2**12) :].splitlines() if line.strip()][1:]
    footer: list[str] = []
    for line in reversed(lines[-_MOST_AROUND:]):
        (row,) = _split([line], delimiter)
        first = row[0].strip() if row else ""
        if len(row) == width or _starts_as_data(first) or " " not in first:
            break
        footer.insert(0, shorten(first, 60))
    return footer


def _starts_as_data(text: str) -> bool:
    return text.strip()[:1].isdigit() or text.strip()[:1] in ("", "-", "+", ".", "$")


def _is_value(text: str) -> bool:
    text = text.strip()
    return text.lower() in MISSING or is_number(text) or _TIMES.fullmatch(text) is not None


def _header_by_numbers(values: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    """Return names for a time, or date and time, open, high, low, close, perhaps volume.

    That the third and fourth are the high and low, all rows must show; that the first is the open
    and the last the close, closes must be nearer to the next open than opens to the next close.
    """
    clocked = all(re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", x) for x in values[1])
    times = ("date", "time") if clocked else ("timestamp",)
    rest = values[len(times) :]
    if len(rest) not in (4, 5) or not all(_TIMES.fullmatch(x) for x in values[0]):
        return None
    try:
        opens, highs, lows, closes = ([float(x) for x in column] for column in rest[:4])
    except ValueError:
        return None
    bars = list(zip(opens, highs, lows, closes, strict=True))
    if not all(h >= max(o, c) and low <= min(o, c) for o, h, low, c in bars) or len(bars) < 3:
        return None
    if values[0][0] > values[0][-1]:
        opens, closes = opens[::-1], closes[::-1]
    near = sum(abs(o - c) for o, c in zip(opens[1:], closes, strict=False))
    far = sum(abs(c - o) for c, o in zip(closes[1:], opens, strict=False))
    if not near < far:
        return None
    return (*times, "open", "high", "low", "close", "volume")[: len(values)]
