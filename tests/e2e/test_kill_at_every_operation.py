"""A run that is killed before any of its file operations goes on to the bytes of an unbroken one.

Every operation with ``make kills``, which takes half an hour; a sample otherwise, drawn again on
each day: one operation in the quick tests, SOME in all.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from operations import Operations, watched
from small_runs import QUICK, REPEATABLE, hashes, statuses, temporaries

from reinforcestrategycreator_pipeline.pipeline.stages.catalog import ARTIFACTS
from reinforcestrategycreator_pipeline.runs.manifest import hash_artifact

EVERY = os.environ.get("KILLS") == "every"
SOME = 16

# Everything passes, so a package is promoted.
PASSES = f"""{QUICK}
deployment:
  thresholds:
    min_sharpe: null
    max_drawdown: null
    min_trades: 0
    evidence: null
"""
START = ("run", "-c", "quick.yaml", "--run-id", "mine")
RESUME = ("run", "--resume", "mine")
CHANGE = (*RESUME, "--set", "evaluation.random_draws=13")
RAISE = (*RESUME, "--set", "deployment.thresholds.min_sharpe=1000")


@pytest.fixture(scope="module")
def operations() -> Iterator[Operations]:
    found = Operations()
    yield found
    found.close()


@pytest.fixture(scope="module")
def whole(operations: Operations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a run, and then a change of it, were never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "quick.yaml").write_text(PASSES)
    watch = operations.run(folder, *START, watch=True)
    assert (watch["code"], watch["seen"]) == (0, ["absent", "whole"])
    (folder / "operations").write_text(str(watch["operations"]))
    shutil.copytree(folder, folder / "before", symlinks=True)
    watch = operations.run(folder, *CHANGE, watch=True)
    assert (watch["code"], watch["seen"]) == (0, ["whole"])
    return folder


def bytes_of(run_dir: Path) -> dict[str, str | None]:
    """Return the hashes of all that the same seed must repeat: all but the speed in the history."""
    package = {"package": hash_artifact(run_dir / ARTIFACTS["package"])}
    exact = ("bars", "features", "windows", "results", "all_trades")
    more = {name: hash_artifact(run_dir / ARTIFACTS[name]) for name in exact}
    page = {"page": hash_artifact(run_dir / "deployment/package/MODEL_CARD.md")}
    return {**hashes(run_dir), **package, **more, **page}


def complete(run_dir: Path) -> None:
    store = run_dir.parent
    assert statuses(run_dir) == ["complete"] * 6
    assert watched(store) == "whole"
    assert [p for p in temporaries(store) if ".promoted" not in p.parts] == []
    assert not any(p.name.endswith(".tmp") for p in store.rglob("*"))
    assert (store / "looks.jsonl").read_bytes() == (run_dir / "looks.jsonl").read_bytes()


def numbers(count: int, some: int) -> list[int]:
    if EVERY:
        return list(range(count))
    return random.Random(time.strftime("%Y-%m-%d")).sample(range(count), some)


def start_stopped(operations: Operations, whole: Path, folder: Path, some: int):
    expected = bytes_of(whole / "before/runs/mine")
    assert set(REPEATABLE) <= set(expected)
    trial = folder / "trial"
    trial.mkdir()
    (trial / "quick.yaml").write_text(PASSES)
    count = int((whole / "operations").read_text())
    assert count > 300
    for number in numbers(count, some):
        shutil.rmtree(trial / "runs", ignore_errors=True)
        killed = operations.run(trial, *START, stop=number)
        if killed["code"] == 0:  # some folders are there already
            assert number > count - 5
            continue
        assert killed["code"] == -9
        assert watched(trial / "runs") in ("absent", "whole"), killed
        begun = (trial / "runs/mine/manifest.json").is_file()
        found = operations.run(trial, *(RESUME if begun else START))
        assert found["code"] == 0, (killed, found)
        complete(trial / "runs/mine")
        assert bytes_of(trial / "runs/mine") == expected, killed
        looks = (trial / "runs/looks.jsonl").read_text("utf-8")
        assert looks.count("\n") == 1, killed


def change_stopped(operations: Operations, whole: Path, folder: Path, some: int):
    expected = bytes_of(whole / "runs/mine")
    trial = folder / "trial"
    count = 250
    for number in numbers(count, some):
        shutil.rmtree(trial, ignore_errors=True)
        shutil.copytree(whole / "before", trial, symlinks=True)
        killed = operations.run(trial, *CHANGE, stop=number)
        if killed["code"] == 0:
            assert number > 200
            break
        assert killed["code"] == -9
        assert watched(trial / "runs") == "whole", killed
        for name, where in ARTIFACTS.items():  # the old one or the new one
            aside = name == "package" and sys.platform != "linux"
            assert aside or (trial / "runs/mine" / where).exists(), (name, killed)
        found = operations.run(trial, *CHANGE)
        assert found["code"] == 0, (killed, found)
        complete(trial / "runs/mine")
        assert bytes_of(trial / "runs/mine") == expected, killed


def test_a_start_killed_at_one_operation(operations, whole, tmp_path) -> None:
    start_stopped(operations, whole, tmp_path, 1)


def test_a_change_killed_at_one_operation(operations, whole, tmp_path) -> None:
    change_stopped(operations, whole, tmp_path, 1)


@pytest.mark.slow
def test_a_start_killed_at_every_operation(operations, whole, tmp_path) -> None:
    start_stopped(operations, whole, tmp_path, SOME)


@pytest.mark.slow
def test_a_change_killed_at_every_operation(operations, whole, tmp_path) -> None:
    change_stopped(operations, whole, tmp_path, SOME)


def test_promoted_at_every_instant(operations, whole, tmp_path) -> None:
    """Start and change were watched when `whole` was made; what no longer passes is withdrawn."""
    shutil.copytree(whole / "before", tmp_path / "trial", symlinks=True)
    found = operations.run(tmp_path / "trial", *RAISE, watch=True)
    assert (found["code"], found["seen"]) == (0, ["whole", "absent"])
