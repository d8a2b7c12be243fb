"""The format of dates and times that are not ISO 8601, from what all rows allow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reinforcestrategycreator_pipeline.market.sources.files.epochs import suggestion

_SAMPLE = 50
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
)
_NUMERIC = r"(?P<a>\d{1,4})(?P<s>[-./])(?P<b>\d{1,2})(?P=s)(?P<c>\d{4}|\d{2})"
_COMPACT = r"(?P<compact>(?:17|18|19|20|21)\d{6})"
_NAMED = (
    r"(?P<d1>\d{1,2})(?P<s1>[- /.])(?P<m1>[A-Za-z]{3,9})(?P=s1)(?P<y1>\d{4}|\d{2})"
    r"|(?P<m2>[A-Za-z]{3,9}) (?P<d2>\d{1,2}),? (?P<y2>\d{4})"
)
_TIME = (
    r"(?P<clock>\d{1,2}:\d{2}(?::\d{2}(?P<part>\.\d{1,6})?)?|\d{6}|\d{4})"
    r"(?P<half> ?[AaPp]\.?[Mm]\.?)?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2}| ?[A-Z][A-Za-z_]*(?:/[A-Za-z_]+)*)?"
)
_FORM = re.compile(rf"(?:{_COMPACT}|{_NUMERIC}|{_NAMED})(?:(?P<join>T|,? |-|;)(?:{_TIME}))?")
_LONG = re.compile(r"\d{12}|\d{14}")


class AmbiguousDates(Exception):
    """Every row allows several formats.

    Parameters
    ----------
    text : str
        One of the rows.
    formats : sequence of str
        Formats that every row fits.
    """

    def __init__(self, text: str, formats: Sequence[str]) -> None:
        super().__init__(text)
        self.text = text
        self.formats = tuple(formats)


def date_format_of(texts: Sequence[str]) -> str | None:
    """Return the format of dates or times for `StampRules`.

    Parameters
    ----------
    texts : sequence of str
        All rows, without surrounding spaces.

    Returns
    -------
    str or None
        A strptime format, or one of `epochs.FORMATS`; None if most rows are ISO 8601, or if no
        format is known. Rows that do not fit are reported when they are parsed.

    Raises
    ------
    AmbiguousDates
        If the rows allow several, such as day first and month first.
    """
    sample = [text for text in texts[:_SAMPLE] if text]
    if not sample or 2 * sum(_ISO.fullmatch(text) is not None for text in sample) >= len(sample):
        return None
    if counted := suggestion(texts):
        return counted
    if all(_LONG.fullmatch(text) for text in sample):
        return "%Y%m%d%H%M" if len(sample[0]) == 12 else "%Y%m%d%H%M%S"
    forms = [form for text in sample if (form := _Form.of(text)) is not None]
    if 2 * len(forms) <= len(sample):
        return None
    kinds = [form.kind for form in forms]
    kind = max(set(kinds), key=kinds.count)
    every = (_Form.of(text) for text in texts)
    fit = [form for form in every if form is not None and form.kind == kind]
    dates = _date_formats(fit)
    if len(dates) > 1:
        raise AmbiguousDates(fit[0].text, [f"{date}{fit[0].rest}" for date in dates])
    return f"{dates[0]}{fit[0].rest}" if dates else None


@dataclass(frozen=True)
class _Form:
    """Form of one text.

    Attributes
    ----------
    text : str
        Text as it is written.
    date : str
        Its date: the format, or for numbers their separator alone.
    numbers : tuple of int
        The three numbers of a date whose order is to be found.
    rest : str
        Format of what follows the date.
    """

    text: str
    date: str
    numbers: tuple[int, int, int] | None
    rest: str
    long_year: str

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.date, self.rest, self.long_year

    @classmethod
    def of(cls, text: str) -> _Form | None:
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        rest = "" if match["join"] is None else match["join"] + _time_format(match)
        if match["compact"]:
            return cls(text, "%Y%m%d", None, rest, "")
        if match["a"]:
            a, c = match["a"], match["c"]
            if len(a) == 3 or (len(a) == 4 and len(c) == 4):
                return None
            year = "first" if len(a) == 4 else "last" if len(c) == 4 else "short"
            numbers = (int(a), int(match["b"]), int(c))
            return cls(text, match["s"], numbers, rest, year)
        if match["d1"]:
            month = "%b" if len(match["m1"]) == 3 else "%B"
            year = "%Y" if len(match["y1"]) == 4 else "%y"
            separator = match["s1"]
            return cls(text, f"%d{separator}{month}{separator}{year}", None, rest, "")
        month = "%b" if len(match["m2"]) == 3 else "%B"
        comma = "," if "," in text[: match.end("y2")] else ""
        return cls(text, f"{month} %d{comma} %Y", None, rest, "")


def _time_format(match: re.Match[str]) -> str:
    clock = match["clock"]
    hour = "%I" if match["half"] else "%H"
    if ":" in clock:
        form = f"{hour}:%M" + (":%S" if clock.count(":") == 2 else "")
        form += ".%f" if match["part"] else ""
    else:
        form = "%H%M%S" if len(clock) == 6 else "%H%M"
    if match["half"]:
        form += " %p" if match["half"].startswith(" ") else "%p"
    zone = match["zone"]
    if zone:
        numeric = zone == "Z" or zone[0] in "+-"
        form += "%z" if numeric else " %Z" if zone.startswith(" ") else "%Z"
    return form


def _date_formats(forms: Sequence[_Form]) -> list[str]:
    """Return the formats of the date that all rows allow."""
    first = forms[0]
    if first.numbers is None:
        return [first.date]
    orders = {
        "first": ("Ymd", "Ydm"),
        "last": ("dmY", "mdY"),
        "short": ("dmy", "mdy", "ymd"),
    }[first.long_year]
    numbers = [form.numbers for form in forms if form.numbers is not None]
    if first.long_year == "first":
        orders = orders[:1]  # nobody writes the day before the month after a year
    allowed = [order for order in orders if all(_valid(order, found) for found in numbers)]
    return [first.date.join(f"%{letter}" for letter in order) for order in allowed]


def _valid(order: str, numbers: Iterable[int]) -> bool:
    most = {"d": 31, "m": 12, "y": 99, "Y": 9999}
    least = {"d": 1, "m": 1, "y": 0, "Y": 1}
    return all(least[k] <= n <= most[k] for k, n in zip(order, numbers, strict=True))
