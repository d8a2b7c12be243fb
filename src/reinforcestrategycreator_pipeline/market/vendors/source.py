"""The data source of fetched bars: runs read the store, never the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.checks import Ge, Le, Len, Strict, require
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.validation import RawBars, widen
from reinforcestrategycreator_pipeline.market.vendors.lineage import Lineage, Version
from reinforcestrategycreator_pipeline.market.vendors.store import DEFAULT, BarStore
from reinforcestrategycreator_pipeline.market.windows import last_moment, parse_instant


@SOURCES.register("store")
@dataclass(frozen=True, kw_only=True)
class StoreSource(Strict):
    """Bars that ``rsc data fetch`` stored; see ``rsc data list``. It never asks the vendor.

    Parameters
    ----------
    series : str or tuple of str
        Series such as ``stooq/ibm.us/1d``; ``*`` stands for any text: ``stooq/*/1d``.
    store : str
        Folder of the store.
    sha256 : tuple of str
        Beginning of the hash of the version to read, for each series; by default the newest.
    start, end : str, optional
        ISO 8601 dates or times: bars close after the start, and by the end, whose day is the last.
    tolerance : float
        Relative size, 0 to 0.01, by which a high may be too low, or a low too high; the bar is
        widened.
    """

    series: Annotated[str, Len(1)] | Annotated[tuple[str, ...], Len(1, distinct=True)]
    store: Annotated[str, Len(1)] = DEFAULT
    sha256: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    tolerance: Annotated[float, Ge(0), Le(0.01)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("start", "end"):
            if getattr(self, name) is not None:
                parse_instant(type(self).__name__, name, getattr(self, name))

    def fingerprint(self) -> dict[str, str]:
        """Return the SHA-256 of the bars of each series."""
        return {lineage.name: version.sha256 for lineage, version in self._versions()}

    def load(self, rng: np.random.Generator) -> MarketData:
        """Read, validate and adjust the bars; `rng` is unused."""
        store = BarStore(Path(self.store))
        found = Findings()
        raws, versions = [], {}
        chosen = self._versions()
        for lineage, version in chosen:
            frame = self._cut(store.read(version), lineage)
            if self.tolerance and (widened := widen(frame, self.tolerance)):
                found.warn(f"{lineage.name}: bars were widened to hold their prices: {widened}.")
            for earlier in lineage.versions[: lineage.versions.index(version) + 1]:
                if earlier.made == "restated":
                    found.warn(
                        f"{lineage.name}: the vendor restated its past, which was accepted on "
                        f"{earlier.fetched_at[:10]}; values that changed: {earlier.changes:,}."
                    )
            raws.append(RawBars(lineage.symbol, lineage.name, frame))
            versions[lineage.name] = version.sha256
            found.note(f"{lineage.name}: fetched at {version.fetched_at}.")
        provenance = {"source": "store", "path": self.store, "sha256": versions}
        timezone = chosen[0][0].timezone
        return prepare(raws, provenance, found=found, timezone=timezone, weekdays=True)

    def _versions(self) -> list[tuple[Lineage, Version]]:
        names = (self.series,) if isinstance(self.series, str) else self.series
        lineages = BarStore(Path(self.store)).matching(names)
        if not self.sha256:
            return [(lineage, lineage.current) for lineage in lineages]
        rule = f"one hash for each of the {len(lineages)} series"
        require(len(self.sha256) == len(lineages), "StoreSource", "sha256", rule, self.sha256)
        return [(x, x.version(sha)) for x, sha in zip(lineages, self.sha256, strict=True)]

    def _cut(self, frame: pd.DataFrame, lineage: Lineage) -> pd.DataFrame:
        times = pd.DatetimeIndex(frame.index)
        kept = np.ones(len(times), dtype=bool)
        if self.start is not None:
            kept &= times > parse_instant(type(self).__name__, "start", self.start)
        if self.end is not None:
            kept &= times <= last_moment(type(self).__name__, "end", self.end, lineage.timezone)
        if not kept.any():
            raise DataError(
                f"{lineage}: no bar closes from {self.start or 'the first'} to "
                f"{self.end or 'the last'}."
            )
        return frame[kept].copy()
