"""The health of market data: all checks, and their result as sentences and a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.market.bars import DAY, MarketData
from reinforcestrategycreator_pipeline.market.health.clocks import clock_findings
from reinforcestrategycreator_pipeline.market.health.findings import (
    KINDS,
    Finding,
    finding,
    value_text,
)
from reinforcestrategycreator_pipeline.market.health.gaps import by_sessions
from reinforcestrategycreator_pipeline.market.health.habits import by_habit
from reinforcestrategycreator_pipeline.market.health.prices import price_findings
from reinforcestrategycreator_pipeline.market.places import Places
from reinforcestrategycreator_pipeline.market.sessions import sessions_of

_WHOLE_DAYS = 18 * 3600.0  # seconds between bars from which a day names them
_SHOWN = 3
_A_YEAR = 365 * DAY
INFERRED = "what the data show"
SURVIVORS = (
    "{} symbols have bars until the end. If any were delisted before, they are missing here, and "
    "results on those that survived are too good (survivorship bias)."
)


@dataclass(frozen=True, eq=False)
class Health:
    """Findings in market data.

    Attributes
    ----------
    data : MarketData
        Market data in which they were found.
    calendar : str
        What gaps were measured against, in words.
    findings : tuple of Finding
        In the order of `KINDS`, then by symbol.
    notes : tuple of str
        Sentences on the data as a whole.
    """

    data: MarketData
    calendar: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of a kind."""
        return tuple(one for one in self.findings if one.kind == kind)

    @property
    def grave(self) -> tuple[Finding, ...]:
        """The findings that are probably errors of the data."""
        return tuple(one for one in self.findings if one.grave)

    def count(self, kind: str) -> int:
        """Return the number of bars of a kind, over all symbols."""
        return sum(one.count for one in self.of(kind))

    def place(self, one: Finding, i: int) -> str:
        """Return the place of the bar `i` of a finding: ``"AAPL line 7 (2024-01-05)"``."""
        text, name = self.row(one, i), one.symbol if len(self.data) > 1 else ""
        time = self.time(one.symbol, int(one.bars[i]))
        where = f"{text} ({time})" if text else time
        return f"{name} {where}".strip()

    def row(self, one: Finding, i: int) -> str:
        """Return the row of the bar `i` of a finding: ``"line 7"``; empty if it has none."""
        row = None if one.rows is None else int(one.rows[i])
        return self._places(one.symbol).text(int(one.bars[i]), row)

    def time(self, symbol: str, bar: int) -> str:
        """Return the day of a bar, if bars are of days, else its close in UTC."""
        index = pd.DatetimeIndex(self.data[symbol].index)
        if self.data.bar_seconds >= _WHOLE_DAYS:
            day = self._places(symbol).days(index[bar : bar + 1])[0]
            return str(np.datetime64(int(day), "D"))
        return f"{index[bar]:%Y-%m-%d %H:%M} UTC"

    def lines(self, kind: str, most: int = _SHOWN) -> list[str]:
        """Return the first bars of a kind with their values, and how many there are more.

        Parameters
        ----------
        kind : str
            Key of `KINDS`.
        most : int
            Largest number of bars.
        """
        shown: list[str] = []
        total = 0
        for one in self.of(kind):
            total += len(one.bars)
            for i in range(min(len(one.bars), most - len(shown))):
                value = value_text(kind, float(one.values[i]))
                shown.append(f"{self.place(one, i)}{f': {value}' if value else ''}")
        return [*shown, *([f"and {total - len(shown):,} more"] if total > len(shown) else [])]

    def remarks(self, kind: str) -> list[str]:
        """Return the sentences on the findings of a kind, each once."""
        said: dict[str, list[str]] = {}
        for one in self.of(kind):
            if one.note:
                said.setdefault(one.note, []).append(one.symbol)
        alone = len(self.data) == 1
        return [note if alone else f"{_names(names)}: {note}" for note, names in said.items()]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each bar that was found: kind, symbol, origin, row, time, value, grave.

        `row` is the line in a text file, else the row counted from 1; missing if the source has no
        rows. `value` is that of `Finding.values`.
        """
        tables = [self._table(one) for one in self.findings if len(one.bars)]
        columns = ["kind", "symbol", "origin", "row", "time", "value", "grave"]
        if not tables:
            return pd.DataFrame(columns=columns)
        return pd.concat(tables, ignore_index=True)[columns]

    def _table(self, one: Finding) -> pd.DataFrame:
        places, bars = self._places(one.symbol), one.bars
        rows = one.rows if places.rows is None else places.rows[bars]
        numbers = [None] * len(bars) if rows is None else rows if one.rows is None else one.rows
        files: Any = places.origin
        if places.owners is not None:
            files = [places.file(int(bar)) for bar in bars]
        return pd.DataFrame(
            {
                "kind": one.kind,
                "symbol": one.symbol,
                "origin": files,
                "row": pd.array(numbers, dtype="Int64"),
                "time": pd.DatetimeIndex(self.data[one.symbol].index)[bars],
                "value": one.values,
                "grave": one.grave,
            }
        )

    def sentences(self) -> list[tuple[bool, str]]:
        """Return a sentence for each kind that was found, and whether it is grave, and the rest."""
        found, none = [], []
        for kind, (title, _) in KINDS.items():
            if not self.of(kind):
                none.append(title.lower())
                continue
            text = title.lower()
            if count := self.count(kind):
                unit = " bars" if kind in ("gap", "stale") and count > 1 else ""
                text += f": {count:,}{unit}: {'; '.join(self.lines(kind))}"
            grave = any(one.grave for one in self.of(kind))
            found.append((grave, ". ".join([text, *self.remarks(kind)[:_SHOWN]])))
        found += [(False, note) for note in self.notes]
        if none:
            found.append((False, f"none found: {', '.join(none)}"))
        return found

    def summary(self) -> dict[str, Any]:
        """Return counts and first places by kind, valid as JSON."""
        kinds = [
            {
                "kind": kind,
                "count": self.count(kind),
                "symbols": len({one.symbol for one in self.of(kind)}),
                "grave": any(one.grave for one in self.of(kind)),
                "first": "; ".join(self.lines(kind)),
                "remarks": self.remarks(kind)[:_SHOWN],
            }
            for kind in KINDS
            if self.of(kind)
        ]
        return {"calendar": self.calendar, "kinds": kinds, "notes": list(self.notes)}

    def _places(self, symbol: str) -> Places:
        return self.data.places.get(symbol) or Places(symbol)


def check_health(data: MarketData, calendar: str | None = None) -> Health:
    """Look for everything in market data that is missing, odd or suspicious.

    Nothing is changed. A finding is a suspicion with its row, not a proof.

    Parameters
    ----------
    data : MarketData
        Validated bars of all symbols.
    calendar : str, optional
        Name of the calendar, see `sessions_of`; by default, the days and times at which bars are
        due are those at which they mostly are.

    Raises
    ------
    ConfigError
        If there is no such calendar, or its package is missing.
    """
    step = round(data.bar_seconds * 1e9)
    times = {symbol: pd.DatetimeIndex(frame.index) for symbol, frame in data.items()}
    places = {symbol: data.places.get(symbol) or Places(symbol) for symbol in data}
    found: list[Finding] = []
    for symbol, frame in data.items():
        found += price_findings(symbol, frame, data.bar_seconds)
        found += _duplicates(symbol, places[symbol])
    if calendar is None:
        gaps, words = by_habit(times, places, step)
        said = f"{INFERRED}: {words}"
        found += gaps
    else:
        stamps = data.timestamps
        sessions = sessions_of(calendar, stamps[0], stamps[-1])
        said = calendar
        for symbol in data:
            found += by_sessions(symbol, times[symbol], places[symbol], step, sessions)
    suspect = {one.symbol for one in found if one.kind == "time_zone"}
    for symbol in data:
        if symbol not in suspect:
            found += clock_findings(symbol, times[symbol], places[symbol], step)
    kept = [one for one in found if len(one.bars) or one.note]
    order = list(KINDS)
    kept.sort(key=lambda one: (order.index(one.kind), one.symbol))
    return Health(data, said, tuple(kept), tuple(_notes(times, step)))


def _duplicates(symbol: str, places: Places) -> Iterator[Finding]:
    if len(places.duplicates):
        rows, bars = places.duplicates.T
        one = finding("duplicate", symbol, bars)
        yield Finding(one.kind, one.symbol, one.bars, one.values, rows=rows)


def _notes(times: Mapping[str, pd.DatetimeIndex], step: int) -> Iterator[str]:
    """Yield sentences on the symbols together."""
    if len(times) < 2:
        return
    last = max(index.asi8[-1] for index in times.values())
    first = min(index.asi8[0] for index in times.values())
    if last - first < _A_YEAR:
        return
    if all(last - index.asi8[-1] <= max(7 * DAY, 5 * step) for index in times.values()):
        yield SURVIVORS.format("Both" if len(times) == 2 else f"All {len(times)}")


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
