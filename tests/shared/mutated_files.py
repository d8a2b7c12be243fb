"""Mutated files of prices: each is refused in one line, or read with nothing lost in silence.

``python tests/shared/mutated_files.py --count 10000`` reads so many, and states the longest time
and the peak memory; the exit code is 1 if a file broke a rule.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import RscError
from reinforcestrategycreator_pipeline.market.bars import MarketData

LONGEST_MESSAGE = 1200
_ROWS = 40
_COLUMNS = ("open", "high", "low", "close", "volume")
_ODD_TEXTS = (
    *("", "nan", "inf", "-inf", "1e400", "-1", "0", "abc", "1,5", "1.2.3", "$5", "20K", "٣", "1_0"),
    *('"', '"x', "2024-13-45", "01/02/2024", "1704189600", "9999-12-31", "1970-01-01", "=1+1"),
    *("\ufeff", "null", "-", "1e-40", "٠١/٠٢", "a" * 5000, "2024-01-02T10:00:00Z", "NaT"),
)


@dataclass(frozen=True)
class Base:
    """A file to mutate, and how its text is understood by a reader other than ours."""

    name: str
    content: bytes
    params: dict[str, Any]
    delimiter: str = ""
    decimal: str = "."


def bases() -> list[Base]:
    """Return the files to mutate."""
    days = pd.bdate_range("2024-01-01", periods=_ROWS)
    rng = np.random.default_rng(11)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, _ROWS)))
    opens = np.concatenate([[100.0], close[:-1]])
    values = {
        "open": opens.round(2),
        "high": (np.maximum(opens, close) * 1.01).round(2),
        "low": (np.minimum(opens, close) * 0.99).round(2),
        "close": close.round(2),
        "volume": (1000 + np.arange(_ROWS)).astype(float),
    }
    frame = pd.DataFrame({"date": days, **values})
    hours = pd.date_range("2024-01-02", periods=_ROWS, freq="h", tz="UTC")
    plain = frame.assign(date=days.strftime("%Y-%m-%d"))
    european = plain.assign(date=days.strftime("%d.%m.%Y"))
    counts = plain.assign(date=hours.as_unit("s").asi8).rename(columns={"date": "open_time"})
    parquet, feather = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet, write_page_checksum=True)
    frame.to_feather(feather)

    def text(table: pd.DataFrame, **options: Any) -> bytes:
        return table.to_csv(index=False, lineterminator="\n", **options).encode()

    lines = plain.to_json(orient="records", lines=True).encode()
    return [
        Base("AAA.csv", text(plain), {}, ","),
        Base("EUR.csv", text(european, sep=";", decimal=","), {}, ";", ","),
        Base("SEC.csv", text(counts), {}, ","),
        Base("STRICT.csv", text(plain), {"layout": "none"}, ","),
        Base("AAA.parquet", parquet.getvalue(), {}),
        Base("AAA.feather", feather.getvalue(), {}),
        Base("AAA.jsonl", lines, {}, "json"),
    ]


def mutated(base: Base, rng: np.random.Generator) -> bytes:
    """Return the content of a file with one to three mutations."""
    content = base.content
    text = base.name.endswith((".csv", ".jsonl"))
    kinds = (*_BYTES, *_TEXTS) if text else _BYTES
    for _ in range(int(rng.integers(1, 4))):
        content = kinds[int(rng.integers(len(kinds)))](content, base, rng)
    return content


def fault(path: Path, base: Base, content: bytes, reference: MarketData) -> str:
    """Read a mutated file; return the rule that reading it broke, or nothing."""
    path.write_bytes(content)
    try:
        data = read_bars(path, **base.params)
    except RscError as error:
        line = str(error)
        if "\n" in line or len(line) > LONGEST_MESSAGE:
            return f"a message of {len(line)} characters: {line[:200]!r}"
        return ""
    except BaseException as error:  # noqa: BLE001  what must not be raised is looked for
        return f"{type(error).__name__}: {error}"
    if data.warnings:
        return ""
    if base.delimiter:
        return _differs_from_text(data, base, content)
    return _differs_from(data, reference)


def _differs_from(data: MarketData, reference: MarketData) -> str:
    """Compare with what the file was before."""
    (found,), (known,) = data.bars.values(), reference.bars.values()
    if len(found) != len(known) or not (found.index == known.index).all():
        return "other times than before, without a warning"
    same = (found[list(_COLUMNS)].to_numpy() == known[list(_COLUMNS)].to_numpy()).all()
    return "" if same else "other numbers than before, without a warning"


def _differs_from_text(data: MarketData, base: Base, content: bytes) -> str:
    """Compare with the numbers of the text, row by row in the order of time."""
    lines = [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    rows = []
    for line in lines if base.delimiter == "json" else lines[1:]:
        if base.delimiter == "json":
            row = json.loads(line)
            named = row.values() if set(_COLUMNS) - row.keys() else [0, *map(row.get, _COLUMNS)]
            cells = list(map(str, named))
        else:
            cells = [cell.strip().strip('"') for cell in line.split(base.delimiter)]
        try:
            numbers = [float(cell.replace(base.decimal, ".")) for cell in cells[1:6]]
        except ValueError:
            return f"a row that is no bar was read, without a warning: {line!r}"
        rows.append(numbers)
    (frame,) = data.bars.values()
    if len(frame) != len(rows):
        return f"{len(rows)} rows, but {len(frame)} bars, without a warning"
    found = frame[list(_COLUMNS)].to_numpy()
    order = np.lexsort(found.T)
    theirs = np.array(rows)
    same = np.array_equal(found[order], theirs[np.lexsort(theirs.T)])
    return "" if same else "other numbers than those of the text, without a warning"


_Mutation = Callable[[bytes, Base, np.random.Generator], bytes]


def _flip(content: bytes, base: Base, rng: np.random.Generator) -> bytes:
    if not content:
        return content
    changed = bytearray(content)
    changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(content: bytes, base: Base, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def _drop(content: bytes, base: Base, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    return content[:start] + content[start + int(rng.integers(1, 30)) :]


def _repeat(content: bytes, base: Base, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    piece = content[start : start + int(rng.integers(1, 200))]
    return content[:start] + piece + content[start:]


def _insert(content: bytes, base: Base, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    return content[:start] + rng.bytes(int(rng.integers(1, 9))) + content[start:]


def _in_cells(
    change: Callable[[list[list[bytes]], np.random.Generator], None],
) -> _Mutation:
    def mutate(content: bytes, base: Base, rng: np.random.Generator) -> bytes:
        by = b"," if len(base.delimiter) > 1 else base.delimiter.encode()
        rows = [line.split(by) for line in content.split(b"\n")]
        change(rows, rng)
        return b"\n".join(by.join(row) for row in rows)

    return mutate


def _odd_cell(rows: list[list[bytes]], rng: np.random.Generator) -> None:
    row = rows[int(rng.integers(len(rows)))]
    row[int(rng.integers(len(row)))] = _ODD_TEXTS[int(rng.integers(len(_ODD_TEXTS)))].encode()


def _no_cell(rows: list[list[bytes]], rng: np.random.Generator) -> None:
    row = rows[int(rng.integers(len(rows)))]
    del row[int(rng.integers(len(row)))]


def _more_cells(rows: list[list[bytes]], rng: np.random.Generator) -> None:
    row = rows[int(rng.integers(len(rows)))]
    row.insert(int(rng.integers(len(row) + 1)), b"7")


def _swapped_cells(rows: list[list[bytes]], rng: np.random.Generator) -> None:
    row = rows[int(rng.integers(len(rows)))]
    i, j = rng.integers(len(row), size=2).tolist()
    row[i], row[j] = row[j], row[i]


def _swapped_rows(rows: list[list[bytes]], rng: np.random.Generator) -> None:
    i, j = rng.integers(len(rows), size=2).tolist()
    rows[i], rows[j] = rows[j], rows[i]


def _same_row_twice(rows: list[list[bytes]], rng: np.random.Generator) -> None:
    rows.insert(int(rng.integers(len(rows) + 1)), rows[int(rng.integers(len(rows)))])


def _no_column(rows: list[list[bytes]], rng: np.random.Generator) -> None:
    at = int(rng.integers(6))
    for row in rows:
        del row[at : at + 1]


_BYTES: tuple[_Mutation, ...] = (_flip, _cut, _drop, _repeat, _insert)
_TEXTS: tuple[_Mutation, ...] = tuple(
    map(
        _in_cells,
        (
            *(_odd_cell, _odd_cell, _no_cell, _more_cells, _swapped_cells),
            *(_swapped_rows, _same_row_twice, _no_column),
        ),
    )
)


def faults(count: int, seed: int, folder: Path) -> tuple[list[str], float]:
    """Read mutated files; return what broke a rule, and the longest time in seconds."""
    originals = bases()
    found: list[str] = []
    slowest = 0.0
    known: dict[str, MarketData] = {}
    for base in originals:
        path = folder / base.name
        path.write_bytes(base.content)
        known[base.name] = read_bars(path, **base.params)
    for number in range(count):
        base = originals[number % len(originals)]
        content = mutated(base, np.random.default_rng([seed, number]))
        start = time.perf_counter()
        wrong = fault(folder / base.name, base, content, known[base.name])
        slowest = max(slowest, time.perf_counter() - start)
        if wrong:
            found.append(f"{base.name} {number}: {wrong}")
    return found, slowest


def main() -> int:
    """Read so many mutated files, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found, slowest = faults(given.count, given.seed, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kinds = collections.Counter(text.split(": ", 1)[1][:40] for text in found)
    said = f"{given.count:,} files: {len(found)} faults; {slowest:.2f} s at most, {peak:.0f} MB"
    lines = [*found[:50], said, *(f"  {number} {kind}" for kind, number in kinds.most_common())]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(found) or slowest > 5 or peak > 1000)


if __name__ == "__main__":
    sys.exit(main())
