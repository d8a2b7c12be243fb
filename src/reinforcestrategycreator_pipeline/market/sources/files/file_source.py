"""The base of the file sources: from the tables of a file or folder to market data."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Bools
from reinforcestrategycreator_pipeline.checks import Ge, Le, Len, require
from reinforcestrategycreator_pipeline.errors import DataError, nearest
from reinforcestrategycreator_pipeline.files import sha256_bytes
from reinforcestrategycreator_pipeline.market.bad_rows import Where
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.sources.files.closes import close_times
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table
from reinforcestrategycreator_pipeline.market.sources.files.joining import (
    Part,
    join_parts,
    joined_frame,
    joined_stamps,
)
from reinforcestrategycreator_pipeline.market.sources.files.late_columns import (
    without_late_starts,
)
from reinforcestrategycreator_pipeline.market.sources.files.layout import ColumnLayout
from reinforcestrategycreator_pipeline.market.sources.files.layout_catalog import (
    AUTO,
    NONE,
    layouts_named,
)
from reinforcestrategycreator_pipeline.market.sources.files.names import SYMBOL, TIME
from reinforcestrategycreator_pipeline.market.sources.files.reading import (
    fingerprint_files,
    list_files,
    read_content,
    stem_of,
    unpacked,
)
from reinforcestrategycreator_pipeline.market.sources.files.readings import Reading, Readings
from reinforcestrategycreator_pipeline.market.sources.files.recognition import (
    date_format,
    merged,
    roles_of,
)
from reinforcestrategycreator_pipeline.market.sources.files.stamps import (
    StampRules,
    localized,
    settled,
)
from reinforcestrategycreator_pipeline.market.validation import RawBars, widen
from reinforcestrategycreator_pipeline.market.windows import last_moment, parse_instant
from reinforcestrategycreator_pipeline.ohlcv import PRICES


@dataclass(frozen=True, kw_only=True)
class TableSource(StampRules, ColumnLayout):
    """A source of tables: its parameters, and the way from tables to market data.

    Parameters
    ----------
    layout : str
        Layout of the files (``rsc data layouts``): ``auto`` recognizes it, and the form of the
        files, from the names and a sample of rows, for parameters at their defaults; ``none`` takes
        files as the parameters say.
    calendar : str
        Report on missing days: ``weekdays`` lists weekdays without a bar, ``none`` lists nothing.
    symbols : tuple of str
        Symbols to read, of those that are there; by default, all.
    start : str, optional
        ISO 8601 date or time after which the bars close; earlier ones are omitted, whatever their
        numbers are.
    end : str, optional
        ISO 8601 date, whose day in `timezone` is the last, or time, by which the bars close; later
        ones are omitted, whatever their numbers are.
    drop_empty : bool
        Whether rows without any price are omitted; by default, they are an error.
    tolerance : float
        Relative size, 0 to 0.01, by which a high may be too low, or a low too high; the bar is
        widened.
    as_of : str, optional
        Latest allowed close, as an ISO 8601 date or time; later bars are omitted. By default, one
        last bar that closes in the future is dropped.

    See Also
    --------
    ColumnLayout, StampRules : the other parameters.
    """

    kind: ClassVar[str]

    layout: Annotated[str, Len(1)] = AUTO
    calendar: Literal["weekdays", "none"] = "weekdays"
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    drop_empty: bool = False
    tolerance: Annotated[float, Ge(0), Le(0.01)] = 0.0
    as_of: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        layouts_named(self.layout)
        for name in ("start", "end", "as_of"):
            if getattr(self, name) is not None:
                parse_instant(type(self).__name__, name, getattr(self, name))

    def market_data(self, tables: Iterable[Table], provenance: Mapping[str, Any]) -> MarketData:
        """Validate and adjust the bars of some tables.

        Parameters
        ----------
        tables : iterable of Table
            Tables of one or more symbols.
        provenance : mapping
            Origin of the tables; iterating over `tables` may complete it.

        Raises
        ------
        DataError
            If a table breaks a rule.
        """
        found = Findings()
        said = Readings()
        parts = [part for table in tables for part in self._parts(table, found, said)]
        said.tell(found)
        origin = str(provenance.get("path", "bars"))
        groups = self._chosen(join_parts(parts, found), origin)
        guesses: dict[str, list[str]] = {}
        raws = []
        for symbol, group in groups.items():
            raw, guessed = self._raw_bars(symbol, group, found)
            for text in guessed:
                guesses.setdefault(text, []).append(raw.origin)
            raws.append(raw)
        for text, origins in guesses.items():
            different = list(dict.fromkeys(origins))
            more = f" and {len(different) - 1} more" if len(different) > 1 else ""
            found.warn(f"{different[0]}{more}: {text}")
        as_of = (
            None if self.as_of is None else parse_instant(type(self).__name__, "as_of", self.as_of)
        )
        return prepare(
            raws,
            {**provenance, **said.record()},
            found=found,
            as_of=as_of,
            clock=utc_now(),
            timezone=self.timezone,
            weekdays=self.calendar == "weekdays",
        )

    def _chosen(self, groups: dict[str, list[Part]], origin: str) -> dict[str, list[Part]]:
        for name in self.symbols:
            if name not in groups:
                raise DataError(
                    f"{origin}: there is no symbol {name!r}.{nearest(name, sorted(groups))}"
                )
        return {s: g for s, g in groups.items() if not self.symbols or s in self.symbols}

    def recognized(self, table: Table) -> tuple[TableSource, Reading]:
        """Return the source with what the table says of itself, and what that is, in words.

        Raises
        ------
        DataError
            If the table does not have the layout of the configuration, or allows several formats.
        """
        reader: TableSource = merged(self, table.form.parameters)
        if self.layout == NONE:
            return reader, Reading({}, table.form.notes, table.form.warnings, None)
        stem = stem_of(table.path)
        found = roles_of(table, layouts_named(self.layout), stem, reader)
        layout = table.form.layout or found.layout
        if self.layout != AUTO and layout is None:
            raise DataError(
                f"{table.path}: does not have the layout {self.layout!r}; its columns are "
                f"{', '.join(map(repr, table.columns))}."
            )
        taken = {**table.form.parameters, **found.parameters}
        reader = merged(reader, found.parameters)
        notes = (*table.form.notes, *found.notes)
        if reader.date_format is None and table.n_rows:
            column = reader.names(table)[TIME]
            if form := date_format(table, column):
                taken["date_format"] = form
                reader = replace(reader, date_format=form)
                notes = (*notes, f"every {column} is read by {form!r}")
        return reader, Reading(taken, notes, table.form.warnings, layout)

    def _parts(self, table: Table, found: Findings, said: Readings) -> list[Part]:
        """Return the rows of each symbol of a table."""
        reader, reading = self.recognized(table)
        said.add(table.path, reading)
        return reader._read_parts(table, found)

    def _read_parts(self, table: Table, found: Findings) -> list[Part]:
        names = self.names(table)
        if table.n_rows == 0:
            raise DataError(f"{table.path}: has a header, but no rows.")
        time_name = names.pop(TIME)
        parsed = table.columns[time_name].stamps(self, time_name, table.where)
        local = parsed.kind == "local"
        parsed = settled(parsed, self, time_name, table.where)
        symbol_column = names.pop(SYMBOL, None)
        if symbol_column is None and self.layout != NONE:
            symbol_column = self.telling_symbol(table, parsed)
            if symbol_column is not None:
                found.warn(
                    f"{table.path}: {symbol_column!r} tells rows of the same time apart: it is the "
                    "symbol (symbol_column)."
                )
        by_name = symbol_column is None and self.symbol is None
        values = pd.DataFrame(self.values(table, names, found))
        empty = values[list(PRICES)].isna().all(axis=1).to_numpy()
        if self.drop_empty and empty.any():
            found.warn(f"{table.path}: rows without any price were dropped: {int(empty.sum())}.")
        kept = ~empty if self.drop_empty else np.ones(table.n_rows, dtype=bool)
        groups = self.symbol_rows(table, symbol_column)
        groups = {symbol: rows[kept[rows]] for symbol, rows in groups.items()}
        hint = self.symbol_hint(table, parsed) if symbol_column is None else ""
        if not hint and local and self.timezone == "UTC" and on_sundays(parsed.values):
            hint = " If the clock goes back there, set timezone and clock_change: infer."
        return [
            Part(
                symbol,
                table.path,
                time_name,
                parsed.rows(rows),
                values.iloc[rows],
                None if table.lines is None else table.lines[rows],
                stem_of(table.path) if by_name else "",
                hint,
                rules=self,
            )
            for symbol, rows in groups.items()
            if len(rows)
        ]

    def _raw_bars(
        self, symbol: str, group: Sequence[Part], found: Findings
    ) -> tuple[RawBars, tuple[str, ...]]:
        """Return the bars of one symbol, and what had to be guessed."""
        first = group[0]
        origin = str(first.path if len(group) == 1 else first.path.parent)
        where = Where(Path(origin), first.lines if len(group) == 1 else None)

        def localize(local: pd.DatetimeIndex) -> pd.DatetimeIndex:
            return localized(local, self, first.column, where)

        closes = close_times(
            joined_stamps(symbol, group), self._rules(first), first.column, origin, localize
        )
        frame = joined_frame(symbol, group).set_axis(closes.times, axis=0)
        numbers = np.concatenate([part.numbers for part in group])
        named = all(part.lines is not None for part in group)
        counts = [len(part.frame) for part in group]
        kept = self._between(closes.times, f"{origin}: {symbol}", found)
        inside = np.flatnonzero(kept)
        cut, begun, late = without_late_starts(frame.iloc[inside], closes.times[inside])
        frame = frame[list(cut.columns)]
        kept[inside] = begun
        for text in late:
            found.warn(f"{origin}: {symbol}: {text}")
        if not kept.all():
            frame, numbers = frame[kept], numbers[kept]
            owners = np.repeat(np.arange(len(group)), counts)[kept]
            counts = np.bincount(owners, minlength=len(group)).tolist()
        starts = np.cumsum([0, *counts])
        if self.tolerance and (widened := widen(frame, self.tolerance)):
            found.warn(f"{origin}: {symbol}: bars were widened to hold their prices: {widened}.")
        files = tuple((int(n), p.path.name) for n, p in zip(starts, group, strict=False))
        raw = RawBars(
            symbol,
            origin,
            frame,
            numbers if named else None,
            files if len(group) > 1 else (),
            closes.shift_ns,
            first.hint,
            None if named else numbers,
        )
        return raw, closes.guesses

    def _between(self, times: pd.DatetimeIndex, where: str, found: Findings) -> Bools:
        """Return which closes are after the start and by the end; say how many are not."""
        kept: Bools = np.ones(len(times), dtype=bool)
        if self.start is not None:
            kept &= times > parse_instant(type(self).__name__, "start", self.start)
            if not kept.any():
                raise DataError(
                    f"{where}: no bar closes after {self.start}, the start; the last closes at "
                    f"{times.max()}."
                )
            if early := int((~kept).sum()):
                found.warn(f"{where}: bars that close by {self.start} were omitted: {early}.")
        if self.end is not None:
            last = last_moment(type(self).__name__, "end", self.end, self.timezone)
            late = times > last
            if late.all():
                raise DataError(
                    f"{where}: no bar closes by {self.end}, the end; the first closes at "
                    f"{times.min()}."
                )
            if late.any():
                found.warn(
                    f"{where}: bars that close after {self.end} were omitted: {int(late.sum())}."
                )
            kept &= ~late
            if not kept.any():
                raise DataError(f"{where}: no bar closes between {self.start} and {self.end}.")
        return kept

    def _rules(self, part: Part) -> StampRules:
        """Return what is known of the stamps of a part."""
        return part.rules or self


@dataclass(frozen=True, kw_only=True)
class FileSource(TableSource, ABC):
    """A source that reads files; the subclass of each format sets its `kind` and `suffixes`.

    Parameters
    ----------
    path : str
        File, or folder of files, each named after its symbol (``AAPL.csv``) or, if there are
        several with the rows of these times, after symbol and time (``AAPL-2024-01.csv``,
        ``AAPL-2024-02.csv``).

    See Also
    --------
    TableSource, ColumnLayout, StampRules : the other parameters.
    """

    suffixes: ClassVar[tuple[str, ...]]

    path: Annotated[str, Len(1)]

    def __post_init__(self) -> None:
        super().__post_init__()
        require("\0" not in self.path, type(self).__name__, "path", "a path", self.path)

    @abstractmethod
    def read_table(self, path: Path, content: bytes) -> Table:
        """Return the columns of one file in the format of the subclass."""

    def fingerprint(self) -> dict[str, str]:
        """Return the SHA-256 of each input file, by name."""
        return fingerprint_files(Path(self.path), self.suffixes)

    def load(self, rng: np.random.Generator) -> MarketData:
        """Read, validate and adjust the bars; `rng` is unused."""
        hashes: dict[str, str] = {}
        paths = list_files(Path(self.path), self.suffixes)

        def tables() -> Iterator[Table]:
            for path in paths:
                content = read_content(path)
                hashes[path.name] = sha256_bytes(content)
                for inner, text in unpacked(path, content, self.suffixes):
                    yield self.read_table(inner, text)

        provenance = {"source": self.kind, "path": self.path, "sha256": hashes}
        return self.market_data(tables(), provenance)


def on_sundays(times: pd.DatetimeIndex) -> bool:
    """Return whether some times occur twice, all of them on Sundays, when clocks are changed."""
    twice = times[times.duplicated()]
    return len(twice) > 0 and bool((twice.day_of_week == 6).all())


def utc_now() -> pd.Timestamp:
    """Return the current time; tests replace it."""
    return pd.Timestamp(dt.datetime.now(dt.UTC))
