"""The data of a search's page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from reinforcestrategycreator_pipeline.backtesting.metrics.base import MetricInfo
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import find_metric, format_value
from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.experiments.search import SearchConfig
from reinforcestrategycreator_pipeline.experiments.trials import (
    FinishedTrial,
    better,
    finished_trials,
)
from reinforcestrategycreator_pipeline.reporting.search.importance import importance
from reinforcestrategycreator_pipeline.reporting.search.selection import Selection, read_selection
from reinforcestrategycreator_pipeline.runs.studies import command, load_study
from reinforcestrategycreator_pipeline.seeding import generator

STATES = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class SearchData:
    """The content of a search, as the pages show it.

    Attributes
    ----------
    study, status, created, version : str
        Name of the search, its status, ISO time of its start, and version of the package.
    seed : int
        Seed of the search and of all its trials.
    search : SearchConfig
        What was varied, and how.
    trials : tuple of FinishedTrial
        The finished trials, by number.
    end : str
        Close of the last bar that a trial could read, UTC, ISO 8601.
    run_command : str
        Command that runs the best trial; empty if there is none.
    selection : Selection or None
        The statistics of the choice of the best trial; None if no trial can be ranked.
    """

    study: str
    status: str
    created: str
    version: str
    seed: int
    search: SearchConfig
    trials: tuple[FinishedTrial, ...]
    end: str
    run_command: str = ""
    selection: Selection | None = None

    @cached_property
    def metric(self) -> MetricInfo:
        """The metric by which trials are compared."""
        return find_metric(self.search.metric)

    @cached_property
    def best(self) -> FinishedTrial | None:
        """The best complete trial; None if none can be ranked."""
        return best_of(self.trials, self.search.maximizes)

    @cached_property
    def ordered(self) -> list[FinishedTrial]:
        """All trials: complete ones from the best on, then those that ended early, then others."""
        sign = -1.0 if self.search.maximizes else 1.0

        def place(trial: FinishedTrial) -> tuple[int, bool, float, int]:
            value = trial.objective
            known = value is not None
            return STATES.index(trial.state), not known, sign * (value or 0.0), trial.number

        return sorted(self.trials, key=place)

    @cached_property
    def shares(self) -> dict[str, float | None]:
        """The share of the objective that each key explains, see `importance`; largest first."""
        ranked = [trial for trial in self.trials if trial.ranks]
        objectives = [trial.objective or 0.0 for trial in ranked]
        found = {
            key: importance(given, [trial.parameters[key] for trial in ranked], objectives)
            for key, given in self.search.space.items()
        }
        known = {key: -1.0 if share is None else share for key, share in found.items()}
        return {key: found[key] for key in sorted(found, key=lambda key: -known[key])}

    def count(self, state: str) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    def text(self, value: float | None) -> str:
        """Return an objective as people read it."""
        return "—" if value is None else format_value(self.metric.unit, value)


def best_of(trials: Iterable[FinishedTrial], maximizes: bool) -> FinishedTrial | None:
    """Return the best trial; None if none can be ranked."""
    best: FinishedTrial | None = None
    for trial in trials:
        best = better(trial, best, maximizes)
    return best


def read_search(study_dir: Path) -> SearchData:
    """Read a search for its pages.

    Parameters
    ----------
    study_dir : Path
        Folder of the search.

    Raises
    ------
    RscError
        If the search or the returns of a trial cannot be read, or a metric of the user's own is
        not there.
    """
    record = load_study(study_dir)
    search = from_mapping(SearchConfig, record.config["search"], "search")
    trials = tuple(finished_trials(study_dir, search.trials))
    best = best_of(trials, search.maximizes)
    way, selection = "", None
    if best is not None:
        rng = generator(int(record.config["seed"]), "search/selection")
        selection = read_selection(study_dir, trials, best, rng)
        way = command(study_dir, "run", "--from-trial", f"{study_dir.name}/{best.number}")
    return SearchData(
        study=record.study_id,
        status=record.status,
        created=datetime.fromisoformat(record.created).isoformat(timespec="seconds"),
        version=record.package_version,
        seed=int(record.config["seed"]),
        search=search,
        trials=trials,
        end=record.end,
        run_command=way,
        selection=selection,
    )
