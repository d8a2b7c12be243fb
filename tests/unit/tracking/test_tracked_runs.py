"""Trackers at the end of a run, and of runs of the past."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline.api.tracking import track
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.testing.tracker_contract import SMALL
from reinforcestrategycreator_pipeline.tracking import mlflow_tracker
from reinforcestrategycreator_pipeline.tracking.base import track_all
from reinforcestrategycreator_pipeline.tracking.finished import FinishedRun


@dataclass(frozen=True)
class Lines:
    """Write the name of the run to a file."""

    path: str

    def log(self, run_dir: Path) -> str:
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write(f"{run_dir.name}\n")
        return f"a line\nin {self.path}"


@dataclass(frozen=True)
class Broken:
    """Fail."""

    why: str = "no paper"

    def log(self, run_dir: Path) -> str:
        raise LookupError(f"{self.why}\nin the tray")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> rsc.Run:
    folder = tmp_path_factory.mktemp("tracked")
    trackers = [Broken(), Lines(str(folder / "lines.txt"))]
    return rsc.run(
        {**SMALL, "tracking": trackers},
        store=folder / "runs",
        run_id="one",
        engine="inline",
        progress=False,
    )


def test_a_tracker_that_fails_leaves_the_run_complete_and_the_others_go_on(finished) -> None:
    assert finished.manifest.status == "complete"
    lines = Path(finished.config["tracking"][1]["path"])
    assert lines.read_text("utf-8").splitlines()[0] == "one"
    logged = map(json.loads, (finished.folder / "log.jsonl").read_text("utf-8").splitlines())
    [warning] = [entry["event"] for entry in logged if entry["level"] == "warning"
                 and "track" in entry["event"]]  # fmt: skip
    assert warning.startswith("the run is not tracked: the tracker 'test_tracked_runs:Broken'")
    assert "LookupError: no paper" in warning


def test_what_is_said_is_one_line(finished, tmp_path, caplog) -> None:
    said: list[str] = []
    track_all([Broken(), Lines(str(tmp_path / "l"))], finished.folder, said.append)
    assert said == [f"a line in {tmp_path / 'l'}"]
    [record] = caplog.records
    assert len(record.getMessage().splitlines()) == 1


def test_no_stage_and_no_package_depends_on_the_trackers(finished) -> None:
    package = (finished.package_path / "config.yaml").read_text("utf-8")
    assert "tracking: []" in package
    again = rsc.run(
        resume="one",
        store=finished.folder.parent,
        overrides={"tracking": []},
        engine="inline",
        progress=False,
    )
    assert again.unchanged == tuple(finished.manifest.stages)
    assert again.config["tracking"] == []


def test_a_run_of_the_past_is_tracked(finished, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = list(track(finished.folder, "tensorboard", ["folder=events"]))
    assert said == ["TensorBoard: events/one; show it with: tensorboard --logdir events"]
    assert (tmp_path / "events" / "one").is_dir()
    with pytest.raises(ConfigError, match=r"unknown tracker 'tensorbord'\. Did you mean 'tens"):
        list(track(finished.folder, "tensorbord"))
    with pytest.raises(ConfigError, match=r"has no parameter 'foldr'\. Did you mean 'folder'"):
        list(track(finished.folder, "tensorboard", ["foldr=x"]))
    with pytest.raises(ConfigError, match=r"^--set needs --to"):
        list(track(finished.folder, None, ["folder=x"]))
    with pytest.raises(ConfigError, match=r"has no trackers\. Name one by --to: mlflow, t"):
        list(track(finished.folder))  # the test before took them away


def test_what_the_configuration_says_of_a_tracker_is_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = {**SMALL, "tracking": [{"name": "tensorboard", "folder": "mine"}]}
    made = rsc.run(config, run_id="two", engine="inline", progress=False)
    assert (tmp_path / "mine" / "two").is_dir()
    for to, parameters, folder in (
        (None, [], "mine"),
        ("tensorboard", [], "mine"),
        ("tensorboard", ["folder=other"], "other"),
    ):
        [said] = track(made.folder, to, parameters)
        assert said.endswith(f"--logdir {folder}")


def test_a_run_that_is_not_finished_is_not_tracked(finished, tmp_path) -> None:
    with pytest.raises(RunError, match="no such file"):
        list(track(tmp_path, "tensorboard"))


@dataclass(frozen=True)
class Trials:
    """Write the name of the run, its trial and what that varied to a file."""

    path: str

    def log(self, run_dir: Path) -> str:
        run = FinishedRun.read(run_dir)
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write(f"{run_dir.name} {run.trial} {run.config['strategy']['alpha']}\n")
        return "written"


def test_a_tracker_gets_the_run_of_the_chosen_trial_and_no_trial(tmp_path) -> None:
    written = tmp_path / "written.txt"
    config = {
        "data": {"source": "synthetic", "params": {"n_bars": 300}},
        "features": {"columns": [{"name": "returns", "horizons": [1]}], "audit_cuts": 0},
        "split": {"kind": "single"},
        "strategy": {"name": "linear"},
        "evaluation": {"random_draws": 5},
        "search": {
            "trials": 2,
            "folds": 1,
            "metric": "total_return",
            "space": {"strategy.alpha": [0.5, 2.0]},
        },
        "tracking": [Trials(str(written))],
    }
    options = {"store": tmp_path / "runs", "engine": "inline", "progress": False}
    made = rsc.run(config, run_id="searched", **options)
    best = made.config["strategy"]["alpha"]
    # One line: a trial is no run.
    assert written.read_text("utf-8") == f"searched {made.manifest.trial} {best}\n"
    tags = mlflow_tracker._tags(FinishedRun.read(made.folder))
    assert (tags["rsc.trial"], tags["rsc.run_id"]) == (made.manifest.trial, "searched")
    study = rsc.Study.open(made.manifest.study, tmp_path / "runs")
    assert len(study.trials) == 2
    rsc.run(from_trial=study.name_of(1), run_id="alone", **options)
    own = study.config_of(1)["strategy"]["alpha"]
    assert written.read_text("utf-8").splitlines()[1:] == [f"alone {study.name_of(1)} {own}"]


def test_a_run_of_no_search_has_no_tag_of_a_trial(finished) -> None:
    assert "rsc.trial" not in mlflow_tracker._tags(FinishedRun.read(finished.folder))
