"""The contract of trackers. Inherit `TrackerContract`, override two fixtures, and run.

class TestMyTracker(TrackerContract):
    @pytest.fixture
    def tracker(self, tmp_path):
        return MyTracker(folder=str(tmp_path))

    @pytest.fixture
    def tracked(self, tracker):
        return lambda: sorted(Path(tracker.folder).iterdir())  # the names of all that is there
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from reinforcestrategycreator_pipeline.api.runs import run
from reinforcestrategycreator_pipeline.errors import RscError
from reinforcestrategycreator_pipeline.registry import parameters_of
from reinforcestrategycreator_pipeline.runs.artifacts import MANIFEST
from reinforcestrategycreator_pipeline.runs.manifest import hash_artifact, load_manifest
from reinforcestrategycreator_pipeline.tracking.base import TRACKERS, Tracker

SMALL = {
    "data": {"source": "synthetic", "params": {"n_bars": 600}},
    "features": {"columns": [{"name": "returns", "horizons": [1, 2]}], "audit_cuts": 2},
    "split": {"windows": 2},
    "strategy": {
        "name": "dqn",
        "training": {"steps": 20, "trajectories": 8, "validation_interval": 10},
        "hyperparameters": {
            "hidden_layers": [4],
            "batch_size": 8,
            "buffer_size": 1000,
            "learning_starts": 16,
            "log_interval": 5,
        },
    },
    "evaluation": {"random_draws": 11},
}
"""A configuration whose run takes a second."""


class TrackerContract:
    @pytest.fixture
    def tracker(self) -> Tracker:
        raise NotImplementedError("override the fixture `tracker`")

    @pytest.fixture
    def tracked(self, tracker: Tracker) -> Callable[[], list[str]]:
        """Return a function that lists the runs in the other system, as its own reader does."""
        raise NotImplementedError("override the fixture `tracked`")

    @pytest.fixture
    def runs_of_contract(self, tmp_path_factory) -> tuple[Path, Path]:
        store = tmp_path_factory.getbasetemp() / "runs of the tracker contract"
        for seed, name in ((1, "first"), (2, "second")):
            if not (store / name).is_dir():  # made once for all tests
                run(SMALL, seed=seed, store=store, run_id=name, engine="inline", progress=False)
        return store / "first", store / "second"

    @pytest.fixture
    def run_dir(self, runs_of_contract) -> Path:
        return runs_of_contract[0]

    def test_its_fields_say_where(self, tracker) -> None:
        assert dataclasses.is_dataclass(tracker)
        assert type(tracker).__dataclass_params__.frozen
        assert TRACKERS.build(tracker) is tracker
        fields = {field.name: getattr(tracker, field.name) for field in dataclasses.fields(tracker)}
        assert set(parameters_of(type(tracker))) == set(fields)
        assert type(tracker)(**fields) == tracker

    def test_it_logs_a_run_and_says_where_in_one_line(self, tracker, tracked, run_dir) -> None:
        said = tracker.log(run_dir)
        assert said.strip() == said
        assert len(said.splitlines()) == 1
        assert len(tracked()) == 1

    def test_a_run_that_is_logged_twice_is_there_once(self, tracker, tracked, run_dir) -> None:
        said = tracker.log(run_dir)
        before = tracked()
        assert tracker.log(run_dir) == said
        assert tracked() == before

    def test_each_run_is_there(self, tracker, tracked, runs_of_contract) -> None:
        for folder in (*runs_of_contract, runs_of_contract[0]):
            tracker.log(folder)
        assert len(tracked()) == 2

    def test_the_folder_stays_as_it_is(self, tracker, run_dir) -> None:
        before = hash_artifact(run_dir)
        tracker.log(run_dir)
        assert hash_artifact(run_dir) == before

    def test_a_run_that_is_not_finished_is_refused(
        self, tracker, tracked, run_dir, tmp_path
    ) -> None:
        unfinished = tmp_path / "unfinished"
        unfinished.mkdir()
        with pytest.raises(RscError):
            tracker.log(unfinished)
        (unfinished / MANIFEST).write_bytes((run_dir / MANIFEST).read_bytes())
        manifest = load_manifest(unfinished)
        manifest.stages["evaluation"].status = "failed"
        manifest.save(unfinished)
        with pytest.raises(RscError, match="evaluation"):
            tracker.log(unfinished)
        assert tracked() == []
