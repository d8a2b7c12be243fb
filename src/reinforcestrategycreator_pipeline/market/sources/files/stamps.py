"""Conversion of a file's times to close times in UTC, without guessing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.checks import Len, Strict, require
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, nearest
from reinforcestrategycreator_pipeline.market.bad_rows import Where
from reinforcestrategycreator_pipeline.market.bars import DAY, median_step

_ISO = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?"
)
_BETWEEN = "is not between 1700 and 2260"
_MIDNIGHT = re.compile(r"00:00(?::00(?:[.,]0+)?)?")
_EPOCHS = {"epoch_s": "s", "epoch_ms": "ms", "epoch_us": "us", "epoch_ns": "ns"}
_TIME_DIRECTIVE = re.compile(r"%[HIcXsTR]")
_PLAUSIBLE = (np.datetime64("1975-01-01"), np.datetime64("2100-01-01"))
# Columns whose names say which end of a bar they hold, without spaces, "_" and the like.
OPENS = {
    *("opentime", "timeopen", "openat", "openedat", "opendate", "opendatetime", "opentimestamp"),
    *("starttime", "timestart", "startsat", "windowstart", "periodstart", "barstart", "begin"),
}
CLOSES = {
    *("closetime", "timeclose", "closeat", "closedat", "closedate", "closedatetime"),
    *("closetimestamp", "endtime", "timeend", "endsat", "windowend", "periodend", "barend", "end"),
}


@dataclass(frozen=True, kw_only=True)
class StampRules(Strict):
    """The parameters of a file source that define its timestamps.

    Parameters
    ----------
    date_format : str, optional
        Format for strptime, or epoch_s, epoch_ms, epoch_us or epoch_ns; by default, ISO 8601 only.
    timezone : str
        IANA time zone of dates and of times without an offset.
    session_close : str, optional
        Time ``HH:MM`` at which the bar of a date closes; by default 24:00, the end of the day.
    bar_stamp : str
        Meaning of a time or date: the ``close`` or ``open`` of its bar. The bar spacing is added to
        an open time; an open date is the first day of its bar. ``auto`` is close, unless the
        column's name says open, or all times are midnight: then they are dates. ``auto`` finds
        from dates of weeks or months whether they are first or last days.
    """

    kind: ClassVar[str]

    date_format: Annotated[str, Len(1)] | None = None
    timezone: str = "UTC"
    session_close: str | None = None
    bar_stamp: Literal["auto", "close", "open"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_timezone(type(self).__name__, self.timezone)
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
    """

    kind: str
    values: pd.DatetimeIndex
    labels: pd.DatetimeIndex | None = None


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
    if rules.date_format in _EPOCHS:
        return _parse_epochs(texts, _EPOCHS[rules.date_format], column, where)
    if rules.date_format is not None:
        return _parse_format(texts, rules.date_format, column, where)
    kinds: list[str] = []
    midnights: list[bool] = []
    dates: list[str] = []
    for row, text in enumerate(texts):
        match = _ISO.fullmatch(text)
        if match is None:
            bad = [i for i, other in enumerate(texts) if not _ISO.fullmatch(other)]
            end = (
                " (YYYY-MM-DD, optionally with a time HH:MM:SS and an offset). For another format, "
                "set date_format, such as '%d/%m/%Y'."
            )
            if all(re.fullmatch(r"-?\d{9,19}", texts[i]) for i in bad):
                unit = _other_unit([int(texts[i]) for i in bad], "s") or "s"
                end = f". For a count since 1970, set date_format: epoch_{unit}."
            raise where.error(bad, column, [texts[i] for i in bad], "is not ISO 8601", end)
        kind = "date" if match["time"] is None else "local" if match["zone"] is None else "instant"
        if kinds and kind != kinds[0]:
            rule = f"is {_KINDS[kind]}, but the first row has {_KINDS[kinds[0]]}"
            end = "; all rows of a file must be of one kind."
            raise where.error([row], column, [text], rule, end)
        kinds.append(kind)
        midnights.append(kind != "date" and _MIDNIGHT.fullmatch(match["time"]) is not None)
        dates.append(match["date"])
    kind = kinds[0]
    plain = [text.replace(",", ".") for text in texts]
    parsed = pd.to_datetime(
        pd.Series(plain, dtype=object), format="ISO8601", utc=kind == "instant", errors="coerce"
    )
    values = _whole(parsed, texts, column, where)
    labels = _naive(pd.to_datetime(dates, format="%Y-%m-%d")) if all(midnights) else None
    return ParsedStamps(kind, values, labels)


