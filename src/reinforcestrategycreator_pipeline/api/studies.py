"""Searches over configurations: start, resume and read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.api.bars import Frames
from reinforcestrategycreator_pipeline.api.console import progress_console
from reinforcestrategycreator_pipeline.api.opened import opened
from reinforcestrategycreator_pipeline.api.runs import arguments_of, resolved, warn_of_kernel
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.experiments.engines.base import kept_open
from reinforcestrategycreator_pipeline.experiments.engines.catalog import ENGINES
from reinforcestrategycreator_pipeline.experiments.trial_returns import RETURNS, read_returns
from reinforcestrategycreator_pipeline.experiments.trials import (
    FinishedTrial,
    finished_trials,
    trial_dir,
)
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.search.space import trial_config
from reinforcestrategycreator_pipeline.pipeline.search.studies import Search, with_trials
from reinforcestrategycreator_pipeline.pipeline.search.work import best_trial
from reinforcestrategycreator_pipeline.runs.folder import RUNS
from reinforcestrategycreator_pipeline.runs.studies import (
    StudyRecord,
    command,
    find_study,
    load_study,
)


def tune(
    config: str | Path | Mapping[str, Any] | RunConfig | None = None,
    *,
    seed: int | None = None,
    bars: Frames | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    store: str | Path = RUNS,
    resume: str | None = None,
    trials: int | None = None,
    trust: Sequence[str | Path] = (),
    progress: bool | None = None,
    engine: Any = None,
) -> Study:
    """Search over configurations, by the bars before the first test bar; or resume a search.

    ``rsc tune`` calls this function. The same seed gives the same trials, on any engine, also after
    an interruption.

    Parameters
    ----------
    config : path, mapping or RunConfig, optional
        A configuration with the section ``search``; see `run`.
    seed : int, optional
        The one seed of the search, >= 0.
    bars : DataFrame, or mapping of str to DataFrame, optional
        Bars in memory, in place of ``data.source``.
    overrides : mapping or sequence of str, optional
        Keys to set; see `run`.
    store : path
        The folder that holds the runs and the searches.
    resume : str, optional
        Continue this search: its name, or ``"latest"``. It keeps its configuration.
    trials : int, optional
        Number of trials in all, in place of ``search.trials``. With `resume`, at least that of
        before: a search that is finished goes on to the trials that it would have had.
    trust : sequence of path
        Folders whose modules the configuration may name.
    progress : bool, optional
        Whether to show progress on standard error. By default only in a terminal or a notebook.
    engine : Engine, str or mapping, optional
        Engine of the trials: ``"inline"``, ``"processes"``, or ``{"name": "processes", "workers":
        4}``. By default as many processes as there are processors.

    Returns
    -------
    Study
        The finished search.

    Raises
    ------
    RscError
        If the configuration or the data are wrong; `Interrupted` after Ctrl-C.
    """
    chosen = None if engine is None else ENGINES.build(engine)
    arguments = arguments_of(seed, bars)
    console = progress_console(progress)
    if resume is not None:
        if config is not None or seed is not None or overrides:
            raise RunError("resume keeps the configuration of the search: pass no other.")
        study_dir = find_study(Path(store), resume)
        with opened(study_dir, trust) as complete, kept_open(chosen) as kept:
            warn_of_kernel(complete)
            return Study(Search(console, kept).resume(study_dir, complete, trials))
    with (
        resolved(config, arguments, overrides, store, None, trust) as complete,
        kept_open(chosen) as kept,
    ):
        complete = with_its_search(complete, trials)
        warn_of_kernel(complete)
        file = Path(config) if isinstance(config, (str, Path)) else None
        folder = file.parent if file else None
        return Study(Search(console, kept).start(complete, Path(store), folder))


def with_its_search(config: RunConfig, trials: int | None) -> RunConfig:
    """Return the configuration of a search, with another number of trials if one is given.

    Raises
    ------
    ConfigError
        If the configuration has no search.
    """
    if config.search is None:
        raise ConfigError(
            "the configuration has no search. Say what to vary, for example: --set "
            "'search.space.strategy.training.steps={low: 1000, high: 4000}'"
        )
    return config if trials is None else with_trials(config, trials)


class Study:
    """A search in its folder; everything is read from there when it is asked for.

    Parameters
    ----------
    folder : Path
        Folder of the study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def open(cls, study: str = "latest", store: str | Path = RUNS) -> Study:
        """Return a search of the past, by its name or as ``"latest"``.

        Raises
        ------
        RunError
            If there is none; the message offers the nearest name.
        """
        return cls(find_study(Path(store), study))

    @property
    def id(self) -> str:
        """The name of the search."""
        return self.folder.name

    @property
    def record(self) -> StudyRecord:
        """The record of the search, as it is now: status, configuration, versions."""
        return load_study(self.folder)

    @property
    def status(self) -> str:
        """``"running"``, ``"complete"``, ``"interrupted"`` or ``"failed"``."""
        return self.record.status

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration of the search, as plain values."""
        return self.record.config

    @property
    def trials(self) -> pd.DataFrame:
        """One row per finished trial: state, objective, parameters, metrics and seconds."""
        rows = [_row(trial) for trial in self._finished()]
        return pd.DataFrame(rows).set_index("number") if rows else pd.DataFrame()

    @cached_property
    def best(self) -> FinishedTrial:
        """The best complete trial.

        Raises
        ------
        RunError
            If no trial is complete with a defined objective.
        """
        with opened(self.folder) as config:
            assert config.search is not None
            return best_trial(self.folder, config.search)

    def name_of(self, trial: int) -> str:
        """Return the name by which `run` knows a trial: ``run(from_trial=...)``."""
        return f"{self.id}/{trial}"

    def config_of(self, trial: int) -> dict[str, Any]:
        """Return the whole configuration of a finished trial, as plain values."""
        found = FinishedTrial.read(self.folder, trial)
        if found is None:
            raise RunError(f"the search {self.id} has no finished trial {trial}.")
        with opened(self.folder):
            return trial_config(self.config, found.parameters)

    def returns(self, trial: int) -> pd.Series[float]:
        """Return the out-of-sample return of each bar of a trial, by close time."""
        return read_returns(trial_dir(self.folder, trial) / RETURNS)

    def run_command(self, trial: int) -> str:
        """Return the command that repeats a trial and runs its configuration."""
        return command(self.folder, "run", "--from-trial", self.name_of(trial))

    def _finished(self) -> list[FinishedTrial]:
        return list(finished_trials(self.folder, int(self.config["search"]["trials"])))

    def __repr__(self) -> str:
        n = sum(1 for _ in self._finished())
        return f"Study({self.id!r}, {self.status}, {n} of {self.config['search']['trials']} trials)"


def _row(trial: FinishedTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state,
        "objective": trial.objective,
        **trial.parameters,
        **{key: value for key, value in trial.figures.items() if key not in trial.parameters},
        "windows": len(trial.objectives),
        "seconds": trial.seconds,
        "error": trial.error,
    }
