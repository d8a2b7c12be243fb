"""A study from its start to its end, or from an interruption on; and the repetition of a trial."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline import __version__, files, kernels
from reinforcestrategycreator_pipeline.errors import (
    DataError,
    Interrupted,
    RscError,
    RunError,
)
from reinforcestrategycreator_pipeline.experiments.engines.base import Engine
from reinforcestrategycreator_pipeline.experiments.jobs import Job, Listener
from reinforcestrategycreator_pipeline.experiments.proposals import require_optuna
from reinforcestrategycreator_pipeline.experiments.trials import FinishedTrial
from reinforcestrategycreator_pipeline.interrupts import raised_interrupts
from reinforcestrategycreator_pipeline.kernels import one_thread
from reinforcestrategycreator_pipeline.market.bars import MarketData, write_bars
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, load_source
from reinforcestrategycreator_pipeline.market.windows import windows_of
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import module_folders
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.engines import engine_for
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.search.space import check_space, trial_config
from reinforcestrategycreator_pipeline.pipeline.search.trials import TrialJob
from reinforcestrategycreator_pipeline.pipeline.search.work import (
    StudyWork,
    market_job,
    trial_job,
)
from reinforcestrategycreator_pipeline.runs.artifacts import LOOKS
from reinforcestrategycreator_pipeline.runs.folder import locked
from reinforcestrategycreator_pipeline.runs.log import RunLog, open_log
from reinforcestrategycreator_pipeline.runs.machine import describe
from reinforcestrategycreator_pipeline.runs.manifest import jsonable, now
from reinforcestrategycreator_pipeline.runs.studies import (
    BARS,
    StudyRecord,
    command,
    load_study,
    new_study,
)
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.trust import remember
from reinforcestrategycreator_pipeline.verdict.looks import read_trials


class Search:
    """The engine and the console of a search.

    Parameters
    ----------
    console : rich.console.Console
        Console for progress.
    engine : Engine, optional
        Engine of the trials; by default the fastest of this machine. The results are the same.
    of_run : bool
        Whether the search is part of a run, which then says how to go on after an interruption.
    """

    def __init__(self, console: Any, engine: Engine | None = None, of_run: bool = False) -> None:
        self._console, self._engine, self._of_run = console, engine, of_run

    def start(
        self,
        config: RunConfig,
        runs_dir: Path,
        folder: Path | None = None,
        name: str | None = None,
    ) -> Path:
        """Create a study, run all trials, and return its folder.

        Parameters
        ----------
        config : RunConfig
            Resolved configuration with a search.
        runs_dir : Path
            Folder of the run store.
        folder : Path, optional
            Folder of the configuration file.
        name : str, optional
            Name of the study; by default, the time and a random suffix.

        Raises
        ------
        RscError
            If the search cannot go on; `Interrupted` after Ctrl-C or SIGTERM.
        """
        require_search(config)
        with new_study(runs_dir, name) as study_dir:
            record = StudyRecord(study_dir.name, __version__, jsonable(to_plain(config)))
            record.created = now()
            record.folder = str(folder.resolve()) if folder else ""
            if folders := module_folders(record.config):
                remember(study_dir, record.created, folders)
            record.save(study_dir)
            self._work(study_dir, record, config)
        return study_dir

    def resume(self, study_dir: Path, config: RunConfig, trials: int | None = None) -> Path:
        """Run the trials of a study that are not finished, and return its folder.

        Parameters
        ----------
        study_dir : Path
            Folder of the study.
        config : RunConfig
            Configuration of the study.
        trials : int, optional
            Number of trials in all, at least that of before.

        Raises
        ------
        RscError
            As in `start`; if the study is damaged, or another process uses it.
        """
        with locked(study_dir, "study"):
            record = load_study(study_dir)
            if trials is not None:
                config = with_trials(config, trials)
                if trials < (asked := record.config["search"]["trials"]):
                    raise RunError(
                        f"the number of trials of the search {study_dir.name} must be at least "
                        f"{asked}, as before: what was tried stays. Got {trials} instead."
                    )
                record.config = jsonable(to_plain(config))
            before, found = record.environment.get("kernel"), kernels.loaded()
            if before not in (None, found):
                self._say(
                    f"warning: the search began with {kernels.named(before)}, this process has "
                    f"{kernels.named(found)}: the last digits may differ"
                )
            self._work(study_dir, record, config)
        return study_dir

    def repeat(self, study_dir: Path, number: int, config: RunConfig) -> dict[str, Any]:
        """Repeat a trial, require the returns of the ledger, and return the configuration.

        Parameters
        ----------
        study_dir : Path
            Folder of the study.
        number : int
            Number of a finished trial.
        config : RunConfig
            Configuration of the study.

        Raises
        ------
        RscError
            If the trial is not finished or has failed, if the ledger does not know it, or if the
            returns are other ones.
        """
        assert config.search is not None
        record, name = load_study(study_dir), f"{study_dir.name}/{number}"
        trial = FinishedTrial.read(study_dir, number)
        if trial is None:
            raise RunError(f"the trial {name} is not finished, or there is none of this number.")
        if trial.error:
            raise RunError(f"the trial {name} failed, so it cannot be run: {trial.error}")
        store, mine = study_dir.parent.parent, (study_dir.name, record.created)
        lines = [
            t for t in read_trials(store / LOOKS) if (*t.of_study, t.number) == (*mine, number)
        ]
        if not lines:
            raise RunError(f"{store / LOOKS}: has no line about the trial {name}.")
        _require_bars(study_dir, record)
        search = to_plain(config)
        whole = trial_config(search, trial.parameters)
        self._say(f"repeating trial {name}")
        with _scratch(study_dir) as scratch:
            market = market_job(study_dir, search, whole)
            market = dataclasses.replace(market, folder=scratch / "market")
            windows, metric = len(trial.objectives), config.search.metric
            job = trial_job(study_dir, number, whole, market, windows, metric)
            job = dataclasses.replace(job, folder=scratch / "trial")
            with raised_interrupts(), one_thread(), Bars(self._console) as bars:
                for one in (market, job):
                    self._run_alone(one, search, bars)
                sha256 = _result(job)
        if sha256 != lines[0].sha256:
            made = record.environment.get("kernel") or kernels.loaded()
            raise RunError(
                f"the trial {name} does not repeat: its returns have the SHA-256 {sha256[:12]}..., "
                f"but {lines[0].sha256[:12]}... in {store / LOOKS}. It was made by version "
                f"{record.package_version} with {kernels.named(made)}; this is {__version__} with "
                f"{kernels.named(kernels.loaded())}."
            )
        self._say(f"trial {name} repeated: its returns are those of the ledger")
        return whole

    def _run_alone(self, job: Job, search: dict[str, Any], bars: Bars) -> None:
        try:
            engine_for(search, 1, self._engine).run([job], _Shown(bars))
        except KeyboardInterrupt as error:
            raise Interrupted(
                "interrupted while the trial was repeated; nothing is lost"
            ) from error
        bars.drop(job.name)

    def _work(self, study_dir: Path, record: StudyRecord, config: RunConfig) -> None:
        """Run what is missing of a study, whose record says how that ended."""
        # The log of a run says what it hears itself.
        say = None if self._of_run else self._warn
        with open_log(study_dir, say) as log, raised_interrupts(), one_thread():
            try:
                record.package_version, record.environment = __version__, describe()
                record.status = "running"
                record.save(study_dir)
                self._say(f"search {study_dir.name} in {study_dir}")
                self._ingest(study_dir, record, config, log)
                with Bars(self._console) as bars:
                    StudyWork(study_dir, record, config, self._engine, bars, log).run()
                record.status = "complete"
                record.save(study_dir)
                self._page(study_dir, config)
                log.info("search complete")
            except BaseException as error:
                ended = self._ended(error, study_dir, record, log)
                if ended is error:
                    raise  # with its own cause
                raise ended from error

    def _page(self, study_dir: Path, config: RunConfig) -> None:
        from reinforcestrategycreator_pipeline.reporting.search.page import write_study_page

        write_study_page(study_dir, config_to_yaml(config))

    def _ingest(self, study_dir: Path, record: StudyRecord, config: RunConfig, log: RunLog) -> None:
        """Load the data, and keep the bars before the first test bar; trials see no others."""
        if record.bars:
            _require_bars(study_dir, record)
            return
        source = build_source(config.data.source, config.data.params)
        data = load_source(source, config.data.source, generator(config.seed, "data"))
        for warning in data.warnings:
            log.warning(warning)
            self._say(f"warning: {warning}")
        known = bars_before_test(data, config)
        write_bars(study_dir / BARS, known)
        record.bars = files.sha256_file(study_dir / BARS)
        record.end = known.timestamps[-1].isoformat()
        record.save(study_dir)

    def _ended(
        self, error: BaseException, study_dir: Path, record: StudyRecord, log: RunLog
    ) -> BaseException:
        """Record how the search ended, and return the exception that the user sees."""
        resume = command(study_dir, "tune", "--resume", study_dir.name)
        record.status, ended = "failed", error
        if isinstance(error, (KeyboardInterrupt, Interrupted)):
            record.status = "interrupted"
        if self._of_run:
            pass
        elif record.status == "interrupted":
            said = f" ({error})" if str(error) else ""
            ended = Interrupted(f"the search was interrupted{said}; continue with: {resume}")
        elif (full := files.full_disk(error)) is not None:
            said = str(error) if isinstance(error, RscError) else f"the search: {full.strerror}"
            ended = RunError(f"{said}; finished trials are intact. Free some space, then: {resume}")
        # A full disk blocks log and record, but the user still gets the message.
        with contextlib.suppress(OSError, RunError):
            expected = isinstance(error, (RscError, OSError, KeyboardInterrupt))
            log.error(str(ended) or "interrupted", raised=None if expected else error)
            record.save(study_dir)
        return ended

    def _warn(self, text: str) -> None:
        self._say(f"warning: {text}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def require_search(config: RunConfig) -> None:
    """Require what a search needs before it begins: Optuna, and a space that can be searched.

    Raises
    ------
    ConfigError
        If Optuna is not installed, or if a key or value of the space is wrong.
    """
    require_optuna()
    check_space(config)


def with_trials(config: RunConfig, trials: int) -> RunConfig:
    """Return the configuration of a search with another number of trials."""
    assert config.search is not None
    return dataclasses.replace(config, search=dataclasses.replace(config.search, trials=trials))


def bars_before_test(data: MarketData, config: RunConfig) -> MarketData:
    """Return the bars that a search may see: those before the first test bar and its embargo.

    The warm-up of features, which some trials may need, only moves a run's first test bar to later.

    Raises
    ------
    DataError
        If the bars are too few for the split, or a symbol begins later.
    """
    end = windows_of(data.timestamps, config.split).judged[0].validation.end
    bars: dict[str, pd.DataFrame] = {}
    for symbol, frame in data.bars.items():
        bars[symbol] = frame[frame.index <= end]
        if bars[symbol].empty:
            raise DataError(f"{symbol}: has no bar before the test bars, as the search needs.")
    return dataclasses.replace(data, bars=bars)


def _require_bars(study_dir: Path, record: StudyRecord) -> None:
    path = study_dir / BARS
    if not path.is_file() or files.sha256_file(path) != record.bars:
        raise RunError(f"{path}: is missing, edited or damaged. Start a new search.")


def _result(job: TrialJob) -> str:
    score = job.score(job.windows)
    assert score is not None
    if score.error:
        raise RunError(f"the {job.name} fails when it is repeated: {score.error}")
    return score.sha256


@contextmanager
def _scratch(study_dir: Path) -> Iterator[Path]:
    """Yield a folder that is removed afterwards; `files.sweep` removes it after a kill."""
    try:
        found = tempfile.TemporaryDirectory(".tmp", ".repeat.", study_dir)
    except OSError as error:
        raise RunError(f"{study_dir}: cannot write: {error.strerror}.") from error
    with found as name:
        yield Path(name)


class _Shown(Listener):
    """Shows the progress of one job."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def progress(self, job: str, done: int, total: int, /, **texts: Any) -> None:
        """Advance the bar of the job."""
        self._bars.show(job, done, total, **texts)
