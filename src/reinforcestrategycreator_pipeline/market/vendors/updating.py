"""Fetching into the store, and bringing a series up to date without absorbing a changed past."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.vendors.base import Vendor
from reinforcestrategycreator_pipeline.market.vendors.comparing import (
    BAR,
    Comparison,
    compare,
    scaled,
)
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.fetching import (
    FinalBars,
    fetch,
    make_request,
)
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.lineage import Lineage, Version
from reinforcestrategycreator_pipeline.market.vendors.store import DEFAULT, BarStore
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport

OVERLAP = 30
"""Bars that an update fetches again to compare them."""
_SHOWN = 3
_KEPT = 1_000  # changes in a lineage; the bars of before hold them all

Made = Literal["fetched", "extended", "readjusted", "restated", "unchanged"]


class RestatedError(DataError):
    """The vendor's past is not the stored one, and nobody has accepted that.

    Attributes
    ----------
    restated : DataFrame
        The changes, as `comparing.Comparison.restated`.
    """

    def __init__(self, lineage: Lineage, restated: pd.DataFrame, folder: Path) -> None:
        self.restated = restated
        shown = "; ".join(change_text(row) for row in restated.head(_SHOWN).to_dict("records"))
        more = f"; and {len(restated) - _SHOWN:,} more" if len(restated) > _SHOWN else ""
        super().__init__(
            f"{lineage.name}: the vendor restated its past: {shown}{more}. The stored bars were "
            f"kept: {update_command(lineage, folder)} --accept-restated takes the new ones."
        )


@dataclass(frozen=True)
class Outcome:
    """The result of fetching or updating a series.

    Attributes
    ----------
    lineage : Lineage
        Its lineage now.
    made : str
        How its newest version was made; ``unchanged`` if there is no new one.
    added : int
        Number of bars later than those of before.
    forming : int
        Number of bars left out because they were not final.
    comparison : Comparison or None
        What had changed in the past; None for a new series.
    """

    lineage: Lineage
    made: Made
    added: int
    forming: int
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Desk:
    """All that fetching needs beside the series.

    Attributes
    ----------
    store : BarStore
        Store of the bars.
    name : str
        Name of the vendor.
    vendor : Vendor
        Vendor to ask.
    parameters : mapping
        Its parameters as the user gave them, for the lineage.
    transport : Transport
        Way to the vendor.
    now : Timestamp
        Current time, UTC.
    """

    store: BarStore
    name: str
    vendor: Vendor
    parameters: Mapping[str, Any]
    transport: Transport
    now: pd.Timestamp

    def fetch_new(
        self, symbol: str, interval: Interval, start: pd.Timestamp, end: pd.Timestamp | None = None
    ) -> Outcome:
        """Fetch a series that the store does not have.

        Parameters
        ----------
        symbol : str
            Symbol in the vendor's spelling.
        interval : Interval
            Length of the bars.
        start, end : Timestamp
            First and last open, UTC; by default everything that is final by now.

        Raises
        ------
        DataError
            If the store has the series, or the vendor fails; then the message names stored bars
            that may do.
        """
        first = start.isoformat()
        new = Lineage(self.name, symbol, str(interval), first, dict(self.parameters), "UTC", ())
        if (held := self.store.find(new.name)) is not None:
            raise DataError(
                f"{held}: the store has it. Bring it up to date: "
                f"{update_command(held, self.store.folder)}"
            )
        found = self._ask(new, start, end)
        new = dataclasses.replace(new, timezone=found.timezone)
        after = self.store.write(new, found.frame, self._version("fetched", found))
        return Outcome(after, "fetched", len(found.frame), found.forming)

    def update(
        self, lineage: Lineage, *, accept_restated: bool = False, overlap: int = OVERLAP
    ) -> Outcome:
        """Bring a series up to date.

        The last bars are fetched again and compared. If one of them changed, all bars are fetched
        again: a past that was multiplied by constants replaces the stored one, as its returns are
        the same; any other change is an error, unless it is accepted. Stored bars older than the
        first one that the vendor has now are kept, multiplied by the same constants.

        Parameters
        ----------
        lineage : Lineage
            Series to update.
        accept_restated : bool
            Whether a changed past replaces the stored one.
        overlap : int
            Bars to fetch again, >= 1.

        Raises
        ------
        RestatedError
            If the past changed; the store is as it was.
        DataError
            If the vendor fails; then the message names the stored bars.
        """
        old = self.store.read(lineage.current)
        tail = old.iloc[-overlap:]
        start = _open_of(tail.index[0], Interval.parse(lineage.interval))
        found = self._ask(lineage, max(start, pd.Timestamp(lineage.start)), None)
        _require_overlap(lineage, old, found.frame)
        offered = found.frame[found.frame.index >= tail.index[0]]
        comparison = compare(tail[tail.index >= offered.index[0]], offered)
        if comparison.same:
            later = found.frame[found.frame.index > old.index[-1]]
            if later.empty:
                return Outcome(lineage, "unchanged", 0, found.forming, comparison)
            frame = pd.concat([old, later])
            after = self.store.write(lineage, frame, self._version("extended", found))
            return Outcome(after, "extended", len(later), found.forming, comparison)
        found = self._all_of(lineage, found)
        _require_overlap(lineage, old, found.frame)
        first = found.frame.index[0]
        comparison = compare(old[old.index >= first], found.frame)
        if not comparison.restated.empty and not accept_restated:
            raise RestatedError(lineage, comparison.restated, self.store.folder)
        made: Made = "readjusted" if comparison.restated.empty else "restated"
        kept = scaled(old[old.index < first], comparison.factors)
        version = dataclasses.replace(
            self._version(made, found),
            factors=dict(comparison.factors),
            kept=len(kept),
            changes=len(comparison.restated),
            restated=tuple(map(_record, comparison.restated.head(_KEPT).to_dict("records"))),
        )
        after = self.store.write(lineage, pd.concat([kept, found.frame]), version)
        added = int((found.frame.index > old.index[-1]).sum())
        return Outcome(after, made, added, found.forming, comparison)

    def _all_of(self, lineage: Lineage, tail: FinalBars) -> FinalBars:
        """Return all bars that the vendor has of a series; `tail` if it has no older ones now."""
        try:
            return self._ask(lineage, pd.Timestamp(lineage.start), None)
        except VendorError as error:
            if error.unreachable:
                raise
            return tail  # such as minutes, which some vendors have of the last days alone

    def _ask(self, lineage: Lineage, start: pd.Timestamp, end: pd.Timestamp | None) -> FinalBars:
        interval = Interval.parse(lineage.interval)
        # Some plans exclude the last minutes, whose bars are not final anyway.
        settled = self.now - pd.Timedelta(self.vendor.settling_s, "s")
        last = settled if end is None else min(end, settled)
        request = make_request(lineage.symbol, interval, start, last)
        try:
            return fetch(self.name, self.vendor, request, self.transport, self.now)
        except VendorError as error:
            if not error.unreachable:
                raise
            raise VendorError(
                f"{error}{held_instead(self.store, lineage)}",
                status=error.status,
                unreachable=True,
            ) from error

    def _version(self, made: Made, found: FinalBars) -> Version:
        at = self.now.floor("s").isoformat()
        return Version("", None, made, at, 0, "", "", found.forming)


def _require_overlap(lineage: Lineage, old: pd.DataFrame, new: pd.DataFrame) -> None:
    """Raise if a vendor's bars begin after the stored ones: what lies between would be missing."""
    if new.index[0] > old.index[-1]:
        raise DataError(
            f"{lineage.name}: the vendor's bars begin at {new.index[0]}, after the last stored "
            f"one, {old.index[-1]}: nothing can be compared, and a gap would be left. Fetch them "
            "into another store with --store."
        )


