"""The roles of a file's columns: time, symbol, prices, volume, side data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Indices
from reinforcestrategycreator_pipeline.checks import Len, Strict, require_choice
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, nearest
from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table, TextColumn
from reinforcestrategycreator_pipeline.market.sources.files.names import (
    ROW_NUMBER,
    SPELLINGS,
    SYMBOL,
    SYMBOL_WORDS,
    TIME,
    is_adjusted,
    is_close_time,
    is_open_time,
    is_time,
    may_be,
    plain_name,
)
from reinforcestrategycreator_pipeline.market.sources.files.reading import stem_of
from reinforcestrategycreator_pipeline.market.sources.files.stamps import ParsedStamps
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, OHLCV


@dataclass(frozen=True, kw_only=True)
class ColumnLayout(Strict):
    """The parameters of a file source that assign roles to its columns.

    Parameters
    ----------
    symbol_column : str, optional
        Column with the symbol; by default, a column named symbol or ticker, if there is one.
    symbol : str, optional
        Symbol of a file without such a column; by default, the name of the file.
    timestamp_column : str, optional
        Column with the time; by default, a column named timestamp, datetime, date or time.
    columns : mapping of str to str
        Names in the file for open, high, low, close, volume and adj_close, where they differ in
        more than case and spaces.
    ignore : tuple of str
        Columns to skip. Other numeric columns become side data; text columns are skipped.
    adjusted_close : str
        Use of the adjusted close: ``auto`` adjusts prices if there is one, ``require`` rejects a
        file without one, ``ignore`` takes prices as they are.
    """

    kind: ClassVar[str]

    symbol_column: Annotated[str, Len(1)] | None = None
    symbol: Annotated[str, Len(1)] | None = None
    timestamp_column: Annotated[str, Len(1)] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    adjusted_close: Literal["auto", "require", "ignore"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.columns:
            require_choice(type(self).__name__, "columns", name, (*OHLCV, ADJUSTED_CLOSE))

    def names(self, table: Table) -> dict[str, str]:
        """Return the name in the file of each role; raise if a required column is missing."""
        for name in table.columns:
            if not name.isprintable():
                raise DataError(
                    f"{table.path}: the column name {name!r} contains a control character."
                )
        for name in self.ignore:
            if name not in table.columns:
                raise DataError(
                    f"{table.path}: there is no column {name!r} to ignore."
                    f"{nearest(name, table.columns)}"
                )
        names = {key: self._find(table, key) for key in SPELLINGS}
        needed = [TIME, *OHLCV]
        if self.adjusted_close == "require":
            needed.append(ADJUSTED_CLOSE)
        missing = [key for key in needed if names[key] is None]
        volumes = [c for c in table.columns if "vol" in plain_name(c) and c not in self.ignore]
        if "volume" in missing and not volumes:
            missing.remove("volume")  # indices and currencies have none
        if missing:
            hint = ""
            if missing == [ADJUSTED_CLOSE] and (alike := self._adjusted_prices(table, names)):
                hint = f" Is it {alike[0]!r}? Then set columns: {{adj_close: {alike[0]!r}}}."
            else:
                hint = self._naming_hint(table, missing, names)
            raise DataError(
                f"{table.path}: no column for {', '.join(missing)}; the file has "
                f"{', '.join(map(repr, table.columns))}.{hint}"
            )
        if self.adjusted_close == "ignore":
            names[ADJUSTED_CLOSE] = None
        return {key: name for key, name in names.items() if name is not None}

    def symbol_rows(self, table: Table, column: str | None) -> dict[str, Indices]:
        """Return the positions of each symbol's rows."""
        if column is None:
            name = stem_of(table.path) if self.symbol is None else self.symbol
            return {name: np.arange(table.n_rows)}
        if self.symbol is not None:
            raise ConfigError(
                f"The symbol parameter of {type(self).__name__} names the only symbol of a file, "
                f"but {table.path} has the column {column!r}. Remove the parameter, or ignore the "
                "column."
            )
        texts = pd.Series(table.columns[column].texts(), dtype=object)
        empty = np.flatnonzero((texts == "").to_numpy())
        if len(empty):
            bad = table.where.table(empty, column, [""] * len(empty), "is empty")
            raise DataError(f"{table.where(int(empty[0]))}: {column} is empty.", rows=bad)
        for symbol, rows in (groups := texts.groupby(texts).indices).items():
            if not str(symbol).isprintable():
                raise DataError(
                    f"{table.where(int(rows[0]))}: {column} {symbol!r} contains a control "
                    "character."
                )
        return {str(symbol): np.asarray(rows) for symbol, rows in groups.items()}

    def symbol_hint(self, table: Table, parsed: ParsedStamps) -> str:
        """Return a sentence on the column of text that tells rows of the same time apart."""
        name = self._telling(table, parsed)
        return f" Is {name!r} their symbol? Then set symbol_column: {name!r}." if name else ""

    def telling_symbol(self, table: Table, parsed: ParsedStamps) -> str | None:
        """Return the column that tells rows of the same time apart, if its name says symbol."""
        name = self._telling(table, parsed)
        return name if name is not None and plain_name(name) in SYMBOL_WORDS else None

    def _telling(self, table: Table, parsed: ParsedStamps) -> str | None:
        stamps = pd.Series(parsed.values)
        if self.symbol is not None or not stamps.duplicated().any():
            return None
        for name, column in table.columns.items():
            if name in self.ignore or is_time(name) or not isinstance(column, TextColumn):
                continue
            texts = pd.Series(column.texts(), dtype=object)
            rows = pd.DataFrame({"time": stamps, "text": texts})
            numeric = texts.str.fullmatch(r"[-+.\d]*").any()
            if texts.nunique() > 1 and not rows.duplicated().any() and not numeric:
                return name
        return None

    def values(self, table: Table, names: dict[str, str], found: Findings) -> dict[str, F64]:
        """Return the numbers of the bars and of the side data, by role or column name."""
        ours = {theirs: name for name, theirs in names.items()}
        not_read = self._not_read(table)
        if adjusted := self._adjusted_prices(table, names):
            looks, what = ("looks", "an adjusted price")
            if len(adjusted) > 1:
                looks, what = ("look", "adjusted prices")
            raw = "" if ADJUSTED_CLOSE in names else "; prices are taken as they are"
            found.warn(
                f"{table.path}: {', '.join(map(repr, adjusted))} {looks} like {what}, which later "
                f"events change: skipped{raw} (columns: {{adj_close: NAME}} names the adjusted "
                "close)."
            )
            not_read |= set(adjusted)
        not_read |= {c for c in table.columns if c not in ours and (c == ROW_NUMBER or is_time(c))}
        values: dict[str, F64] = {}
        for name in (*names.values(), *(c for c in table.columns if c not in ours)):
            if name in not_read:
                continue
            if name not in ours and name in names:
                raise DataError(
                    f"{table.path}: the configuration uses another column than {name!r} as the "
                    f"{name}; add {name!r} to ignore."
                )
            numbers = table.columns[name].numbers(ours.get(name, name), table.where)
            if numbers is not None:
                values[ours.get(name, name)] = numbers
            elif ours.get(name) == "volume" and not any(table.columns[name].texts()):
                continue
            elif name in ours:
                raise DataError(f"{table.path}: the column {name!r} contains no numbers.")
            else:
                found.note(f"{table.path}: the column {name!r} contains no numbers; skipped.")
        if "volume" not in values:
            found.warn(f"{table.path}: there is no volume; it is taken as 0.")
            values = {**values, "volume": np.zeros(table.n_rows)}
        return values

    def _naming_hint(
        self, table: Table, missing: list[str], names: Mapping[str, str | None]
    ) -> str:
        """Return a sentence on the columns whose names have a word of a role that is missing."""
        taken = {*names.values(), *self.ignore}
        free = [c for c in table.columns if c not in taken]
        alike = {key: [c for c in free if may_be(c, key)] for key in missing}
        if "volume" in missing and not alike["volume"]:
            alike["volume"] = [c for c in free if "vol" in plain_name(c)]
        settings = [f"timestamp_column: {c!r}" for c in alike.get(TIME, ())[:1]]
        if roles := [f"{k}: {v[0]!r}" for k, v in alike.items() if k != TIME and v]:
            settings.append(f"columns: {{{', '.join(roles)}}}")
        return f" Set {' and '.join(settings)}, if that is what they are." if settings else ""

    def _not_read(self, table: Table) -> set[str]:
        """Return the names of the columns that are neither bars nor side data."""
        found = {self._find(table, key) for key in (TIME, SYMBOL)} | set(self.ignore)
        if self.adjusted_close == "ignore":
            found.add(self._find(table, ADJUSTED_CLOSE))
        return {name for name in found if name is not None}

    def _adjusted_prices(self, table: Table, names: Mapping[str, str | None]) -> list[str]:
        """Return the columns without a role whose names say that they are adjusted prices."""
        taken = {*names.values(), *self._not_read(table)}
        return [c for c in table.columns if c not in taken and is_adjusted(c)]

    def _find(self, table: Table, key: str) -> str | None:
        """Return the column of a role, by configuration or by its name."""
        set_names = {TIME: self.timestamp_column, SYMBOL: self.symbol_column, **self.columns}
        wanted = set_names.get(key)
        if wanted is not None:
            if wanted not in table.columns:
                raise DataError(
                    f"{table.path}: no column {wanted!r} for {key}.{nearest(wanted, table.columns)}"
                )
            return wanted
        taken = {name for name in set_names.values() if name is not None} | set(self.ignore)
        found = [c for c in table.columns if plain_name(c) in SPELLINGS[key] and c not in taken]
        if key == TIME:  # a bar's end rather than its beginning
            for says in (is_close_time, is_open_time, is_time, ROW_NUMBER.__eq__):
                found = found or [c for c in table.columns if says(c) and c not in taken]
        if len(found) > 1:
            setting = {TIME: "timestamp_column", SYMBOL: "symbol_column"}.get(key, "columns")
            raise DataError(
                f"{table.path}: {' and '.join(map(repr, found))} may both be the {key}; choose one "
                f"with {setting}, or add the other to ignore."
            )
        return found[0] if found else None
