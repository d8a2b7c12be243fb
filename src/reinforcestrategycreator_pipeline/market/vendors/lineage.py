"""The origin of stored bars: the versions of a series, what each replaced, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError, shorten
from reinforcestrategycreator_pipeline.files import is_sealed, sealed_text, write_text
from reinforcestrategycreator_pipeline.market.bars import day_of

_FORMAT = 1


@dataclass(frozen=True)
class Version:
    """Bars that were current at some time.

    Attributes
    ----------
    sha256 : str
        Hash of the Parquet file, which is named after it.
    parent : str or None
        Hash of the version before; None for the first.
    made : str
        How: ``fetched``, ``extended``, ``readjusted`` (the past multiplied by constants) or
        ``restated`` (the past changed, and that was accepted).
    fetched_at : str
        Time of the request, ISO 8601, UTC.
    rows : int
        Number of bars.
    first, last : str
        Closes of the first and last bar, ISO 8601, UTC.
    forming : int
        Number of bars left out because they were not final.
    factors : mapping of str to float
        For ``readjusted``: factor of each group of columns.
    kept : int
        For both: number of first bars that the vendor does not have any more.
    changes : int
        For ``restated``: number of changes.
    restated : tuple of mapping
        For ``restated``: close, column, old and new value of the first changes.
    """

    sha256: str
    parent: str | None
    made: str
    fetched_at: str
    rows: int
    first: str
    last: str
    forming: int = 0
    factors: Mapping[str, float] = field(default_factory=dict)
    kept: int = 0
    changes: int = 0
    restated: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Lineage:
    """The history of one series.

    Attributes
    ----------
    vendor, symbol, interval : str
        Vendor, symbol and length of bars of the series.
    start : str
        Start of the request, ISO 8601, UTC.
    parameters : mapping
        Parameters of the vendor; no secrets.
    timezone : str
        IANA time zone of the days.
    versions : tuple of Version
        Oldest first; the last one is current.
    """

    vendor: str
    symbol: str
    interval: str
    start: str
    parameters: Mapping[str, Any]
    timezone: str
    versions: tuple[Version, ...]

    @property
    def name(self) -> str:
        """Name of the series: ``stooq/ibm.us/1d``."""
        return f"{self.vendor}/{self.symbol}/{self.interval}"

    @property
    def current(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    def version(self, sha256: str) -> Version:
        """Return the newest version whose hash begins so.

        Raises
        ------
        DataError
            If there is none.
        """
        for version in reversed(self.versions):
            if version.sha256.startswith(sha256):
                return version
        known = ", ".join(v.sha256[:12] for v in self.versions[-5:])
        raise DataError(
            f"{self.name}: the store has no version {sha256!r}; the newest are {known}."
        )

    @property
    def span(self) -> str:
        """The days of the first and the last bar: ``2010-01-04 to 2025-12-31``."""
        ends = (pd.Timestamp(self.current.first), pd.Timestamp(self.current.last))
        return " to ".join(day_of(stamp, self.timezone) for stamp in ends)

    def __str__(self) -> str:
        return f"{self.name}, {self.span}, fetched {self.current.fetched_at[:10]}"


def read_lineage(path: Path) -> Lineage:
    """Read a lineage.

    Raises
    ------
    DataError
        If the file is damaged or was edited.
    """
    text = path.read_text("utf-8")
    if not is_sealed(text):
        raise DataError(f"{path}: its content does not match its seal, so it was edited or cut.")
    found = json.loads(text)
    if found["format"] != _FORMAT:
        raise DataError(f"{path}: has format {shorten(repr(found['format']), 20)}, not {_FORMAT}.")
    versions = tuple(
        Version(**{**version, "restated": tuple(version["restated"])})
        for version in found["versions"]
    )
    names = ("vendor", "symbol", "interval", "start", "parameters", "timezone")
    return Lineage(**{name: found[name] for name in names}, versions=versions)


def write_lineage(path: Path, lineage: Lineage) -> None:
    """Write a lineage, sealed, atomically."""
    write_text(path, sealed_text({"format": _FORMAT, **asdict(lineage)}))