def held_instead(store: BarStore, wanted: Lineage) -> str:
    """Return a sentence, after a space, on the stored bars of a symbol that a run can use.

    Those of the same vendor and interval come first, then those of others.
    """
    letters = _letters(wanted.symbol)
    held = [x for x in store.lineages() if _letters(x.symbol) == letters]
    held.sort(key=lambda x: (x.interval != wanted.interval, x.vendor != wanted.vendor))
    if not held:
        return f" The store {store.folder} has nothing of {wanted.symbol} that would do."
    name = held[0].name
    return (
        f" The store has {held[0]}: use --set data.source=store --set data.params.series='{name}'"
        f"{at_store(store.folder)}"
    )


def update_command(lineage: Lineage, folder: Path) -> str:
    """Return the command that brings a series up to date."""
    where = "" if folder == Path(DEFAULT) else f" --store {folder}"
    return f"rsc data update '{lineage.name}'{where}"


def at_store(folder: Path) -> str:
    """Return the option, after a space, that names a store other than the default one."""
    return "" if folder == Path(DEFAULT) else f" --set data.params.store={folder}"


def change_text(change: Mapping[Any, Any]) -> str:
    """Return a change as text: ``row 7 (2024-01-05 00:00) close 10.2 -> 10.4``."""
    time = f"row {change['row']} ({change['time']:%Y-%m-%d %H:%M})"
    old, new = change["old"], change["new"]
    if change["column"] == BAR:
        if pd.isna(old):
            return f"the bar of {change['time']:%Y-%m-%d %H:%M} is new"
        return f"{time} is gone"
    return f"{time} {change['column']} {old:.10g} -> {new:.10g}"


def _letters(symbol: str) -> str:
    """Return what vendors' spellings of a symbol have in common: IBM of ibm.us."""
    return symbol.upper().removesuffix(".US").replace("/", "").replace("-", "")


def _open_of(close: pd.Timestamp, interval: Interval) -> pd.Timestamp:
    """Return a time at which the bar that ends at a close has not opened yet.

    The midnight that ends a day in any zone is less than two days after the day's date begins.
    """
    return close - interval.length * (2 if interval.is_day else 1)


def _record(change: Mapping[Any, Any]) -> dict[str, Any]:
    values = {name: None if pd.isna(change[name]) else change[name] for name in ("old", "new")}
    about = {"row": int(change["row"]), "time": change["time"].isoformat()}
    return {**about, "column": change["column"], **values}
