"""The parts of symbols in tables and files, and their union: one symbol's months, or symbols."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.sources.files.names import plain_name
from reinforcestrategycreator_pipeline.market.sources.files.stamps import ParsedStamps, StampRules

_DATE = r"(?:19|20)\d\d(?:[-_.]?(?:Q[1-4]|(?:0[1-9]|1[0-2])(?:[-_.]?(?:0[1-9]|[12]\d|3[01]))?))?"
# BTCUSDT-1h-2024-12, AAPL_2024, AAPL.20240131, AAPL_20240101_20240630, 2024-01-02
_DATED = re.compile(rf"(?:^|(?<=[-_. ]))({_DATE})(?:[-_. ]+(?:to[-_. ]+)?({_DATE}))?(?=[-_. ]|$)")
_SEPARATORS = "-_. "


@dataclass(frozen=True)
class Part:
    """The rows of one symbol in one table.

    Attributes
    ----------
    symbol : str
        The symbol, from a column, the configuration or the name of the file.
    path : Path
        The table's file.
    column : str
        Name of the column of its stamps.
    stamps : ParsedStamps
        The stamps, `stamps.settled`.
    frame : DataFrame
        Numbers of the rows, by role or column name.
    lines : ndarray of int, optional
        Line of each row in a text file.
    stem : str
        Name of the file without its endings, if it gave the symbol; else empty.
    hint : str
        A sentence for the error on rows that contradict one another.
    stamped : bool
        Whether the stamps are known to be closes.
    rules : StampRules, optional
        What is known of the stamps.
    """

    symbol: str
    path: Path
    column: str
    stamps: ParsedStamps
    frame: pd.DataFrame
    lines: Ints | None = None
    stem: str = ""
    hint: str = ""
    stamped: bool = False
    rules: StampRules | None = None

    @property
    def numbers(self) -> Ints:
        """Line of each row in a text file, else the row counted from 1."""
        if self.lines is not None:
            return self.lines
        return self.frame.index.to_numpy(np.int64) + 1


@dataclass(frozen=True)
class _Period:
    """The time in the name of a file: first and last day."""

    base: str
    start: pd.Timestamp
    end: pd.Timestamp

    def holds(self, part: Part) -> bool:
        """Return whether all rows are of this time, but for a few days at its ends."""
        days = max(1, min(7, (self.end - self.start).days + 1)) + 1
        slack = pd.Timedelta(days, "D")
        naive = part.stamps.values.tz_localize(None)
        return bool(naive.min() >= self.start - slack and naive.max() <= self.end + slack)


def join_parts(parts: Sequence[Part], found: Findings) -> dict[str, list[Part]]:
    """Return the parts of each symbol.

    Files whose names differ only by a time are parts of one symbol if their rows are of that time:
    the months of BTCUSDT-1m-2024-01.csv. If no file's are, each is a symbol: CL_2024-03.csv, a
    contract that expires then.

    Raises
    ------
    DataError
        If some files keep to the time in their names and others do not.
    """
    periods = [_period(part) for part in parts]
    bases: dict[str, list[int]] = {}
    for i, period in enumerate(periods):
        if period is not None:
            bases.setdefault(period.base, []).append(i)
    symbols = [part.symbol for part in parts]
    for base, members in bases.items():
        if len(members) < 2:
            continue
        inside = [i for i in members if (p := periods[i]) is not None and p.holds(parts[i])]
        first, last = (parts[members[k]].path.name for k in (0, -1))
        files = f"{parts[members[0]].path.parent}: the {len(members)} files {first} to {last}"
        if not inside:
            found.warn(
                f"{files} are symbols of their own: their rows are not of the times in their "
                "names (symbol: NAME joins them)."
            )
            continue
        if odd := [i for i in members if i not in inside]:
            part = parts[odd[0]]
            naive = part.stamps.values.tz_localize(None)
            raise DataError(
                f"{part.path}: has rows from {naive.min()} to {naive.max()}, which is not the time "
                f"in its name, as it is in {parts[inside[0]].path.name}. Rename the file, or set "
                "symbol: NAME if all files are of one symbol."
            )
        found.warn(f"{files} are one symbol, {base}.")
        for i in members:
            symbols[i] = base
    groups: dict[str, list[Part]] = {}
    for symbol, part in zip(symbols, parts, strict=True):
        groups.setdefault(symbol, []).append(part)
    for symbol, group in groups.items():
        # A.csv beside A.txt are not two parts of one symbol.
        if len(group) > 1 and all(part.stem == symbol for part in group):
            raise DataError(f"{group[1].path}: the symbol {symbol!r} occurs twice.")
    _say_if_successive(groups, found)
    return groups


def joined_frame(symbol: str, group: Sequence[Part]) -> pd.DataFrame:
    """Return the rows of all parts of one symbol, without stamps.

    Raises
    ------
    DataError
        If their columns differ.
    """
    first = group[0]
    for part in group[1:]:
        if list(part.frame.columns) != list(first.frame.columns):
            odd = set(part.frame.columns) ^ set(first.frame.columns)
            what = ", ".join(map(str, sorted(odd))) or "the same columns in another order"
            raise DataError(
                f"{part.path}: {symbol} is in several files, whose columns differ: {first.path} "
                f"has {what} or lacks it."
            )
    return pd.concat([part.frame for part in group], ignore_index=True)


def joined_stamps(symbol: str, group: Sequence[Part]) -> ParsedStamps:
    """Return the stamps of all parts of one symbol.

    Raises
    ------
    DataError
        If they are not of one kind.
    """
    first = group[0]
    if len(group) == 1:
        return first.stamps
    for part in group[1:]:
        if plain_name(part.column) != plain_name(first.column):
            raise DataError(
                f"{part.path}: {symbol} is in several files, whose times differ: {first.path} has "
                f"{first.column!r}, it has {part.column!r}. Set timestamp_column."
            )
        if part.stamps.kind != first.stamps.kind:
            raise DataError(
                f"{part.path}: {symbol} is in several files, whose times differ: dates in one, "
                f"times in the other ({first.path}). Set bar_stamp."
            )
    values = pd.DatetimeIndex(np.concatenate([p.stamps.values.asi8 for p in group]))
    labels = _all_of([part.stamps.labels for part in group])
    clock = _all_of([part.stamps.clock for part in group])
    zoned = values.tz_localize(first.stamps.values.tz) if first.stamps.values.tz else values
    return ParsedStamps(first.stamps.kind, zoned, labels, clock)


def _all_of(pieces: Sequence[pd.DatetimeIndex | None]) -> pd.DatetimeIndex | None:
    known = [piece.asi8 for piece in pieces if piece is not None]
    return pd.DatetimeIndex(np.concatenate(known)) if len(known) == len(pieces) else None


def _period(part: Part) -> _Period | None:
    """Return the time in the name of the file, if the name gave the symbol."""
    if not part.stem or (match := _DATED.search(part.stem)) is None:
        return None
    rest = (part.stem[: match.start()], part.stem[match.end() :])
    base = "-".join(text for piece in rest if (text := piece.strip(_SEPARATORS)))
    start, end = _span(match[1])
    if match[2]:
        end = _span(match[2])[1]
    return _Period(base or part.path.parent.name.split(".")[0] or part.stem, start, end)


def _span(text: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first and last day of 2024, 2024Q1, 2024-01, 20240131."""
    plain = re.sub(r"[-_.]", "", text)
    year = int(plain[:4])
    if "Q" in plain:
        quarter = int(plain[-1])
        first, last = 3 * quarter - 2, 3 * quarter
    else:
        first, last = (int(plain[4:6]),) * 2 if len(plain) > 4 else (1, 12)
    month_end = calendar.monthrange(year, last)[1]
    if len(plain) == 8:
        day = min(int(plain[6:8]), month_end)
        return pd.Timestamp(year, first, day), pd.Timestamp(year, first, day)
    return pd.Timestamp(year, first, 1), pd.Timestamp(year, last, month_end)


def _say_if_successive(groups: dict[str, list[Part]], found: Findings) -> None:
    """Warn if symbols named by their files follow one another in time, as parts of one do."""
    if len(groups) < 2 or not all(part.stem for group in groups.values() for part in group):
        return
    spans = []
    for symbol, group in groups.items():
        naive = [part.stamps.values.tz_localize(None) for part in group]
        spans.append((min(x.min() for x in naive), max(x.max() for x in naive), symbol))
    spans.sort()
    if all(a[1] < b[0] for a, b in pairwise(spans)):
        names = [symbol for *_, symbol in spans]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        found.warn(
            f"{next(iter(groups.values()))[0].path.parent}: the symbols {shown} follow one another "
            "in time; if they are one, symbol: NAME joins their files."
        )
