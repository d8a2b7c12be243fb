"""The main job as a function, and a run's folder as an object."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.api.bars import Frames, read_bars
from reinforcestrategycreator_pipeline.api.console import progress_console
from reinforcestrategycreator_pipeline.api.opened import opened
from reinforcestrategycreator_pipeline.api.outcome import Outcome
from reinforcestrategycreator_pipeline.backtesting.results import Results
from reinforcestrategycreator_pipeline.backtesting.store import read_results
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.experiments.engines.base import kept_open
from reinforcestrategycreator_pipeline.experiments.engines.catalog import ENGINES
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.bars import read_bars as read_stored_bars
from reinforcestrategycreator_pipeline.market.sources.frames import hold
from reinforcestrategycreator_pipeline.pipeline.config.kept import require_kept
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import modules_named
from reinforcestrategycreator_pipeline.pipeline.runner import Runner, RunOutcome
from reinforcestrategycreator_pipeline.pipeline.search.first import (
    require_its_search,
    search_first,
)
from reinforcestrategycreator_pipeline.pipeline.search.studies import Search, require_search
from reinforcestrategycreator_pipeline.pipeline.stages.catalog import ARTIFACTS, build_stages
from reinforcestrategycreator_pipeline.pipeline.stages.data_ingestion import data_warnings
from reinforcestrategycreator_pipeline.policies.base import Policy, load_policy
from reinforcestrategycreator_pipeline.reporting.run import keep_current
from reinforcestrategycreator_pipeline.runs.artifacts import POLICY, REPORT_HTML
from reinforcestrategycreator_pipeline.runs.folder import RUNS, command, find_run
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, load_manifest
from reinforcestrategycreator_pipeline.runs.studies import find_trial, load_study
from reinforcestrategycreator_pipeline.tracking.base import Tracker, track_all
from reinforcestrategycreator_pipeline.trust import (
    allowing,
    default_folders,
    load_module,
    remembered,
)
from reinforcestrategycreator_pipeline.verdict.answer import Answer
from reinforcestrategycreator_pipeline.verdict.decision import Decision
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement, Metrics
from reinforcestrategycreator_pipeline.verdict.looks import Look, looks_at


def run(
    config: str | Path | Mapping[str, Any] | RunConfig | None = None,
    *,
    seed: int | None = None,
    bars: Frames | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    store: str | Path = RUNS,
    run_id: str | None = None,
    resume: str | Path | None = None,
    restart: str | None = None,
    trust: Sequence[str | Path] = (),
    progress: bool | None = None,
    engine: Any = None,
    from_trial: str | int | None = None,
    quick: bool = False,
) -> Run:
    """Run all stages, from data to deployment; or resume a run.

    ``rsc run`` calls this function. The same seed gives the same bytes. If the configuration has a
    ``search``, that comes first (see `tune`), and the best of its trials is run.

    Parameters
    ----------
    config : path, mapping or RunConfig, optional
        A YAML file, or its content as a mapping; values may be objects, for example
        ``{"strategy": Linear(alpha=0.1)}``. ``RSC_CONFIG__*`` environment variables are laid
        over it, as in a shell; a `RunConfig` is complete and taken as it is.
    seed : int, optional
        The one seed of the run, >= 0.
    bars : DataFrame, or mapping of str to DataFrame, optional
        Bars in memory, in place of ``data.source``; see `read_bars`.
    overrides : mapping or sequence of str, optional
        ``{"strategy.training.steps": 20000}``, or ``["strategy.training.steps=20000"]`` as on
        the command line. They win over everything else.
    store : path
        The folder that holds the runs.
    run_id : str, optional
        Name of the new run; the time by default.
    resume : str, optional
        Continue this run: its id, a path, or ``"latest"``. A run that begins with a search goes on
        with that, too. It keeps its configuration; with
        `seed`, `bars` or `overrides`, only the stages that depend on what changed run again.
    restart : str, optional
        With `resume`: run this stage from its beginning, without its checkpoints.
    trust : sequence of path
        Folders whose modules the configuration may name, beside those of `trust.default_folders`;
        a resumed run may name those of its start, unless it was started elsewhere or by another
        user.
    progress : bool, optional
        Whether to show progress on standard error. By default only in a terminal or a notebook.
    engine : Engine, str or mapping, optional
        Engine that fits the windows: ``"inline"``, one after the other in this process;
        ``"processes"``, or ``{"name": "processes", "workers": 4}``; ``"ray"``, on a cluster. By
        default as many processes as there are processors. The results are the same with any.
    from_trial : str or int, optional
        Run the configuration of this trial of a search, ``"STUDY/NUMBER"``, or a number of the
        newest one. The trial is repeated first, and must have the returns that the ledger has.
    quick : bool
        Train the strategy as little as its method ``quick`` says, if it has one, to try everything
        out within seconds. The run's configuration holds how little that is.

    Returns
    -------
    Run
        The completed run.

    Raises
    ------
    RscError
        If the configuration or the data are wrong, or a stage stops; `Interrupted` after Ctrl-C.
    """
    arguments = arguments_of(seed, bars)
    chosen = None if engine is None else ENGINES.build(engine)
    console, runs_dir = progress_console(progress), Path(store)
    if restart is not None and resume is None:
        raise RunError("restart needs resume: it is a stage of that run.")
    if resume is not None and quick:
        raise RunError("quick does not go with resume: a run keeps its own training.")
    if resume is not None and (config is not None or run_id is not None):
        name = "a configuration" if config is not None else "a name (run_id)"
        raise RunError(
            f"{name} does not go with resume: a run keeps its own. Override a key, or start a new "
            "run."
        )
    if from_trial is not None:
        if (config, seed, resume) != (None, None, None) or overrides or quick:
            raise RunError("from_trial runs the configuration of the trial: pass no other.")
        study_dir, number = find_trial(runs_dir, from_trial)
        with opened(study_dir, trust) as complete, kept_open(chosen) as kept:
            warn_of_kernel(complete)
            found = Search(console, kept).repeat(study_dir, number, complete)
            runner = partial(_runner, kept, console)
            outcome = _run_trial(runner, study_dir, number, found, runs_dir, run_id)
        return Run(outcome.run_dir, outcome.unchanged, trust)
    with (
        resolved(config, arguments, overrides, store, resume, trust) as complete,
        kept_open(chosen) as kept,
    ):
        runner = partial(_runner, kept, console)
        warn_of_kernel(complete)
        file = Path(config) if isinstance(config, (str, Path)) else None
        folder = file.parent if file else None
        if quick and hasattr(complete.strategy, "quick"):
            complete = replace(complete, strategy=complete.strategy.quick())
        if resume is not None:
            run_dir = find_run(runs_dir, str(resume))
            require_its_search(complete, load_manifest(run_dir))
            outcome = runner(complete).resume(run_dir, complete, restart)
        else:
            outcome = runner(complete).start(complete, runs_dir, run_id, folder)
    return Run(outcome.run_dir, outcome.unchanged, trust)


def _runner(engine: Any, console: Any, config: RunConfig) -> Runner:
    """Return the runner of a configuration, which searches first and calls trackers at the end."""
    at_end, choose = partial(_finish, trackers=config.tracking, console=console), None
    if config.search is not None:
        require_search(config)
        choose = partial(search_first, Search(console, engine, of_run=True))
    return Runner(build_stages(engine), ARTIFACTS, console, at_end, choose)


def _finish(run_dir: Path, trackers: Sequence[Tracker], console: Any) -> None:
    """Bring the pages up to date, and log the run with its trackers."""
    keep_current(run_dir)
    show = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    track_all(trackers, run_dir, show)


def _run_trial(
    runner: Callable[[RunConfig], Runner],
    study_dir: Path,
    number: int,
    found: Mapping[str, Any],
    runs_dir: Path,
    run_id: str | None,
) -> RunOutcome:
    """Run the configuration of a trial."""
    folder = load_study(study_dir).folder
    config = load_config(RunConfig, None, (), given=found)
    name = f"{study_dir.name}/{number}"
    return runner(config).start(config, runs_dir, run_id, Path(folder) if folder else None, name)


def arguments_of(seed: int | None, bars: Frames | None) -> dict[str, Any]:
    """Return the keys of the configuration that arguments of `run` set."""
    arguments: dict[str, Any] = {} if seed is None else {"seed": seed}
    if bars is not None:
        arguments["data"] = {"source": "frames", "params": {"sha256": hold(read_bars(bars))}}
    return arguments


def warn_of_kernel(config: RunConfig) -> None:
    """Warn if the results will have other last digits than those of the command line."""
    found = kernels.loaded()
    exact = config.reproducibility == "exact" and kernels.can_be_common()
    if exact and not kernels.is_common(found):
        warnings.warn(
            f"NumPy was loaded before `run`, with {kernels.named(found)}: the results hold for "
            f"this kind of processor. `rsc run` takes {kernels.named(kernels.COMMON)}.",
            stacklevel=3,
        )


@contextmanager
def resolved(
    config: str | Path | Mapping[str, Any] | RunConfig | None,
    arguments: Mapping[str, Any],
    overrides: Mapping[str, Any] | Sequence[str],
    store: str | Path,
    resume: str | Path | None,
    trust: Sequence[str | Path],
) -> Iterator[RunConfig]:
    """Resolve the configuration of what `run` would run; allow its modules inside the context.

    The parameters are those of `run`; `arguments` sets whole keys, above everything else.
    """
    if isinstance(overrides, str):
        overrides = [overrides]
    if resume is not None:
        folder = find_run(Path(store), str(resume))
        manifest = load_manifest(folder)
        require_kept(folder, manifest)
        with modules_of(folder, manifest, trust):
            # It is complete and already holds what the environment said at the run's start.
            yield load_config(
                RunConfig, None, overrides, given=manifest.config, arguments=arguments
            )
        return
    file = Path(config) if isinstance(config, (str, Path)) else None
    environ: Mapping[str, str] = os.environ
    given = config if isinstance(config, Mapping) else None
    _require_no_frames(given)
    if isinstance(config, RunConfig):
        given, environ = to_plain(config), {}
    with allowing((*default_folders(file), *trust), beside=file and file.parent):
        yield load_config(RunConfig, file, overrides, environ, given, arguments)


def _require_no_frames(given: Mapping[str, Any] | None) -> None:
    """Reject bars in memory where a configuration names a source."""
    data = (given or {}).get("data")
    frames = (data, data.get("source")) if type(data) is dict else (data,)
    if any(isinstance(value, (pd.DataFrame, MarketData)) for value in frames):
        raise ConfigError("bars in memory are no configuration: pass them as rsc.run(bars=...).")


@contextmanager
def modules_of(
    folder: Path, manifest: Manifest, trust: Sequence[str | Path], names: Iterable[Any] = ()
) -> Iterator[None]:
    """Allow the modules that a run had at its start, if this user started it here, and others.

    Parameters
    ----------
    folder, manifest : Path, Manifest
        Folder and manifest of the run.
    trust : sequence of path
        Folders to allow besides.
    names : iterable of str
        Modules to import.

    Raises
    ------
    ConfigError
        If a module is not allowed, or importing it raises.
    """
    beside = manifest.folder or Path.cwd()
    with allowing((*remembered(folder, manifest.created), *trust), beside):
        for name in names:
            load_module(str(name))
        yield


class Run(Outcome):
    """A run in its folder; everything is read from there when it is asked for.

    Parameters
    ----------
    folder : Path
        The run's folder.
    unchanged : sequence of str
        Stages that the newest call of `run` did not run again.
    trust : sequence of path
        Folders whose modules `policy` may load, beside those from which the run was started.
    """

    def __init__(
        self,
        folder: Path,
        unchanged: Sequence[str] = (),
        trust: Sequence[str | Path] = (),
    ) -> None:
        self.folder, self.unchanged, self.trust = Path(folder), tuple(unchanged), tuple(trust)

    @classmethod
    def open(
        cls, run: str | Path, store: str | Path = RUNS, trust: Sequence[str | Path] = ()
    ) -> Run:
        """Return a run of the past.

        Parameters
        ----------
        run : str or path
            Its id, ``"latest"``, or the path of its folder.
        store : path
            The folder that holds the runs, for an id.
        trust : sequence of path
            Folders whose modules `policy` may load.

        Raises
        ------
        RunError
            If there is none; the message offers the nearest name.
        """
        path = str(run) if os.sep in str(run) or not isinstance(run, Path) else f"./{run}"
        found = cls(find_run(Path(store), path), trust=trust)
        found.manifest  # noqa: B018  a folder without a manifest is no run
        return found

    @property
    def manifest(self) -> Manifest:
        """The run's manifest, as it is now: configuration, versions, stages, hashes."""
        return load_manifest(self.folder)

    @property
    def id(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration, as plain values."""
        return self.manifest.config

    @cached_property
    def judgement(self) -> Judgement:
        """Metrics of every strategy on every asset, and the decision."""
        return Judgement.read(self._artifact("metrics"))

    @property
    def answer(self) -> Answer:
        """Whether there is an edge, as text with the reasons.

        Raises
        ------
        RunError
            If the run's stages gave none.
        """
        if self.judgement.answer is None:
            raise RunError(f"{self.folder}: was not tested against chance, so there is no answer.")
        return self.judgement.answer

    @property
    def verdict(self) -> Decision:
        """The decision on promotion; as text, its sentences; `Decision.first` is the first one."""
        return self.judgement.decision

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings of the data, such as guessed times or dropped rows, and of the result."""
        return (*data_warnings(self.manifest), *self.judgement.notes)

    @property
    def looks(self) -> tuple[Look, ...]:
        """All known evaluations of these test bars by runs of the store, in order."""
        return looks_at(self.folder)

    @property
    def headline(self) -> str:
        """The answer with its reasons, and the decision."""
        found = self.judgement.answer
        return f"{found} {self.verdict}" if found else str(self.verdict)

    @property
    def strategy(self) -> str:  # type: ignore[override]
        """Label of the strategy under test."""
        return self.judgement.strategy

    @cached_property
    def results(self) -> Results:  # type: ignore[override]
        """Results on the test span: symbol, or ``"PORTFOLIO"``, to strategy to result."""
        return read_results(self._artifact("results"), self._artifact("all_trades"))

    @property
    def values(self) -> Metrics:  # type: ignore[override]
        """Metrics by symbol, strategy and key; one that is undefined says why."""
        return self.judgement.metrics

    @cached_property
    def bars(self) -> MarketData:
        """All bars of the run, validated and adjusted."""
        return read_stored_bars(self._artifact("bars"))

    @property
    def history(self) -> pd.DataFrame:
        """One row per logged training step: step, loss and what else the strategy logs."""
        return pd.read_csv(self._artifact("history"))

    @cached_property
    def policy(self) -> Policy:
        """The policy that is deployed.

        The modules that the run's configuration names for it are imported first, if `trust` or the
        run's start on this machine allows them.
        """
        names = *self.config.get("imports", ()), *modules_named(self.config.get("strategy"))
        with modules_of(self.folder, self.manifest, self.trust, names):
            return load_policy(self._artifact("policy"))

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        """The policies that were judged, one for each window; loaded as `policy` is."""
        names = *self.config.get("imports", ()), *modules_named(self.config.get("strategy"))
        with modules_of(self.folder, self.manifest, self.trust, names):
            fits = self._artifact("fits")
            paths = sorted(fits.iterdir(), key=lambda path: int(path.name))
            return tuple(load_policy(path / POLICY) for path in paths)

    @property
    def report_path(self) -> Path:
        """The HTML report."""
        self._artifact("metrics")
        if not (path := self.folder / REPORT_HTML).is_file():
            again = f"{command(self.folder, 'report')} --render"
            raise RunError(f"{path}: is not there. Make it again with: {again}")
        return path

    @property
    def package_path(self) -> Path:
        """The deployment package, a folder."""
        return self._artifact("package")

    def _artifact(self, name: str) -> Path:
        return self.manifest.verified(self.folder, name)

    def __repr__(self) -> str:
        status = self.manifest.status
        if status != "complete":
            return f"Run({self.id!r}, {status})"
        return f"Run({self.id!r}: {self.verdict})"
