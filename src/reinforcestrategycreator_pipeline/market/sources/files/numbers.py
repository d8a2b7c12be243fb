"""Numbers as text: the plain form that is read by default, and those that a setting allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

MISSING = {"", "-", "nan", "null", "none", "na", "n/a", "#n/a"}
"""Texts, in lower case, of a number that is missing."""

_DIGITS = set("0123456789+-.eE")
_CURRENCY = "$€£¥₹"
_SCALES = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_FORMATTED = re.compile(
    r"(?P<sign>[-+]?)(?P<digits>\d{1,3}(?:(?P<by>[,' \u00a0\u202f\u2019])\d{3})"
    r"(?:(?P=by)\d{3})*(?:\.\d*)?|\d+\.?\d*|\.\d+) ?(?P<unit>[KMBTkmbt%]?)"
)


@dataclass(frozen=True)
class NumberStyle:
    """The form of the numbers in a file.

    Parameters
    ----------
    decimal : str
        Sign before the decimals, ``"."`` or ``","``.
    formatted : bool
        Whether numbers may have a currency sign, thousands separators, and K, M, B, T or % at
        their end.
    """

    decimal: str = "."
    formatted: bool = False

    @property
    def plain(self) -> bool:
        """Whether only the plain form is allowed."""
        return self.decimal == "." and not self.formatted

    def parse(self, text: str) -> float:
        """Return the number; raise ValueError for any other text."""
        if self.decimal == ",":
            if "." in text and not self.formatted:
                raise ValueError(text)
            text = text.translate(str.maketrans(",.", ".,"))
        if self.formatted:
            value = _formatted(text)
            if value is not None:
                return value
        # float() also accepts "1_000" and digits of other scripts, which are mistakes here.
        if not set(text.lower()) <= _DIGITS | set("infty"):
            raise ValueError(text)
        return float(text)

    def hint(self, text: str) -> str:
        """Return a sentence, with a space before it, on how to read a text that is no number."""
        if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text):
            return " Thousands separators are not allowed. Set formatted_numbers: true."
        if re.fullmatch(r"[+-]?\d*,\d+", text):
            return " The decimal sign must be a point. Set decimal: ','."
        try:
            NumberStyle(self.decimal, formatted=True).parse(text)
        except ValueError:
            return ""
        return " Set formatted_numbers: true."


PLAIN = NumberStyle()


def all_plain(texts: list[str]) -> bool:
    """Return whether the texts have the characters of plain numbers alone, and none is empty."""
    return set("".join(texts)) <= _DIGITS and all(texts)


def _formatted(text: str) -> float | None:
    """Return the number in ``"$2,070.60"``, ``"20.3K"``, ``"(1.5)"`` or ``"0.10%"``; else None."""
    inner = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    match = _FORMATTED.fullmatch("".join(c for c in inner if c not in _CURRENCY).strip())
    if match is None:
        return None
    number = Decimal(match["sign"] + re.sub(r"[^\d.]", "", match["digits"]))
    number *= -1 if inner is not text else 1
    unit = match["unit"].upper()
    return float(number / 100 if unit == "%" else number * _SCALES.get(unit, 1))
