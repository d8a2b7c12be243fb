"""Times that end with the name of their zone: ``2024-01-02 09:30:00 US/Eastern``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import available_timezones

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Bools
from reinforcestrategycreator_pipeline.errors import nearest

DIRECTIVE = "%Z"
_TEXT = re.compile(r"(.*?)\s*([A-Za-z][A-Za-z0-9_/+-]*)")
_UTC = {"UTC", "GMT", "Z", "UCT", "ZULU"}


@dataclass(frozen=True)
class ZonedTexts:
    """Texts of times, each divided into a time without a zone and the name of one.

    Attributes
    ----------
    times : list of str
        Texts without the names.
    names : ndarray of str, shape (n,)
        Names of the zones; empty where a text has none.
    """

    times: list[str]
    names: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str]) -> ZonedTexts:
        """Divide texts."""
        found = [_TEXT.fullmatch(text) for text in texts]
        times = [text if m is None else m[1] for text, m in zip(texts, found, strict=True)]
        return cls(times, np.array(["" if m is None else m[2] for m in found], dtype=object))


class UnknownZoneName(Exception):
    """A name that is not of a known zone, with the rule that it breaks.

    Parameters
    ----------
    row : int
        First row with it.
    rule : str
        What it should be.
    """

    def __init__(self, row: int, rule: str) -> None:
        super().__init__(rule)
        self.row = row
        self.rule = rule


def to_utc(times: pd.DatetimeIndex, names: np.ndarray, timezone: str) -> pd.DatetimeIndex:
    """Return local times in UTC, each by the name of its zone.

    Parameters
    ----------
    times : DatetimeIndex, shape (n,)
        Times without a zone.
    names : ndarray of str, shape (n,)
        UTC or GMT, an IANA name with a slash, or an abbreviation that the clock of `timezone` has
        at that time: EST and EDT, of America/New_York. An abbreviation also tells which of two
        equal times is meant as the clock goes back.
    timezone : str
        IANA time zone of the abbreviations.

    Raises
    ------
    UnknownZoneName
        If a name is none of these, or the time does not exist in its zone.
    """
    found = np.zeros(len(times), dtype=np.int64)
    known = available_timezones()
    for name in pd.unique(names):
        rows = np.flatnonzero(names == name)
        if str(name).upper() in _UTC:
            found[rows] = times[rows].tz_localize("UTC").as_unit("ns").asi8
        elif "/" in name and name in known:
            found[rows] = _localized(times[rows], str(name), rows)
        else:
            found[rows] = _abbreviated(times[rows], str(name), timezone, rows)
    return pd.DatetimeIndex(found, tz="UTC")


def _localized(times: pd.DatetimeIndex, zone: str, rows: np.ndarray) -> np.ndarray:
    zoned = times.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    bad = np.flatnonzero(zoned.isna())
    if len(bad):
        rule = f"does not exist, or occurs twice, in {zone} (the clock changes)"
        raise UnknownZoneName(int(rows[bad[0]]), rule)
    return np.asarray(zoned.as_unit("ns").asi8)


def _abbreviated(times: pd.DatetimeIndex, name: str, timezone: str, rows: np.ndarray) -> np.ndarray:
    """Return the times of rows whose zone's clock is called `name` then."""
    values = np.zeros(len(times), dtype=np.int64)
    left: Bools = np.ones(len(times), dtype=bool)
    for summer in (False, True):
        ambiguous = np.full(len(times), summer)
        zoned = times.tz_localize(timezone, ambiguous=ambiguous, nonexistent="NaT")
        fits = left & np.array([not pd.isna(t) and t.tzname() == name for t in zoned])
        values[fits] = zoned.as_unit("ns").asi8[fits]
        left &= ~fits
    if left.any():
        known = "" if "/" not in name else nearest(name, available_timezones())
        rule = (
            f"has the zone {name!r}, which is neither UTC nor an IANA name such as US/Eastern, nor "
            f"what the clock of the timezone {timezone} is called then{known or ''}"
        )
        raise UnknownZoneName(int(rows[np.flatnonzero(left)[0]]), rule)
    return values
