"""How long a search will take: the formula by hand, and the measurement that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.ray_engine import Ray
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.search import estimate as module
from reinforcestrategycreator_pipeline.pipeline.search import samples
from reinforcestrategycreator_pipeline.pipeline.search.estimate import (
    Estimate,
    duration,
    estimate,
    lines,
    makespan,
    sizes,
)
from reinforcestrategycreator_pipeline.pipeline.search.samples import Enough, Watch

GIVEN: dict[str, Any] = {
    "data": {"source": "synthetic", "params": {"n_bars": 300}},
    "features": {"columns": [{"name": "returns", "horizons": [1, 2]}], "audit_cuts": 0},
    "strategy": {"name": "linear"},
    "split": {"windows": 2},
    "search": {
        "trials": 9,
        "generation": 3,
        "folds": 2,
        "space": {"strategy.alpha": {"low": 1e-6, "high": 1000.0, "log": True}},
    },
}


def config(**changes: Any) -> RunConfig:
    return load_config(RunConfig, None, (), given={**GIVEN, **changes})


def test_generations_have_the_same_size_but_for_the_last() -> None:
    assert sizes(9, 4) == [4, 4, 1]
    assert sizes(8, 4) == [4, 4]
    assert sizes(2, 4) == [2]


def test_jobs_go_to_the_first_free_worker() -> None:
    # One worker has 3, then 2; the other one 1, then 2.
    assert makespan([3.0, 1.0, 2.0, 2.0], 2) == 5.0
    assert makespan([3.0, 1.0, 2.0, 2.0], 1) == 8.0
    assert makespan([3.0, 1.0], 5) == 3.0


def test_the_time_of_a_search_by_hand() -> None:
    # Generations of 4 and 1 trials: ceil(4 / 2) + ceil(1 / 2) rounds of 2 s, in each of 3 windows.
    assert Estimate(5, 3, 4, 2, setup=5.0, fits=(2.0,)).seconds == 5.0 + 3 * (2 + 1) * 2.0
    # Trials of 3 and 1 s in turn, one at a time.
    assert Estimate(4, 1, 4, 1, setup=0.0, fits=(3.0, 1.0)).seconds == 8.0


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 99, 100, 5_900, 11_520)] == [
        "0 s",
        "99 s",
        "2 min",
        "98 min",
        "3 h 12 min",
    ]


class Clock:
    """Seconds that pass only when they are told to."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(samples, "time", found)
    return found


def test_a_fit_is_stopped_when_its_rate_is_known(clock: Clock) -> None:
    watch = Watch(limit=4.0)
    clock.now = 5.0  # the limit is over, but one report is no rate
    watch.progress(100, 1_000)
    watch.progress(100, 1_000)  # nor is the same one again
    clock.now = 7.0
    with pytest.raises(Enough):
        watch.progress(300, 1_000)
    # 200 steps in 2 s: after 7 s, 700 steps are left.
    assert watch.whole == 14.0


def test_what_is_measured(tmp_path: Path) -> None:
    found = estimate(config(), tmp_path / "runs", Inline())
    assert (found.trials, found.folds, found.generation, found.workers) == (9, 2, 3, 1)
    assert len(found.fits) == 3
    assert all(seconds > 0 for seconds in found.fits)
    assert found.setup > 0
    assert list((tmp_path / "runs").iterdir()) == []  # nothing is left
    said = dict(lines(found))
    assert said["fits"] == "18: 9 trials, in generations of 3, x 2 inner windows; 1 at once"
    assert said["in all"].startswith("about ")


def test_a_long_fit_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 0.05)
    training = {"agents": 2, "steps": 10_000_000, "caution": 0.0, "hidden_layers": [2]}
    space = {"strategy.training.learning_rate": [1e-4, 1e-3]}
    long = config(
        strategy={"name": "dqn_ensemble", "training": training},
        search={"trials": 1, "folds": 2, "space": space},
    )
    found = estimate(long, tmp_path, Inline())
    assert (
        found.seconds > 60
    )  # at 100,000 steps a second, which no processor makes, it would be 200


def test_trials_that_fail_have_no_time(tmp_path: Path) -> None:
    short = {"source": "synthetic", "params": {"n_bars": 60}}
    columns = {"columns": [{"name": "returns", "horizons": [40]}], "audit_cuts": 0}
    with pytest.raises(ConfigError, match="trials of the search fail; the first one: inner windo"):
        estimate(config(data=short, features=columns), tmp_path, Inline())


def test_a_cluster_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the engine 'inline' or 'processes'"):
        estimate(config(), tmp_path, Ray())
