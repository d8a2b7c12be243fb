"""The times of a file as they are written: strict parsing, without guessing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reinforcestrategycreator_pipeline.arrays import Indices
from reinforcestrategycreator_pipeline.checks import Len, Strict, require
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, nearest, shorten
from reinforcestrategycreator_pipeline.market.bad_rows import Where
from reinforcestrategycreator_pipeline.market.sources.files.epochs import (
    BETWEEN,
    FORMATS,
    parse_counts,
    require_no_accident,
    suggestion,
)
from reinforcestrategycreator_pipeline.market.sources.files.zone_names import (
    DIRECTIVE,
    UnknownZoneName,
    ZonedTexts,
    to_utc,
)

_ISO = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?"
)
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = "[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
_AT_MIDNIGHT = "[T ]00:00(?::00(?:[.,]0+)?)?"
_FORMS = {
    "date": ("", ""),
    "local": (_TIME, ""),
    "instant": (_TIME, "(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"),
}
"""Time and zone of each kind, as regular expressions."""
_MIDNIGHT = re.compile(r"00:00(?::00(?:[.,]0+)?)?")
_TIME_DIRECTIVE = re.compile(r"%[HIcXsTR]")


@dataclass(frozen=True, kw_only=True)
class StampRules(Strict):
    """The parameters of a file source that define its timestamps.

    Parameters
    ----------
    date_format : str, optional
        Format for strptime, or epoch_s, epoch_ms, epoch_us, epoch_ns, or epoch, which finds the
        unit of each file; by default, ISO 8601 only. ``%Z`` at its end is the name of a zone: UTC,
        an IANA name, or what the clock of `timezone` is called then.
    timezone : str
        IANA time zone of dates and of times without an offset.
    session_close : str, optional
        Time ``HH:MM`` at which the bar of a day closes; by default 24:00, the end of the day, for
        a date, and a day after it for the open of a day's bar.
    clock_change : str
        Treatment of times without an offset that occur twice as the clock goes back: ``reject``,
        or ``infer``, which takes the rows to be in order of time.
    bar_stamp : str
        Meaning of a time or date: the ``close`` or ``open`` of its bar. The bar spacing is added to
        an open time; an open date is the first day of its bar. ``auto`` goes by the column's name.
        Without one that tells, midnights throughout are dates, and times of days at 23:59, or from
        16:00 on if all are of weekdays, are closes; other times of days are opens. From dates of
        weeks or months it finds whether they are first or last days. Times of shorter bars are
        rejected, as they may be either.
    """

    kind: ClassVar[str]

    date_format: Annotated[str, Len(1)] | None = None
    timezone: str = "UTC"
    session_close: str | None = None
    clock_change: Literal["reject", "infer"] = "reject"
    bar_stamp: Literal["auto", "close", "open"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_timezone(type(self).__name__, self.timezone)
        close = self.session_close
        ok = close is None or re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", close)
        require(bool(ok), type(self).__name__, "session_close", "a time HH:MM", close)


@dataclass(frozen=True)
class ParsedStamps:
    """Timestamps of one file, all of one kind.

    Attributes
    ----------
    kind : str
        Kind of the timestamps: ``"date"`` (no time of day), ``"local"`` (a time without an offset)
        or ``"instant"``.
    values : DatetimeIndex
        Timestamps, without a time zone for date and local, in UTC for instant.
    labels : DatetimeIndex, optional
        Days, if every timestamp is midnight as written: then they may be labels of days instead of
        close times.
    clock : DatetimeIndex, optional
        Instants as they are written, if in another zone than UTC, without it.
    """

    kind: str
    values: pd.DatetimeIndex
    labels: pd.DatetimeIndex | None = None
    clock: pd.DatetimeIndex | None = None

    def rows(self, positions: Indices) -> ParsedStamps:
        """Return the timestamps of some rows."""
        labels = None if self.labels is None else self.labels[positions]
        clock = None if self.clock is None else self.clock[positions]
        return ParsedStamps(self.kind, self.values[positions], labels, clock)


def parse_texts(texts: Sequence[str], rules: StampRules, column: str, where: Where) -> ParsedStamps:
    """Parse timestamps strictly: ISO 8601, or the given format.

    Parameters
    ----------
    texts : sequence of str
        Text of each row.
    rules : StampRules
        Rules, of which only the date format is used here.
    column : str
        Name of the column, for error messages.
    where : Where
        Names of the rows, for error messages.

    Raises
    ------
    DataError
        If a row does not match, or is of another kind than the first row; the message names it.
    """
    if rules.date_format in FORMATS:
        values = parse_counts(texts, str(rules.date_format), column, where)
        require_no_accident(values, column, where)
        return ParsedStamps("instant", values, midnights(values))
    if rules.date_format is not None:
        return _parse_format(texts, rules.date_format, rules, column, where)
    kind, midnight = _uniform(texts) or _by_row(texts, column, where)
    plain = [text.replace(",", ".") for text in texts]
    parsed = pd.to_datetime(
        pd.Series(plain, dtype=object), format="ISO8601", utc=kind == "instant", errors="coerce"
    )
    values = _whole(parsed, texts, column, where)
    dates = [text[:10] for text in texts] if midnight else []
    labels = _naive(pd.to_datetime(dates, format="%Y-%m-%d")) if midnight else None
    return ParsedStamps(kind, values, labels, _clock(plain) if kind == "instant" else None)


def _uniform(texts: Sequence[str]) -> tuple[str, bool] | None:
    """Return the kind of ISO 8601, and whether all are midnights; None if rows differ in kind."""
    column = pa.array(texts, pa.string())

    def every(pattern: str) -> bool:
        options = pc.MatchSubstringOptions(f"^(?:{pattern})$")
        matched = pc.call_function("match_substring_regex", [column], options)
        return bool(pc.call_function("all", [matched]).as_py())

    for kind, (time, zone) in _FORMS.items():
        if every(_DAY + time + zone):
            return kind, kind != "date" and every(_DAY + _AT_MIDNIGHT + zone)
    return None


def _by_row(texts: Sequence[str], column: str, where: Where) -> tuple[str, bool]:
    """Return the kind of ISO 8601, and whether all are midnights; raise at the first odd row."""
    kinds: list[str] = []
    at_midnight: list[bool] = []
    for row, text in enumerate(texts):
        match = _ISO.fullmatch(text)
        if match is None:
            bad = [i for i, other in enumerate(texts) if not _ISO.fullmatch(other)]
            end = (
                " (YYYY-MM-DD, optionally with a time HH:MM:SS and an offset). For another format, "
                "set date_format, such as '%d/%m/%Y'."
            )
            known = suggestion([texts[i] for i in bad])
            if known in FORMATS:
                end = f". For a count since 1970, set date_format: {known}."
            elif known:
                end = f". For days without hyphens, set date_format: {known!r}."
            raise where.error(bad, column, [texts[i] for i in bad], "is not ISO 8601", end)
        kind = "date" if match["time"] is None else "local" if match["zone"] is None else "instant"
        if kinds and kind != kinds[0]:
            rule = f"is {_KINDS[kind]}, but the first row has {_KINDS[kinds[0]]}"
            end = "; all rows of a file must be of one kind."
            raise where.error([row], column, [text], rule, end)
        kinds.append(kind)
        at_midnight.append(kind != "date" and _MIDNIGHT.fullmatch(match["time"]) is not None)
    return kinds[0], all(at_midnight)


def _clock(texts: Sequence[str]) -> pd.DatetimeIndex | None:
    """Return times as they are written, without their offsets; None if all are in UTC."""
    if all(text.endswith(("Z", "+00:00", "+0000", "+00")) for text in texts):
        return None
    parts = [_ISO.fullmatch(text) for text in texts]
    written = [f"{part['date']}T{part['time']}" for part in parts if part is not None]
    return _naive(pd.DatetimeIndex(pd.to_datetime(written, format="ISO8601")))


_KINDS = {
    "date": "a date without a time",
    "local": "a time without a UTC offset",
    "instant": "a time with a UTC offset",
}


def settled(parsed: ParsedStamps, rules: StampRules, column: str, where: Where) -> ParsedStamps:
    """Return times without an offset as instants, unless all are midnights, which may be dates.

    Raises
    ------
    DataError
        If a local time does not exist, or occurs twice, in the time zone.
    """
    if parsed.kind != "local" or (parsed.labels is not None and rules.bar_stamp != "close"):
        return parsed
    return ParsedStamps("instant", localized(parsed.values, rules, column, where), parsed.labels)


def localized(
    values: pd.DatetimeIndex, rules: StampRules, column: str, where: Where
) -> pd.DatetimeIndex:
    """Return local times in UTC; raise if one does not exist, or occurs twice."""
    if rules.clock_change == "infer":
        try:
            zoned = values.tz_localize(rules.timezone, ambiguous="infer", nonexistent="raise")
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{where.path}: the clock of {column} cannot be inferred from the order of the "
                f"rows: {shorten(reason)}."
            ) from error
        return zoned.tz_convert("UTC").as_unit("ns")
    local = values.tz_localize(rules.timezone, ambiguous="NaT", nonexistent="NaT")
    bad = np.flatnonzero(local.isna())
    if len(bad):
        rule = f"does not exist, or occurs twice, in {rules.timezone}"
        raise DataError(
            f"{where(int(bad[0]))}: {column} {values[bad[0]]} {rule} (the clock changes); "
            "add the UTC offset, or set clock_change: infer.",
            rows=where.table(bad, column, list(map(str, values[bad])), rule),
        )
    return local.tz_convert("UTC").as_unit("ns")


def midnights(clock: pd.DatetimeIndex) -> pd.DatetimeIndex | None:
    """Return the days, without a zone, if every time is a midnight of its zone."""
    days = clock.tz_localize(None).normalize()
    return days.as_unit("ns") if bool((clock.tz_localize(None) == days).all()) else None


def _parse_named_zones(
    texts: Sequence[str], form: str, rules: StampRules, column: str, where: Where
) -> ParsedStamps:
    if not form.endswith(DIRECTIVE) or form.count("%Z") > 1 or "%z" in form:
        raise DataError(
            f"date_format {form!r} has %Z, which must be its end. Write the name of the zone as it "
            "is in the file, such as '%H:%M UTC', and set timezone."
        )
    divided = ZonedTexts.of(texts)
    plain = form.removesuffix(DIRECTIVE).rstrip()
    local = _parse_format(divided.times, plain, replace(rules, date_format=plain), column, where)
    if local.kind != "local":
        raise DataError(f"date_format {form!r} has %Z, but no time of day.")
    try:
        values = to_utc(local.values, divided.names, rules.timezone)
    except UnknownZoneName as error:
        raise where.error([error.row], column, [texts[error.row]], error.rule) from error
    utc = all(str(name).upper() in ("UTC", "GMT", "Z") for name in pd.unique(divided.names))
    return ParsedStamps("instant", values, local.labels, None if utc else local.values)


def _parse_format(
    texts: Sequence[str], form: str, rules: StampRules, column: str, where: Where
) -> ParsedStamps:
    if DIRECTIVE in form.replace("%%", ""):
        return _parse_named_zones(texts, form, rules, column, where)
    zoned = "%z" in form
    try:
        parsed = pd.to_datetime(
            pd.Series(list(texts), dtype=object), format=form, utc=zoned, errors="coerce"
        )
    except (ValueError, TypeError, KeyError, re.error) as error:  # from strptime's own parser
        reason = " ".join(str(error).split())
        raise DataError(f"date_format {form!r} is not a strptime format: {reason}") from error
    values = _whole(parsed, texts, column, where, f"does not fit date_format {form!r}")
    if zoned:
        return ParsedStamps("instant", values)
    if not _TIME_DIRECTIVE.search(form):
        return ParsedStamps("date", values)
    return ParsedStamps("local", values, midnights(values))


def _whole(
    parsed: pd.Series,
    texts: Sequence[str],
    column: str,
    where: Where,
    rule: str = "is not a valid date or time",
) -> pd.DatetimeIndex:
    """Return the timestamps in nanoseconds; raise if one could not be parsed."""
    bad = np.flatnonzero(parsed.isna().to_numpy()).tolist()
    if bad:
        far = [row for row in bad if _far(texts[row])]
        bad, rule = (far, BETWEEN) if far else (bad, rule)
        raise where.error(bad, column, [texts[row] for row in bad], rule)
    values = pd.DatetimeIndex(parsed)
    limits = (pd.Timestamp("1700-01-01", tz=values.tz), pd.Timestamp("2261-01-01", tz=values.tz))
    outside = np.flatnonzero((values < limits[0]) | (values > limits[1])).tolist()
    if outside:
        given = [texts[row] for row in outside]
        raise where.error(outside, column, given, BETWEEN)
    return values.as_unit("ns")


def _far(text: str) -> bool:
    """Return whether the year is one that pandas 2 cannot parse, since nanoseconds end there."""
    return text[:4].isdecimal() and not 1700 <= int(text[:4]) <= 2260


def _naive(values: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return values.as_unit("ns")


def require_timezone(owner: str, value: Any) -> None:
    """Raise `ConfigError` if the parameter `timezone` of `owner` is no IANA time zone."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        hint = nearest(str(value), available_timezones())
        hint = hint if "Did you mean" in hint else ""
        raise ConfigError(
            f"The timezone parameter of {owner} must be an IANA name such as "
            f"'America/New_York'. Got {value!r} instead.{hint}"
        ) from error
