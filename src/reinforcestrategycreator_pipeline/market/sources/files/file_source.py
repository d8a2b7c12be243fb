"""The base of the file sources: from the tables of a file or folder to market data."""

from __future__ import annotations

import datetime as dt
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.checks import Len, require
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, nearest
from reinforcestrategycreator_pipeline.files import sha256_bytes
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table
from reinforcestrategycreator_pipeline.market.sources.files.layout import (
    SYMBOL,
    TIME,
    ColumnLayout,
)
from reinforcestrategycreator_pipeline.market.sources.files.reading import (
    fingerprint_files,
    list_files,
    read_content,
)
from reinforcestrategycreator_pipeline.market.sources.files.stamps import StampRules, close_times
from reinforcestrategycreator_pipeline.market.validation import RawBars, check_values
from reinforcestrategycreator_pipeline.market.windows import parse_instant

# BTCUSDT-1h-2024-12, AAPL_2024, AAPL.20240131
_DATED = re.compile(r"(?P<symbol>.*?[^\W_])[-_. ]+(?:19|20)\d{2}(?:[-_.]?\d{2}(?:[-_.]?\d{2})?)?")


@dataclass(frozen=True, kw_only=True)
class TableSource(StampRules, ColumnLayout):
    """A source of tables: its parameters, and the way from tables to market data.

    Parameters
    ----------
    calendar : str
        Report on missing days: ``weekdays`` lists weekdays without a bar, ``none`` lists nothing.
    symbols : tuple of str
        Symbols to read, of those that are there; by default, all.
    as_of : str, optional
        Latest allowed close, as an ISO 8601 date or time; later bars are omitted. By default, one
        last bar that closes in the future is dropped.

    See Also
    --------
    ColumnLayout, StampRules : the other parameters.
    """

    kind: ClassVar[str]

    calendar: Literal["weekdays", "none"] = "weekdays"
    symbols: tuple[str, ...] = ()
    as_of: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.as_of is not None:
            parse_instant(type(self).__name__, "as_of", self.as_of)

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
        raws: list[RawBars] = []
        notes: list[str] = []
        warnings: list[str] = []
        for table in tables:
            raws += self._raw_bars(table, notes, warnings)
        raws = join_files(raws, warnings)
        if self.symbols:
            there = {raw.symbol for raw in raws}
            for name in self.symbols:
                if name not in there:
                    raise DataError(f"there is no symbol {name!r}.{nearest(name, sorted(there))}")
            raws = [raw for raw in raws if raw.symbol in self.symbols]
        as_of = (
            None if self.as_of is None else parse_instant(type(self).__name__, "as_of", self.as_of)
        )
        return prepare(
            raws,
            provenance,
            warnings=warnings,
            notes=notes,
            as_of=as_of,
            clock=utc_now() if as_of is None else None,
            timezone=self.timezone,
            weekdays=self.calendar == "weekdays",
        )

    def _raw_bars(self, table: Table, notes: list[str], warnings: list[str]) -> list[RawBars]:
        names = self.names(table)
        if table.n_rows == 0:
            raise DataError(f"{table.path}: has a header, but no rows.")
        time_name = names.pop(TIME)
        parsed = table.columns[time_name].stamps(self, time_name, table.where)
        stamps, said = close_times(parsed, self, time_name, table.where)
        warnings += [f"{table.path}: {text}" for text in said]
        symbols = self.symbol_rows(table, names.pop(SYMBOL, None))
        frame = pd.DataFrame(self.values(table, names, notes, warnings), index=stamps)
        return [
            RawBars(
                symbol,
                str(table.path),
                frame.iloc[rows],
                None if table.lines is None else table.lines[rows],
            )
            for symbol, rows in symbols.items()
        ]


@dataclass(frozen=True, kw_only=True)
class FileSource(TableSource, ABC):
    """A source that reads files; the subclass of each format sets its `kind` and `suffixes`.

    Parameters
    ----------
    path : str
        File, or folder of files, each named after its symbol (``AAPL.csv``) or, if there are
        several, after symbol and time (``AAPL-2024-01.csv``, ``AAPL-2024-02.csv``).

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
        folder = paths != [Path(self.path)]
        if folder and self.symbol is not None:
            raise ConfigError(
                f"The symbol parameter of {type(self).__name__} names the only symbol of a "
                f"file, but {self.path} is a folder, whose file names give the symbols."
            )

        def tables() -> Iterator[Table]:
            for path in paths:
                content = read_content(path)
                hashes[path.name] = sha256_bytes(content)
                yield self.read_table(path, content)

        provenance = {"source": self.kind, "path": self.path, "sha256": hashes}
        return self.market_data(tables(), provenance)


def join_files(raws: Sequence[RawBars], notes: list[str]) -> list[RawBars]:
    """Join the files of one symbol: named after it and a time, or with a column of symbols."""
    stems = {
        raw.symbol: _DATED.fullmatch(raw.symbol)
        for raw in raws
        if Path(raw.origin).stem == raw.symbol
    }
    bases = Counter(match["symbol"] for match in stems.values() if match)
    groups: dict[str, list[RawBars]] = {}
    for raw in raws:
        match = stems.get(raw.symbol)
        base = match["symbol"] if match and bases[match["symbol"]] > 1 else raw.symbol
        groups.setdefault(base, []).append(raw)
    joined: list[RawBars] = []
    for symbol, group in groups.items():
        # A.csv beside A.txt are not two parts of one symbol.
        whole = len(group) > 1 and all(Path(raw.origin).stem == symbol for raw in group)
        joined += group if whole else [_joined(symbol, group, notes)]
    return joined


def _joined(symbol: str, group: Sequence[RawBars], notes: list[str]) -> RawBars:
    if len(group) == 1:
        return group[0] if group[0].symbol == symbol else replace(group[0], symbol=symbol)
    for raw in group:
        check_values(raw)  # while its rows still have lines
    first = group[0]
    for raw in group[1:]:
        if list(raw.frame.columns) != list(first.frame.columns):
            odd = set(raw.frame.columns) ^ set(first.frame.columns)
            raise DataError(
                f"{raw.origin}: {symbol} is in several files, whose columns differ: {first.origin} "
                f"has {', '.join(map(str, sorted(odd)))} or lacks it."
            )
    names = [Path(raw.origin).name for raw in group]
    folder = str(Path(first.origin).parent)
    notes.append(
        f"{folder}: the {len(group)} files {names[0]} to {names[-1]} are one symbol, {symbol}."
    )
    return RawBars(symbol, folder, pd.concat([raw.frame for raw in group]))


def utc_now() -> pd.Timestamp:
    """Return the current time; tests replace it."""
    return pd.Timestamp(dt.datetime.now(dt.UTC))
