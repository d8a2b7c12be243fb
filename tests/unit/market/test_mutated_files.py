"""Mutated files are refused in one line, or read with nothing lost in silence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from mutated_files import bases, fault, faults, read_bars


@pytest.mark.parametrize(
    ("seed", "count"),
    [(0, 350), pytest.param(1, 10_000, marks=pytest.mark.slow)],
)
def test_no_mutation_is_lost_in_silence(tmp_path: Path, seed: int, count: int) -> None:
    found, _ = faults(count, seed, tmp_path)
    assert found == []


def test_what_finds_faults_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = bases()[0]
    path = tmp_path / base.name
    path.write_bytes(base.content)
    good = read_bars(path)
    assert fault(path, base, base.content, good) == ""
    (frame,) = good.bars.values()
    less = dataclasses.replace(good, bars={"AAA": frame.iloc[1:]})
    other = dataclasses.replace(good, bars={"AAA": frame.assign(volume=1.0)})

    def raises(*_: object, **__: object) -> None:
        raise KeyError("x")

    for planted, said in (
        (lambda *_, **__: less, "40 rows, but 39 bars"),
        (lambda *_, **__: other, "other numbers"),
        (raises, "KeyError"),
    ):
        monkeypatch.setattr("mutated_files.read_bars", planted)
        assert said in fault(path, base, base.content, good)
    parquet = bases()[4]
    monkeypatch.setattr("mutated_files.read_bars", lambda *_, **__: less)
    assert "other times" in fault(tmp_path / parquet.name, parquet, parquet.content, good)
