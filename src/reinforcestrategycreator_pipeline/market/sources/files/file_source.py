"""What the file sources share: parameters, names of columns, one set of rows a symbol."""

from __future__ import annotations

import datetime as dt
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.checks import Len, Strict, require, require_choice
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, nearest
from reinforcestrategycreator_pipeline.files import sha256_bytes
from reinforcestrategycreator_pipeline.market.adjustment import ADJUSTED_CLOSE
from reinforcestrategycreator_pipeline.market.bars import OHLCV, MarketData
from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table
from reinforcestrategycreator_pipeline.market.sources.files.stamps import StampRules, close_times
from reinforcestrategycreator_pipeline.market.splits import parse_instant
from reinforcestrategycreator_pipeline.market.validation import RawBars

MAX_DATA_BYTES = 2 * 1024**3
"""Largest file that is read: it is held in memory, as text several times over."""

_TIME = "timestamp"
_SYMBOL = "symbol"
_SPELLINGS = {
    _TIME: ("timestamp", "datetime", "date", "time", "__index_level_0__"),
    _SYMBOL: ("symbol", "ticker"),
    **{name: (name,) for name in OHLCV},
    ADJUSTED_CLOSE: ("adj_close", "adjclose", "adjusted_close"),
}


@dataclass(frozen=True, kw_only=True)
class FileSource(Strict, ABC):
    """Parameters of the sources that read files.

    Parameters
    ----------
    path : str
        A file, or a folder with one file for each symbol, called by it (``AAPL.csv``).
    symbol_column : str, optional
        Column with the symbol; by default one called symbol or ticker, if there is one.
    symbol : str, optional
        Name of the one symbol of a file without such a column; by default the file's name.
    timestamp_column : str, optional
        By default timestamp, datetime, date or time.
    columns : mapping of str to str
        Our name -> the file's, for open, high, low, close, volume, adj_close where they differ
        in more than case and spaces.
    ignore : tuple of str
        Columns not to read. Other numeric columns become side data; text is left out.
    adjusted_close : str
        ``auto``: adjust prices if there is an adjusted close; ``require``: refuse a file without
        one; ``ignore``: take the prices as they are.
    date_format : str, optional
        A strptime format, or epoch_s or epoch_ms. By default ISO 8601 and nothing else.
    timezone : str
        Where dates and times without an offset are meant.
    session_close : str, optional
        ``HH:MM`` at which the bar of a date closes; by default 24:00, when the day is over.
    bar_stamp : str
        ``close``: a time is the bar's close; ``open``: its open, so that the bars' spacing is
        added; ``auto``: close, but midnights throughout are dates.
    calendar : str
        ``weekdays`` reports the weekdays without a bar, ``none`` does not.
    as_of : str, optional
        Leave out bars that close after this ISO 8601 date or time. By default one last bar that
        closes later than now is dropped.
    """

    _owner: ClassVar[str]
    _suffixes: ClassVar[tuple[str, ...]]

    path: Annotated[str, Len(1)]
    symbol_column: Annotated[str, Len(1)] | None = None
    symbol: Annotated[str, Len(1)] | None = None
    timestamp_column: Annotated[str, Len(1)] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    adjusted_close: Literal["auto", "require", "ignore"] = "auto"
    date_format: Annotated[str, Len(1)] | None = None
    timezone: str = "UTC"
    session_close: str | None = None
    bar_stamp: Literal["auto", "close", "open"] = "auto"
    calendar: Literal["weekdays", "none"] = "weekdays"
    as_of: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = type(self).__name__
        require("\0" not in self.path, owner, "path", "a path", self.path)
        for name in self.columns:
            require_choice(owner, "columns", name, (*OHLCV, ADJUSTED_CLOSE))
        _require_timezone(owner, self.timezone)
        close = self.session_close
        ok = close is None or re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", close)
        require(bool(ok), owner, "session_close", "a time HH:MM", close)
        if self.as_of is not None:
            parse_instant(owner, "as_of", self.as_of)

    @abstractmethod
    def read_table(self, path: Path, content: bytes) -> Table:
        """Return the columns of one file; the file's format is the subclass's business."""

    def load(self, rng: np.random.Generator) -> MarketData:
        """Read, validate and adjust the bars; `rng` is not used."""
        raws: list[RawBars] = []
        notes: list[str] = []
        hashes: dict[str, str] = {}
        paths = list_files(Path(self.path), self._suffixes)
        folder = paths != [Path(self.path)]
        if folder and self.symbol is not None:
            raise ConfigError(
                f"The symbol parameter of {self._owner} names the one symbol of a file, but "
                f"{self.path} is a folder, whose files give the names."
            )
        for path in paths:
            content = read_content(path)
            hashes[path.name] = sha256_bytes(content)
            raws += self._raw_bars(self.read_table(path, content), notes)
        as_of = None if self.as_of is None else parse_instant(self._owner, "as_of", self.as_of)
        return prepare(
            raws,
            {"source": self._owner, "path": self.path, "sha256": hashes},
            notes=notes,
            as_of=as_of,
            clock=utc_now() if as_of is None else None,
            weekdays_in=self.timezone if self.calendar == "weekdays" else None,
        )

    def _raw_bars(self, table: Table, notes: list[str]) -> list[RawBars]:
        names = self._names(table)
        if table.n_rows == 0:
            raise DataError(f"{table.path}: has a header, but no rows.")
        rules = StampRules(self.date_format, self.timezone, self.session_close, self.bar_stamp)
        time_name = names.pop(_TIME)
        parsed = table.columns[time_name].stamps(rules, time_name, table.where)
        stamps, said = close_times(parsed, rules, time_name, table.where)
        notes += [f"{table.path}: {text}" for text in said]
        symbols = self._symbols(table, names.pop(_SYMBOL, None))
        frame = pd.DataFrame(self._values(table, names, notes), index=stamps)
        return [
            RawBars(
                symbol,
                str(table.path),
                frame.iloc[rows],
                None if table.lines is None else table.lines[rows],
            )
            for symbol, rows in symbols.items()
        ]

    def _values(
        self, table: Table, names: dict[str, str], notes: list[str]
    ) -> dict[str, NDArray[np.float64]]:
        ours = {theirs: name for name, theirs in names.items()}
        not_read = self._not_read(table)
        values: dict[str, NDArray[np.float64]] = {}
        for name in (*names.values(), *(c for c in table.columns if c not in ours)):
            if name in not_read:
                continue
            if name not in ours and name in names:
                raise DataError(
                    f"{table.path}: the column {name!r} is not the {name}, by the configuration; "
                    "name it in ignore."
                )
            numbers = table.columns[name].numbers(ours.get(name, name), table.where)
            if numbers is not None:
                values[ours.get(name, name)] = numbers
            elif name in ours:
                raise DataError(f"{table.path}: the column {name!r} holds no numbers.")
            else:
                notes.append(f"{table.path}: the column {name!r} holds no numbers; left out.")
        return values

    def _not_read(self, table: Table) -> set[str]:
        """Return the names of the columns that are neither bars nor side data."""
        found = {self._find(table, key) for key in (_TIME, _SYMBOL)} | set(self.ignore)
        if self.adjusted_close == "ignore":
            found.add(self._find(table, ADJUSTED_CLOSE))
        return {name for name in found if name is not None}

    def _names(self, table: Table) -> dict[str, str]:
        """Return our name -> the file's for everything that is there; refuse what is missing."""
        for name in table.columns:
            if not name.isprintable():
                raise DataError(
                    f"{table.path}: the column name {name!r} holds a control character."
                )
        for name in self.ignore:
            if name not in table.columns:
                raise DataError(
                    f"{table.path}: there is no column {name!r} to ignore."
                    f"{nearest(name, table.columns)}"
                )
        names = {key: self._find(table, key) for key in _SPELLINGS}
        needed = [_TIME, *OHLCV]
        if self.adjusted_close == "require":
            needed.append(ADJUSTED_CLOSE)
        missing = [key for key in needed if names[key] is None]
        if missing:
            raise DataError(
                f"{table.path}: no column for {', '.join(missing)}; the file has "
                f"{', '.join(map(repr, table.columns))}."
            )
        if self.adjusted_close == "ignore":
            names[ADJUSTED_CLOSE] = None
        return {key: name for key, name in names.items() if name is not None}

    def _find(self, table: Table, key: str) -> str | None:
        """Return the file's name of a column of ours, by configuration or by spelling."""
        set_names = {_TIME: self.timestamp_column, _SYMBOL: self.symbol_column, **self.columns}
        wanted = set_names.get(key)
        if wanted is not None:
            if wanted not in table.columns:
                raise DataError(
                    f"{table.path}: no column {wanted!r} for {key}.{nearest(wanted, table.columns)}"
                )
            return wanted
        taken = {name for name in set_names.values() if name is not None} | set(self.ignore)
        found = [
            name
            for name in table.columns
            if re.sub(r"[\s_-]+", "_", name.strip().lower()) in _SPELLINGS[key]
            and name not in taken
        ]
        if len(found) > 1:
            setting = {_TIME: "timestamp_column", _SYMBOL: "symbol_column"}.get(key, "columns")
            raise DataError(
                f"{table.path}: {' and '.join(map(repr, found))} may both be the {key}; say which "
                f"by {setting}, or name the other in ignore."
            )
        return found[0] if found else None

    def _symbols(self, table: Table, column: str | None) -> dict[str, NDArray[np.intp]]:
        """Return the positions of each symbol's rows."""
        if column is None:
            name = table.path.stem if self.symbol is None else self.symbol
            return {name: np.arange(table.n_rows)}
        if self.symbol is not None:
            raise ConfigError(
                f"The symbol parameter of {self._owner} names the one symbol of a file, but "
                f"{table.path} has the column {column!r}. Leave it out, or ignore the column."
            )
        texts = pd.Series(table.columns[column].texts(), dtype=object)
        empty = np.flatnonzero((texts == "").to_numpy())
        if len(empty):
            raise DataError(f"{table.where(int(empty[0]))}: {column} is empty.")
        for symbol, rows in (groups := texts.groupby(texts).indices).items():
            if not str(symbol).isprintable():
                raise DataError(
                    f"{table.where(int(rows[0]))}: {column} {symbol!r} holds a control character."
                )
        return {str(symbol): np.asarray(rows) for symbol, rows in groups.items()}


def list_files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of a folder that end so, sorted; a path that is no folder is the file."""
    try:
        if not path.is_dir():
            return [path]
        members = sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    found = [p for p in members if p.suffix.lower() in suffixes and not p.name.startswith(".")]
    if not found:
        raise DataError(f"{path}: the folder holds no file in {' or '.join(suffixes)}.")
    return found


def read_content(path: Path) -> bytes:
    """Return a file's bytes, or say in one line why not."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is not an ordinary file.")
        if (size := path.stat().st_size) > MAX_DATA_BYTES:
            raise DataError(
                f"{path}: has {size} bytes; a file may have at most {MAX_DATA_BYTES}. "
                "Split it, one file a symbol."
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.{_nearest_sibling(path)}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    if not content:
        raise DataError(f"{path}: the file is empty.")
    return content


def _nearest_sibling(path: Path) -> str:
    try:
        hint = nearest(path.name, [p.name for p in path.parent.iterdir()])
    except OSError:
        return f" There is no folder {path.parent}."
    return hint if "Did you mean" in hint else ""


def utc_now() -> pd.Timestamp:
    """Return the present; tests replace it."""
    return pd.Timestamp(dt.datetime.now(dt.UTC))


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
