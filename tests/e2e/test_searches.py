"""``rsc tune``: killed at any moment, on a full disk, beside another, it ends with the same trials.

Every file operation of a search with ``KILLS=every``; a sample otherwise, drawn again on each day.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from operations import Operations
from small_runs import environment, manifest, rsc_in

from reinforcestrategycreator_pipeline.experiments.engines import crew
from reinforcestrategycreator_pipeline.verdict.looks import LOOKS, read, read_trials

SEARCH = """\
data: {source: synthetic, params: {n_bars: 300}}
features: {columns: [{name: returns, horizons: [1, 2]}], audit_cuts: 0}
strategy: {name: linear}
evaluation: {random_draws: 5}
split: {windows: 2}
search:
  trials: 9
  generation: 3
  folds: 2
  space:
    strategy.alpha: {low: 1.0e-6, high: 1000.0, log: true}
    features.columns.0.horizons: [[1], [2], [1, 2], [3, 7]]
"""
START = ("tune", "-c", "search.yaml", "--engine", "inline")
RESUME = ("tune", "--resume", "latest", "--engine", "inline")
EVERY, SOME = os.environ.get("KILLS") == "every", 10


def facts(folder: Path) -> list[dict[str, Any]]:
    """Return all that the same search must repeat: its trials, and its lines in the ledger."""
    store = folder / "runs"
    [study] = [path for path in (store / "studies").iterdir() if (path / "study.json").is_file()]
    assert json.loads((study / "study.json").read_text())["status"] == "complete"
    trials = [json.loads((study / "trials" / str(n) / "trial.json").read_text()) for n in range(9)]
    lines = [(t.number, t.state, t.objective, t.sha256) for t in read_trials(store / LOOKS)]
    assert read(store / LOOKS) == ([], 0)
    assert (study / "journal.log").read_text().count('"op_code":4') == 9  # created trials
    return [*({**trial, "seconds": 0} for trial in trials), *map(list, lines)]


RUN = ("run", "-c", "search.yaml", "--run-id", "mine", "--engine", "inline")
FEW = ("--set", "search.trials=3")


def run_killed_and_resumed(
    operations: Operations, folder: Path, whole: dict[str, Any], stop: int
) -> None:
    """Kill a run in its search, which has the first generation of the whole one; resume it."""
    watch = operations.run(folder, *RUN, *FEW, stop=stop)
    assert watch["code"] == -signal.SIGKILL
    again = operations.run(folder, "run", "--resume", "mine", "--engine", "inline")
    if again["code"] == 1:  # killed before there was a run
        again = operations.run(folder, *RUN, *FEW)
    assert again["code"] == 0, (watch["at"], again["err"])
    store = folder / "runs"
    [study] = (store / "studies").iterdir()
    records = [json.loads((study / "trials" / str(n) / "trial.json").read_text()) for n in range(3)]
    assert [{**trial, "seconds": 0} for trial in records] == whole["facts"][:3], watch["at"]
    assert [t.number for t in read_trials(store / LOOKS)] == [0, 1, 2]
    run = manifest(store / "mine")
    best = max(records, key=lambda trial: trial["objectives"][-1])["number"]
    assert (run["status"], run["trial"]) == ("complete", f"{study.name}/{best}")
    assert (store / "latest").resolve() == (store / "mine").resolve()


def tuning(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    program = "from reinforcestrategycreator_pipeline.cli import main; raise SystemExit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "search.yaml").write_text(SEARCH)
    return tmp_path


@pytest.fixture(scope="module")
def operations() -> Iterator[Operations]:
    found = Operations()
    yield found
    found.close()


@pytest.fixture(scope="module")
def whole(operations: Operations, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a search that nothing stops leaves, and the number of its file operations."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "search.yaml").write_text(SEARCH)
    watch = operations.run(folder, *START)
    assert watch["code"] == 0, watch["err"]
    return {"facts": facts(folder), "operations": watch["operations"]}


@pytest.fixture(scope="module")
def of_program(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the program leaves, which chooses its kernel; a process of tests cannot."""
    folder = tmp_path_factory.mktemp("of_program")
    (folder / "search.yaml").write_text(SEARCH)
    _, err = tuning(folder, *START).communicate(timeout=120)
    assert err.startswith("search ")
    return facts(folder)


def killed_and_resumed(
    operations: Operations, folder: Path, whole: dict[str, Any], stop: int
) -> None:
    watch = operations.run(folder, *START, stop=stop)
    assert watch["code"] == -signal.SIGKILL
    again = operations.run(folder, *RESUME)
    if again["code"] == 1:  # killed before there was a study
        assert "there are no searches in runs. Start one with: rsc tune" in again["err"]
        again = operations.run(folder, *START)
    assert again["code"] == 0, (watch["at"], again["err"])
    assert facts(folder) == whole["facts"], watch["at"]