_KINDS = {
    "date": "a date without a time",
    "local": "a time without a UTC offset",
    "instant": "a time with a UTC offset",
}


def close_times(
    parsed: ParsedStamps, rules: StampRules, column: str, where: Where
) -> tuple[pd.DatetimeIndex, list[str]]:
    """Return the close time of each bar in UTC, and notes on the decisions made.

    Raises
    ------
    DataError
        If a local time does not exist, or occurs twice, in the time zone.
    """
    kind, values, stamp = parsed.kind, parsed.values, rules.bar_stamp
    if kind == "local" and (parsed.labels is None or stamp != "auto"):
        values = _localized(values, rules, column, where)
    notes = []
    if stamp == "auto" and kind != "date":
        labels = parsed.labels
        if labels is None and (zoned := values.tz_convert(rules.timezone)).equals(
            zoned.normalize()
        ):
            labels = zoned.tz_localize(None)  # the midnights of the zone, written in another
        if labels is not None:
            kind, values = "date", labels
            notes.append(
                f"every {column} is midnight, so they are read as dates, not as close times "
                "(bar_stamp: close reads them as close times)."
            )
    if kind == "date":
        days, said = _last_days(values, rules, column, where)
        return _end_of_session(days, rules), notes + said
    name = plain_name(column)
    if stamp == "auto":
        stamp = "open" if name in OPENS else "close"
        if name not in OPENS | CLOSES:
            notes.append(f"every {column} is read as the close of its bar (bar_stamp: open).")
    if stamp == "open" and len(values) > 1:
        step = median_step([pd.DatetimeIndex(values.unique().sort_values())])
        if step >= DAY and rules.session_close is not None:
            notes.append(f"{column} is the open: its bar closes at {rules.session_close}.")
            return _next_session_close(values, rules), notes
        values = values + pd.Timedelta(step, "ns")
        notes.append(f"{column} is the open: the bar spacing of {step / 1e9:g} s was added.")
    return values.tz_convert("UTC").as_unit("ns"), notes


def plain_name(column: str) -> str:
    """Return a column's name in lower case, letters and digits alone: ``"Adj. Close"`` is one."""
    return re.sub(r"[\W_]+", "", column.lower())


def _localized(
    values: pd.DatetimeIndex, rules: StampRules, column: str, where: Where
) -> pd.DatetimeIndex:
    local = values.tz_localize(rules.timezone, ambiguous="NaT", nonexistent="NaT")
    bad = np.flatnonzero(local.isna())
    if len(bad):
        rule = f"does not exist, or occurs twice, in {rules.timezone}"
        raise DataError(
            f"{where(int(bad[0]))}: {column} {values[bad[0]]} {rule} (the clock changes); "
            "add the UTC offset.",
            rows=where.table(bad, column, list(map(str, values[bad])), rule),
        )
    return local


def _last_days(
    dates: pd.DatetimeIndex, rules: StampRules, column: str, where: Where
) -> tuple[pd.DatetimeIndex, list[str]]:
    """Return the last day of each bar, given its first or last day; both are one day's bars'."""
    days = pd.DatetimeIndex(dates.unique().sort_values())
    step = median_step([days]) // DAY if len(days) > 1 else 1
    if not 5 <= step <= 366 or rules.bar_stamp == "close":
        return dates, []
    # The newest row may be of a bar that is not over, and bear any day of it.
    known = days[:-1] if len(days) > 2 else days
    monthly = step >= 28
    first = known.day <= 4 if monthly else known.day_of_week <= 1
    last = known.day >= 25 if monthly else (known.day_of_week >= 3) & (known.day_of_week <= 5)
    if rules.bar_stamp == "auto" and not first.all():
        if last.all():
            return dates, []
        raise DataError(
            f"{where.path}: every {column} is a date, and they are {step} days apart. Is it the "
            "first day of its bar (bar_stamp: open) or the last (bar_stamp: close)?"
        )
    months = round(step / 30.44) if monthly else 0
    after = dates + (pd.DateOffset(months=months) if months else pd.Timedelta(step, "D"))
    if months and bool(first.all()):
        after = after - pd.to_timedelta(after.day - 1, "D")  # the first trading day varies
    note = f"every {column} is the first day of a bar of {step} days, which closes with its last"
    return after - pd.Timedelta(1, "D"), [f"{note} (bar_stamp: close reads it as the last day)."]


def _next_session_close(opens: pd.DatetimeIndex, rules: StampRules) -> pd.DatetimeIndex:
    """Return the first session close after each open."""
    days = opens.tz_convert(rules.timezone).normalize().tz_localize(None)
    same = _end_of_session(days, rules)
    later = _end_of_session(days + pd.Timedelta(1, "D"), rules)
    return pd.DatetimeIndex(same.where(same > opens, later))


