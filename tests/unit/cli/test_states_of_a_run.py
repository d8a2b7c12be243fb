"""From every state of a run's folder there is a way on, and the error names it: one table."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy_pipeline as toy
from test_cli import Result, Rsc, rsc, stages  # noqa: F401  fixtures

from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.files import sealed_text
from reinforcestrategycreator_pipeline.runs.manifest import hash_artifact, load_manifest

STORE = Path("my runs")  # so that every command has something to quote
RUN = STORE / "mine"
OPTIONS = ("--runs-dir", str(STORE))
State = Callable[[Path], None]


def edited(change: Callable[[dict[str, Any]], object], sealed: bool = True) -> State:
    def edit(run_dir: Path) -> None:
        path = run_dir / "manifest.json"
        found = json.loads(path.read_text())
        change(found)
        path.write_text(sealed_text(found) if sealed else json.dumps(found))

    return edit


def emptied(*kept: str) -> State:
    """Return what leaves only these files, as a kill before the first manifest does."""

    def empty(run_dir: Path) -> None:
        shutil.rmtree(run_dir)
        run_dir.mkdir()
        for name in kept:
            (run_dir / name).write_text("")

    return empty


def written(name: str, text: str) -> State:
    return lambda run_dir: (run_dir / name).write_text(text) and None


def removed(*names: str) -> State:
    def remove(run_dir: Path) -> None:
        for name in names:
            path = run_dir / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def unfinished(status: str, *, published: bool, staged: bool = True) -> State:
    """Return the state of a run that was stopped in its last stage, after its outputs were made."""

    def edit(run_dir: Path) -> None:
        staging = run_dir / ".new/evaluation/evaluation"
        if staged:
            shutil.copytree(run_dir / "evaluation", staging)
        if not published:
            shutil.rmtree(run_dir / "evaluation")
        edited(lambda m: (m.update(status=status), _status(m, "evaluation", status)))(run_dir)

    return edit


def _status(manifest: dict[str, Any], stage: str, status: str) -> None:
    manifest["stages"][stage]["status"] = status


def training(status: str, state: str) -> State:
    """Return the state of a run that was stopped in training, with that checkpoint."""

    def edit(run_dir: Path) -> None:
        shutil.rmtree(run_dir / "training/weights")
        (run_dir / "training/checkpoints/state.json").write_text(state)

        def change(manifest: dict[str, Any]) -> None:
            manifest["status"] = status
            manifest["stages"]["training"] |= {"status": status, "outputs": {}}
            manifest["stages"]["evaluation"] = {"status": "pending"}

        edited(change)(run_dir)

    return edit


RESUMES = ""
TABLE: dict[str, tuple[State, str]] = {
    "complete": (lambda run_dir: None, RESUMES),
    # Killed before the first manifest.
    "an empty folder": (emptied(), "Its name is free"),
    "a lock": (emptied(".lock"), "Its name is free"),
    "a lock, its owner and a temporary": (
        emptied(".lock", ".lock.owner", ".manifest.json.abc_1234.tmp"),
        "Its name is free",
    ),
    # Killed after it.
    "config.yaml is not there yet": (removed("config.yaml"), RESUMES),
    "nothing but the manifest and data": (removed("config.yaml", "training", "log.jsonl"), RESUMES),
    "killed in training": (training("running", '{"step": 0, "sum": 0.0}'), RESUMES),
    "failed in training": (training("failed", '{"step": 0, "sum": 0.0}'), RESUMES),
    "every checkpoint is damaged": (training("interrupted", "{"), "Begin the stage again with"),
    "killed with all outputs staged": (unfinished("running", published=False), RESUMES),
    "killed with all outputs in place": (unfinished("running", published=True), RESUMES),
    "staged outputs are gone": (unfinished("failed", published=False, staged=False), RESUMES),
    "staging of another attempt": (written(".new", "x"), RESUMES),
    "temporaries": (written(".config.yaml.abc_1234.tmp", "x"), RESUMES),
    "latest is gone": (lambda run_dir: (run_dir.parent / "latest").unlink(), RESUMES),
    # Damaged or edited from outside.
    "an output is gone": (removed("data"), RESUMES),
    "an output is edited": (written("evaluation/metrics.json", "{}"), RESUMES),
    "config.yaml is edited": (written("config.yaml", "seed: 8\n"), "remove 'my runs/mine/config"),
    "config.yaml is junk": (written("config.yaml", "a: [\n"), "remove 'my runs/mine/config"),
    "the manifest is cut": (written("manifest.json", '{"format":'), "Start a new run with"),
    "the manifest is edited": (
        edited(lambda m: m.update(seed=1), sealed=False),
        "Start a new run with",
    ),
    "the manifest is of another version": (
        edited(lambda m: m.update(format=2)),
        "Start a new run with",
    ),
    "the manifest is gone": (removed("manifest.json"), "Start a new run with"),
    "manifest and config.yaml are gone": (
        removed("manifest.json", "config.yaml"),
        "the run never started, or is not a run",
    ),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("template")


@pytest.fixture
def mine(rsc: Rsc, stages: list[Any], template: Path) -> Path:  # noqa: F811
    """A complete run whose training rejects a damaged checkpoint."""

    class Careful(toy.Training):
        def run(self, context: Any) -> None:
            saved = context.run_dir / "training/checkpoints/state.json"
            if context.resume and saved.is_file():
                try:
                    json.loads(saved.read_text())
                except ValueError as error:
                    raise CheckpointError(f"{saved}: damaged") from error
            super().run(context)

    stages[1] = Careful()
    if not (template / STORE).exists():
        assert rsc("run", "--run-id", "mine", *OPTIONS).code == 0
        shutil.copytree(STORE, template / STORE, symlinks=True)
    else:
        shutil.copytree(template / STORE, STORE, symlinks=True)
    return RUN


def hashes(run_dir: Path) -> dict[str, str | None]:
    return {name: hash_artifact(run_dir / where) for name, where in toy.ARTIFACTS.items()}


def command_in(text: str) -> list[str]:
    """Return the words of the command that a message ends with."""
    found = re.search(r": rsc (.*?)\.?$", text.strip())
    assert found, text
    return shlex.split(found[1])


@pytest.mark.parametrize("state", TABLE)
def test_there_is_a_way_on(rsc: Rsc, mine: Path, state: str) -> None:  # noqa: F811
    good = hashes(mine)
    make, way = TABLE[state]
    make(mine)
    said: Result = rsc("run", "--resume", "mine", *OPTIONS)
    if way == RESUMES:
        assert said.code == 0, said.err
    else:
        assert said.code in (1, 2)
        line = said.err.splitlines()[-1]
        assert way in line
        if way.startswith("remove "):
            Path(shlex.split(line.partition("remove ")[2].rstrip("."))[0]).unlink()
            assert rsc("run", "--resume", "mine", *OPTIONS).code == 0
        elif state == "manifest and config.yaml are gone":
            assert rsc("run", *OPTIONS).code == 0
        else:
            found = rsc(*command_in(line))
            assert found.code == 0, found.err
    done = mine if (mine / "manifest.json").is_file() and "Start" not in way else None
    run_dir = done or (STORE / (STORE / "latest").readlink())
    assert load_manifest(run_dir).status == "complete"
    assert hashes(run_dir) == good
    left = [p for p in run_dir.rglob("*") if p.name == ".new" or p.name.endswith(".tmp")]
    assert left == []


def test_commands_in_other_hints_run(rsc: Rsc, mine: Path) -> None:  # noqa: F811
    taken = rsc("run", "--run-id", "mine", *OPTIONS)
    found = re.search(r"Continue it with: rsc (.*); or choose another name", taken.err)
    assert found
    assert rsc(*shlex.split(found[1])).code == 0
    (mine / "evaluation/metrics.json").write_text("{}")
    assert rsc(*command_in(rsc("report", "mine", *OPTIONS).err)).code == 0
    edited(lambda m: _status(m, "evaluation", "pending"))(mine)
    assert rsc(*command_in(rsc("report", "mine", *OPTIONS).err)).code == 0
    assert rsc("report", "mine", *OPTIONS).code == 0
    said = rsc("runs", "--runs-dir", "no runs").out
    assert rsc(*command_in(said)).code == 0
    assert (Path("no runs") / "latest").exists()
    said = rsc("init", "a file.yaml").out
    assert command_in(said) == ["run", "--config", "a file.yaml"]
    first = Path("a file.yaml").read_text()
    assert "rsc run --config 'a file.yaml'" in first


@pytest.mark.parametrize("what", ["metrics", "manifest"])
def test_edited_figures_are_not_shown(rsc: Rsc, mine: Path, what: str) -> None:  # noqa: F811
    """Neither by the list of runs, nor by a report, nor by `Run`."""
    path = mine / ("evaluation/metrics.json" if what == "metrics" else "manifest.json")
    text = path.read_text()
    found = re.search(r'"(value|mean)": ([0-9.]+)', text)
    assert found
    path.write_text(text.replace(found[0], f'"{found[1]}": 99.5'))
    listed = rsc("runs", *OPTIONS)
    assert listed.code == 0
    assert "99.5" not in listed.out
    assert re.search(r"^mine +│ +unreadable", listed.out, re.MULTILINE)
    assert "edited" in listed.out.splitlines()[-1]  # the reason, whole, under the table
    shown = rsc("report", "mine", *OPTIONS)
    assert (shown.code, shown.out) == (1, "")
    assert "edited" in shown.err
