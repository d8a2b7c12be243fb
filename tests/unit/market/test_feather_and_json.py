"""Feather and JSON files are read by the rules of CSV and Parquet; values worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import DataError

NAMES = ("date", "open", "high", "low", "close", "volume")
DAYS = ("2024-01-02", "2024-01-03", "2024-01-04")
BARS: list[dict[str, Any]] = [
    dict(zip(NAMES, (day, 10, 12.5, 9, 11.25, 100 + i), strict=True)) for i, day in enumerate(DAYS)
]


def written(folder: Path, text: str, name: str = "AAA.jsonl") -> Path:
    (folder / name).write_text(text)
    return folder / name


def lines(bars: list[Any]) -> str:
    return "\n".join(map(json.dumps, bars)) + "\n"


@pytest.mark.parametrize("name", ["AAA.jsonl", "AAA.ndjson", "AAA.json"])
def test_a_bar_a_line_or_a_list_of_bars(tmp_path: Path, name: str) -> None:
    for text in (lines(BARS), json.dumps(BARS), json.dumps(BARS, indent=1)):
        data = read_bars(written(tmp_path, text, name))
        assert data["AAA"].iloc[1].tolist() == [10, 12.5, 9, 11.25, 101]
        assert str(data["AAA"].index[0]) == "2024-01-03 00:00:00+00:00"


def test_bars_that_are_lists_need_names(tmp_path: Path) -> None:
    bars = [list(bar.values()) for bar in BARS]
    for text in (lines(bars), json.dumps(bars)):
        path = written(tmp_path, text)
        assert read_bars(path, header=NAMES)["AAA"]["volume"].tolist() == [100, 101, 102]
        with pytest.raises(DataError, match=r"lists of 6 values, .* Set header to 6 names"):
            read_bars(path)


def test_numbers_as_text_and_null(tmp_path: Path) -> None:
    text = lines([{**bar, "close": "11.25", "volume": None} for bar in BARS])
    data = read_bars(written(tmp_path, text))
    assert data["AAA"]["close"].tolist() == [11.25] * 3
    with pytest.raises(DataError, match="close must be a number, not missing: line 2"):
        read_bars(written(tmp_path, lines([BARS[0], {**BARS[1], "close": None}, BARS[2]])))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(BARS)[:-20], "line 3: is not valid JSON"),
        (
            lines([BARS[0], {"date": "2024-01-03"}]),
            "line 2: has other keys than the first bar: 'cl",
        ),
        (lines([list(range(6)), [1, 2]]), "line 2: is no list of 6 values"),
        (lines([1, 2]), "line 1: a bar must be an object or a list"),
        ('{"date": 1, "date": 2}', "the key 'date' occurs twice"),
        ("[" * 100_000, "line 1: is not valid JSON: is nested too deeply"),
        (" \n", "the file is empty"),
        ("[]", "has no rows"),
        ("\ufeff" + lines(BARS).replace("10,", "NaN,", 1), "open must be a number, not missing"),
        (lines([{**BARS[0], "open": True}, BARS[1]]), "line 1: open 'true' is not a number"),
        (lines([{**BARS[0], "open": [1]}, BARS[1]]), "is not a number"),
    ],
)
def test_damage_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_bars(written(tmp_path, text), header=NAMES)
    assert "\n" not in str(caught.value)


def feather(path: Path, **options: Any) -> bytes:
    frame = pd.DataFrame(BARS)
    frame["date"] = pd.to_datetime(frame["date"], utc=True)
    pa.feather.write_feather(pa.Table.from_pandas(frame), path, **options)
    return path.read_bytes()


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
def test_feather(tmp_path: Path, compression: str) -> None:
    feather(tmp_path / "AAA.feather", compression=compression)
    data = read_bars(tmp_path)
    assert data["AAA"].iloc[2].tolist() == [10, 12.5, 9, 11.25, 102]
    assert data.provenance["source"] == "feather"


def test_feather_of_version_1_and_any_damage_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "AAA.feather"
    path.write_bytes(b"FEA1" + bytes(20))
    with pytest.raises(DataError, match="is Feather of version 1; save it again, as version 2"):
        read_bars(path)
    content = feather(path)
    rng = np.random.default_rng(7)
    messages = []
    for position in rng.integers(len(content), size=200):
        damaged = bytearray(content)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            read_bars(path)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)
