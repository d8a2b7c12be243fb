"""The form of the numbers of a file, from what a sample of its columns allows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from reinforcestrategycreator_pipeline.market.sources.files.numbers import MISSING, NumberStyle

_PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_POINT = re.compile(r"[-+]?\d*\.\d+")
_COMMA_DECIMAL = re.compile(r"[-+]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+|\d{1,3}(?:\.\d{3})+,\d+)")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")


class AmbiguousNumbers(Exception):
    """The commas of a column may divide thousands or decimals.

    Parameters
    ----------
    column, text : str
        Name of the column, and one of its values.
    """

    def __init__(self, column: str, text: str) -> None:
        super().__init__(text)
        self.column = column
        self.text = text


def is_number(text: str) -> bool:
    """Return whether a text is a number in any form that can be read."""
    return any(_parses(NumberStyle(decimal, formatted=True), text) for decimal in ".,")


def number_style_of(columns: Mapping[str, Sequence[str]]) -> NumberStyle:
    """Return the form of the numbers in a sample of columns, some of which may be text.

    A column counts if most of its values are numbers, but not plain ones: a single odd value is
    a mistake, not a form.

    Raises
    ------
    AmbiguousNumbers
        If nothing tells thousands from decimals.
    """
    odd: dict[str, list[str]] = {}
    plain: list[str] = []
    for name, values in columns.items():
        cells = [value for value in values if value.lower() not in MISSING]
        others = [cell for cell in cells if not _PLAIN.fullmatch(cell)]
        plain += [cell for cell in cells if _PLAIN.fullmatch(cell)]
        if others and 2 * len(others) >= len(cells) and all(map(is_number, others)):
            odd[name] = others
    cells = [cell for others in odd.values() for cell in others]
    if not cells:
        return NumberStyle()
    bare = [re.sub(r"[^\d.,]", "", cell) for cell in cells]
    thousands = any(_THOUSANDS.fullmatch(cell) for cell in bare)
    commas = any(_COMMA_DECIMAL.fullmatch(cell) for cell in bare)
    points = any(_POINT.fullmatch(cell) for cell in (*plain, *bare))
    if commas and not thousands:
        return NumberStyle(",", any(_mostly_formatted(values) for values in columns.values()))
    either = next(((n, c) for n, found in odd.items() for c in found if _EITHER.fullmatch(c)), None)
    if either and not (thousands or points):
        raise AmbiguousNumbers(*either)
    return NumberStyle(".", formatted=True)


def _mostly_formatted(values: Sequence[str]) -> bool:
    """Return whether most values are numbers that a decimal comma alone does not explain."""
    cells = [value for value in values if value.lower() not in MISSING and is_number(value)]
    return 2 * sum(not _parses(NumberStyle(","), cell) for cell in cells) > len(cells)


def _parses(style: NumberStyle, text: str) -> bool:
    try:
        style.parse(text)
    except ValueError:
        return False
    return True