def test_a_search_that_is_killed_goes_on(
    operations: Operations, folder: Path, whole: dict[str, Any]
) -> None:
    stop = random.Random(time.strftime("%j")).randrange(whole["operations"])
    killed_and_resumed(operations, folder, whole, stop)


@pytest.mark.slow
def test_a_run_that_is_killed_in_its_search_goes_on_in_one_step(
    operations: Operations, folder: Path, whole: dict[str, Any]
) -> None:
    """A third of the search's operations are in the first generation; the run itself has more."""
    most = whole["operations"] // 3
    for part in range(most if EVERY else 3):
        stop = part
        if not EVERY:
            stop = random.Random(f"{time.strftime('%j')} {part}").randrange(most)
        place = folder / str(stop)
        place.mkdir(exist_ok=True)
        (place / "search.yaml").write_text(SEARCH)
        if not (place / "runs").exists():
            run_killed_and_resumed(operations, place, whole, stop)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1 if EVERY else SOME))
def test_before_any_of_its_operations(
    operations: Operations, folder: Path, whole: dict[str, Any], part: int
) -> None:
    n = whole["operations"]
    stops = list(range(n))
    if not EVERY:
        # One in each of ten equal parts.
        drawn = random.Random(f"{time.strftime('%j')} {part}").randrange(n // SOME)
        stops = [part * (n // SOME) + drawn]
    for stop in stops:
        place = folder / str(stop)
        place.mkdir()
        (place / "search.yaml").write_text(SEARCH)
        killed_and_resumed(operations, place, whole, stop)


@pytest.mark.slow
def test_kills_at_random_moments_with_workers(
    folder: Path, of_program: list[dict[str, Any]]
) -> None:
    """Until it is complete: the process is killed, and its workers end by themselves."""
    rng = random.Random(time.strftime("%j"))
    engine = ("--engine", "processes", "--workers", "2")
    arguments: tuple[str, ...] = ("tune", "-c", "search.yaml", *engine)
    for _ in range(4):
        process = tuning(folder, *arguments)
        if process.stderr is not None and arguments[1] == "-c":
            process.stderr.readline()  # the study is there
        time.sleep(rng.uniform(1.0, 8.0))
        process.kill()
        process.communicate()
        arguments = ("tune", "--resume", "latest", *engine)
    out, err = tuning(folder, *arguments).communicate(timeout=300)
    assert "complete" in out, err
    assert facts(folder) == of_program


@pytest.mark.slow
def test_two_searches_in_one_store_at_once(folder: Path, of_program: list[dict[str, Any]]) -> None:
    both = [tuning(folder, *START) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    trials = read_trials(folder / "runs" / LOOKS)
    assert read(folder / "runs" / LOOKS) == ([], 0)
    assert len(trials) == 18
    studies = {t.of_study for t in trials}
    assert len(studies) == 2
    hashes = [t["sha256"] for t in of_program[:9]]
    for study in studies:
        assert [t.sha256 for t in trials if t.of_study == study] == hashes


def test_a_search_is_of_one_process_at_a_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = tuning(folder, *START)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("search ")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        said = rsc_in(folder, monkeypatch, capsys)("tune", "--resume", "latest")
        assert said.code == 1
        assert re.fullmatch(
            r"error: the study '[\w-]+' is in use by another process \(\d+\)\.\n", said.err
        )
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()


def test_ctrl_c_prints_the_command_that_goes_on(
    folder: Path, of_program: list[dict[str, Any]]
) -> None:
    process = tuning(folder, *START)
    assert process.stderr is not None
    name = process.stderr.readline().split()[1]
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    said = f"error: the search was interrupted; continue with: rsc tune --resume {name}\n"
    assert err == said
    again = tuning(folder, "tune", "--resume", name, "--engine", "inline")
    again.communicate(timeout=120)
    assert facts(folder) == of_program


@pytest.mark.slow
def test_ctrl_c_in_the_search_of_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = tuning(folder, *RUN)
    assert process.stderr is not None
    assert process.stderr.readline() == "run mine in runs/mine\n"
    assert process.stderr.readline().startswith("search ")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert last == "error: interrupted in the search; continue with: rsc run --resume mine"
    rsc = rsc_in(folder, monkeypatch, capsys)
    assert "mine │ interrupted" in rsc("runs").out
    said = rsc("run", "--resume", "mine", "--set", "seed=3")
    assert (said.code, said.errors) == (
        1,
        ["error: the run 'mine' keeps the search with which it began, and all other keys until "
         "that is complete. Continue it without changes, or start a new run."],
    )  # fmt: skip


def test_a_full_disk(folder: Path, of_program: list[dict[str, Any]]) -> None:
    """No file may grow beyond a limit, which the ledger reaches."""
    limit = 12_000
    process = tuning(
        folder,
        *START,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert re.fullmatch(
        r"error: runs/\S+: cannot write: File too large; finished trials are intact\. Free some "
        r"space, then: rsc tune --resume [\w-]+",
        last,
    )
    again = tuning(folder, *RESUME)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    store = folder / "runs"
    # A line that was cut off is counted as damaged, and its trial has another one.
    trials = read_trials(store / LOOKS)
    assert [t.number for t in trials] == list(range(9))
    assert [t.sha256 for t in trials] == [t["sha256"] for t in of_program[:9]]
    assert read(store / LOOKS)[1] <= 1


def test_the_terminal_shows_the_best_and_the_way_to_run_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rsc = rsc_in(folder, monkeypatch, capsys)
    said = rsc(*START, "--set", "search.trials=3")
    assert said.code == 0
    command = re.search(r"run it +rsc (run --from-trial ([\w-]+/\d))", said.out)
    assert command is not None
    best = said.out.splitlines()[2].split()[0]
    assert command[2].endswith(f"/{best}")
    assert "trials    3 complete" in said.out
    said = rsc(*command[1].split())
    assert said.code == 0, said.err
    assert "3 configurations were tried by a search of this store before" in said.out
    run = (folder / "runs" / "latest").resolve()
    assert manifest(run)["trial"] == command[2]
    assert manifest(run)["config"]["search"] is None
    assert rsc("runs").out.count("complete") == 1
    assert rsc("run", "--from-trial", "1", "--set", "seed=3").code == 2
    assert rsc("tune", "--resume", "latest", "--set", "seed=3").code == 2
    said = rsc("tune")
    assert (said.code, said.err.count("\n")) == (2, 1)
    said = rsc("config", "check", "-c", "search.yaml", "--set", "search.space.strategy.alpa=[1]")
    assert said.code == 2
    assert "Did you mean 'alpha'" in said.err


OWN = """\
import numpy as np
import reinforcestrategycreator_pipeline as rsc


@rsc.feature
def trend(bars, window: int = 5):
    \"\"\"Log growth over some bars.\"\"\"
    log = np.log(bars["close"])
    return np.r_[np.full(window, np.nan), log[window:] - log[:-window]]
"""


@pytest.mark.slow
def test_an_estimate_runs_nothing(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    rsc = rsc_in(folder, monkeypatch, capsys)
    said = rsc("tune", "-c", "search.yaml", "--estimate", "--engine", "inline", "--trials", "7")
    assert (said.code, said.err) == (0, "")
    assert [line.split("  ")[0] for line in said.out.splitlines()] == [
        "fits",
        "a fit",
        "the rest",
        "in all",
    ]
    assert "14: 7 trials, in generations of 3, x 2 inner windows; 1 at once" in said.out
    assert list((folder / "runs").iterdir()) == []
    said = rsc("tune", "--estimate", "--resume", "latest")
    assert (said.code, said.out) == (2, "")
    assert "--estimate is of a search that has not begun: no --resume" in said.err


def test_the_workers_of_a_search_are_started_once(
    folder: Path, monkeypatch: Any, capsys: Any, of_program: list[dict[str, Any]]
) -> None:
    started = []

    class Counted(crew.WorkerProcess):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(crew, "WorkerProcess", Counted)
    said = rsc_in(folder, monkeypatch, capsys)("tune", "-c", "search.yaml", "--workers", "2")
    assert (said.code, said.errors) == (0, [])
    assert len(started) == 2  # of three generations, in up to three batches each
    assert len(facts(folder)) == len(of_program)


def test_a_search_over_a_parameter_of_the_users_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "my_features.py").write_text(OWN)
    rsc = rsc_in(folder, monkeypatch, capsys)
    own = (
        "--set",
        "features.columns=[{name: 'my_features:trend', window: 3}]",
        "--set",
        "search.space={features.columns.0.window: {low: 2, high: 9}}",
    )
    said = rsc("tune", "-c", "search.yaml", *own, "--set", "search.trials=3", "--workers", "2")
    assert said.code == 0, said.err
    assert "trials    3 complete" in said.out
    assert rsc("tune", "--resume", "latest").code == 0
    said = rsc("run", "--from-trial", "1")
    assert said.code == 0, said.err
    # Other code than that of the trial gives other returns.
    other = OWN.replace("log[window:] - log[:-window]", "np.cos(np.arange(len(log) - window))")
    (folder / "my_features.py").write_text(other)
    process = tuning(folder, "run", "--from-trial", "1")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "does not repeat" in err
