"""Counts since 1970 in seconds or parts of it; the size of a count tells its unit."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bad_rows import Where

UNITS = {"epoch_s": "s", "epoch_ms": "ms", "epoch_us": "us", "epoch_ns": "ns"}
ANY_UNIT = "epoch"
"""The date format that finds the unit from the size of the counts."""
FORMATS = (ANY_UNIT, *UNITS)
BETWEEN = "is not between 1700 and 2260"

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# Seconds: in these years a count fits one unit only.
_PLAUSIBLE = (
    int(np.datetime64("1980-01-01", "s").astype(np.int64)),
    int(np.datetime64("2100-01-01", "s").astype(np.int64)),
)
_FEBRUARY = np.datetime64("1970-02-01", "ns")
_COUNT = re.compile(r"(-?\d{1,19})(?:\.0*)?")
_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")


def unit_of(numbers: Sequence[int]) -> str | None:
    """Return the unit in which all counts lie between 1980 and 2100: s, ms, us or ns."""
    ends = min(numbers), max(numbers)
    return next((u for u in _PER_SECOND if all(_plausible(n, u) for n in ends)), None)


def suggestion(texts: Sequence[str]) -> str:
    """Return the date format of counts, or of days such as 20240102; empty if neither is credible.

    Parameters
    ----------
    texts : sequence of str
        Values that are not ISO 8601, at least one.
    """
    if all(_DAY.fullmatch(text) for text in texts):
        return "%Y%m%d"
    counts = [_COUNT.fullmatch(text) for text in texts]
    if not all(counts):
        return ""
    unit = unit_of([int(count[1]) for count in counts if count])
    return f"epoch_{unit}" if unit else ""


def parse_counts(texts: Sequence[str], form: str, column: str, where: Where) -> pd.DatetimeIndex:
    """Return the UTC times of counts since 1970.

    Parameters
    ----------
    texts : sequence of str
        Count of each row.
    form : str
        One of `FORMATS`.
    column : str
        Name of the column, for error messages.
    where : Where
        Names of the rows, for error messages.

    Raises
    ------
    DataError
        If a row is no whole number, or its size is that of another unit.
    """
    counts = [_COUNT.fullmatch(text) for text in texts]
    bad = [row for row, count in enumerate(counts) if count is None]
    if bad:
        unit = UNITS.get(form)
        rule = f"is not a whole number of {unit} since 1970" if unit else "is not a whole number"
        raise where.error(bad, column, [texts[row] for row in bad], rule)
    numbers = [int(count[1]) for count in counts if count is not None]
    unit = UNITS.get(form) or unit_of(numbers)
    if unit is None:
        raise DataError(
            f"{where.path}: the counts of {column} lie between 1980 and 2100 in no one unit, from "
            f"{min(numbers)} to {max(numbers)}. Set date_format to one of {', '.join(UNITS)}."
        )
    _require_unit(numbers, unit, column, where)
    return pd.DatetimeIndex(
        np.asarray(numbers, dtype=f"datetime64[{unit}]").astype("M8[ns]"), tz="UTC"
    )


def require_no_accident(values: pd.DatetimeIndex, column: str, where: Where) -> None:
    """Raise if all times are in January 1970: what was counted is not what it was taken for."""
    naive = values.tz_localize(None).to_numpy()
    if len(naive) and naive.min() >= np.datetime64(0, "ns") and naive.max() < _FEBRUARY:
        raise DataError(
            f"{where.path}: every {column} is in January 1970, the first {naive[0]}: is it a count "
            "of days, or in another unit? Write the dates as YYYY-MM-DD."
        )


def _require_unit(numbers: Sequence[int], unit: str, column: str, where: Where) -> None:
    if all(_DAY.fullmatch(str(number)) for number in numbers):
        rule = f"looks like a day written YYYYMMDD, not like a count of {unit}"
        raise where.error([0], column, numbers[:1], rule, "; set date_format: '%Y%m%d'.")
    limit = (pd.Timestamp.max.value - 1) * _PER_SECOND[unit] // 10**9
    start = _PLAUSIBLE[0] * _PER_SECOND[unit]
    for row, number in enumerate(numbers):
        if start <= number <= limit:
            continue
        other = unit_of([number])
        hint = ""
        if other:
            hint = f"; with date_format epoch_{other} it would be {_moment(number, other)}"
        if abs(number) > limit:
            far = [i for i, n in enumerate(numbers) if abs(n) > limit]
            values = [numbers[i] for i in far]
            raise where.error(far, column, values, f"{unit} {BETWEEN}", f"{hint}.")
        if other and other != unit:
            rule = f"{unit} is {_moment(number, unit)}"
            raise where.error([row], column, [number], rule, f"{hint}.")


def _plausible(number: int, unit: str) -> bool:
    return _PLAUSIBLE[0] <= number // _PER_SECOND[unit] < _PLAUSIBLE[1]


def _moment(number: int, unit: str) -> str:
    return str(np.datetime64(number // _PER_SECOND[unit], "s").astype("datetime64[D]"))