def _end_of_session(days: pd.DatetimeIndex, rules: StampRules) -> pd.DatetimeIndex:
    if rules.session_close is None:
        local = days + pd.Timedelta(1, "D")  # 24:00: a bar is known only when its day is over
    else:
        hours, minutes = rules.session_close.split(":")
        local = days + pd.Timedelta(hours=int(hours), minutes=int(minutes))
    # An ambiguous clock time becomes the later one, so no bar is known too early.
    zoned = local.tz_localize(
        rules.timezone,
        ambiguous=np.zeros(len(local), dtype=bool),
        nonexistent="shift_forward",
    )
    return zoned.tz_convert("UTC").as_unit("ns")


def _parse_epochs(texts: Sequence[str], unit: str, column: str, where: Where) -> ParsedStamps:
    bad = [row for row, text in enumerate(texts) if not re.fullmatch(r"-?\d{1,19}", text)]
    if bad:
        rule = f"is not a whole number of {unit} since 1970"
        raise where.error(bad, column, [texts[row] for row in bad], rule)
    numbers = [int(text) for text in texts]
    other = _other_unit(numbers, unit)
    hint = (
        f"; with date_format epoch_{other} it would be {_moment(numbers[0], other)}"
        if other
        else ""
    )
    limit = (pd.Timestamp.max.value - 1) * _PER_SECOND[unit] // 10**9
    bad = [row for row, number in enumerate(numbers) if abs(number) > limit]
    if bad:
        far = [numbers[row] for row in bad]
        raise where.error(bad, column, far, f"{unit} {_BETWEEN}", f"{hint}.")
    if other:
        raise where.error(
            [0], column, numbers[:1], f"{unit} is {_moment(numbers[0], unit)}", f"{hint}."
        )
    values = pd.DatetimeIndex(np.asarray(numbers, dtype=f"datetime64[{unit}]").astype("M8[ns]"))
    midnight = bool((values == values.normalize()).all())
    return ParsedStamps("instant", values.tz_localize("UTC"), values if midnight else None)


_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _other_unit(numbers: Sequence[int], unit: str) -> str | None:
    """Return the unit that would make all times plausible, if `unit` makes none of them so."""

    def plausible(per_second: int, number: int) -> bool:
        return bool(_PLAUSIBLE[0] <= np.datetime64(number // per_second, "s") < _PLAUSIBLE[1])

    ends = min(numbers), max(numbers)
    if any(plausible(_PER_SECOND[unit], number) for number in ends):
        return None
    for other, per_second in _PER_SECOND.items():
        if all(plausible(per_second, number) for number in ends):
            return other
    return None


def _moment(number: int, unit: str) -> str:
    return str(np.datetime64(number // _PER_SECOND[unit], "s").astype("datetime64[D]"))


def _parse_format(texts: Sequence[str], form: str, column: str, where: Where) -> ParsedStamps:
    if "%Z" in form.replace("%%", ""):
        raise DataError(
            f"date_format {form!r} has %Z, but the name of a zone may mean several. Write the name "
            "as it is in the file, such as '%H:%M UTC', and set timezone."
        )
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
    midnight = bool((values == values.normalize()).all())
    return ParsedStamps("local", values, values if midnight else None)


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
        bad, rule = (far, _BETWEEN) if far else (bad, rule)
        raise where.error(bad, column, [texts[row] for row in bad], rule)
    values = pd.DatetimeIndex(parsed)
    limits = (pd.Timestamp("1700-01-01", tz=values.tz), pd.Timestamp("2261-01-01", tz=values.tz))
    outside = np.flatnonzero((values < limits[0]) | (values > limits[1])).tolist()
    if outside:
        given = [texts[row] for row in outside]
        raise where.error(outside, column, given, _BETWEEN)
    return values.as_unit("ns")


def _far(text: str) -> bool:
    """Return whether the year is one that pandas 2 cannot parse, since nanoseconds end there."""
    return text[:4].isdecimal() and not 1700 <= int(text[:4]) <= 2260


def _naive(values: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return values.as_unit("ns")


def _require_timezone(owner: str, value: Any) -> None:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        hint = nearest(str(value), available_timezones())
        hint = hint if "Did you mean" in hint else ""
        raise ConfigError(
            f"The timezone parameter of {owner} must be an IANA name such as "
            f"'America/New_York'. Got {value!r} instead.{hint}"
        ) from error
