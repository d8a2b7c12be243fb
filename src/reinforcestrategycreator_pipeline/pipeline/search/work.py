"""The work on a study: generation after generation, until all trials are finished.

What counts is on disk: the parameters of a generation before any of its trials begins, the scores
of the jobs, the record of each finished trial. So a process that was killed at any moment is
continued to the same results. Which trials end early is decided after an inner window of the whole
generation, from the earlier generations: it does not depend on how many jobs run at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.experiments.engines.base import Engine, kept_open
from reinforcestrategycreator_pipeline.experiments.jobs import Job, Listener
from reinforcestrategycreator_pipeline.experiments.proposals import Proposer
from reinforcestrategycreator_pipeline.experiments.search import SearchConfig
from reinforcestrategycreator_pipeline.experiments.trial_returns import RETURNS
from reinforcestrategycreator_pipeline.experiments.trials import (
    FinishedTrial,
    better,
    finished_trials,
    trial_dir,
)
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.engines import engine_for
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.search.space import inner_split, trial_config
from reinforcestrategycreator_pipeline.pipeline.search.trials import (
    FITS,
    MarketJob,
    Score,
    TrialJob,
)
from reinforcestrategycreator_pipeline.runs.artifacts import LOOKS
from reinforcestrategycreator_pipeline.runs.log import RunLog
from reinforcestrategycreator_pipeline.runs.manifest import now
from reinforcestrategycreator_pipeline.runs.studies import (
    BARS,
    GENERATIONS,
    JOURNAL,
    MARKETS,
    StudyRecord,
)
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.verdict.looks import append, fingerprint, read_trials
from reinforcestrategycreator_pipeline.verdict.trials import Trial

SEEDS = "search"
"""Scope of the random numbers of the proposals."""


class StudyWork:
    """The trials of a study, from the first that is missing.

    Parameters
    ----------
    study_dir : Path
        Folder of the study, which is locked and has its bars.
    record : StudyRecord
        Record of the study.
    config : RunConfig
        Configuration with the search.
    engine : Engine or None
        Engine of the trials; by default the fastest of this machine.
    bars : Bars
        Progress bars of the search and of its trials.
    log : RunLog
        Log of the study.
    """

    def __init__(
        self,
        study_dir: Path,
        record: StudyRecord,
        config: RunConfig,
        engine: Engine | None,
        bars: Bars,
        log: RunLog,
    ) -> None:
        assert config.search is not None
        self._dir, self._record, self._chosen = study_dir, record, engine
        self._engine: Engine | None = None  # with the workers of all batches, once there is one
        self._search: SearchConfig = config.search
        self._config: dict[str, Any] = to_plain(config)
        self._bars, self._log = bars, log
        self._done = 0.0  # trials; in the middle of a generation, parts of them
        self._store = study_dir.parent.parent
        self._best: FinishedTrial | None = None
        mine = study_dir.name, record.created
        self._told = {t.number for t in read_trials(self._store / LOOKS) if t.of_study == mine}

    def run(self) -> None:
        """Run all trials that are not finished.

        Raises
        ------
        RscError
            If a file cannot be written, or if all trials of the first generation fail.
        """
        seeds = Seeds(self._config["seed"]).within(SEEDS)
        self._proposer = Proposer(self._search, seeds, self._dir / JOURNAL)
        size, total = self._search.generation, self._search.trials
        self._show()
        with ExitStack() as self._context:
            for generation, first in enumerate(range(0, total, size)):
                numbers = range(first, min(first + size, total))
                finished = [FinishedTrial.read(self._dir, number) for number in numbers]
                trials = [trial for trial in finished if trial is not None]
                if len(trials) < len(numbers):
                    trials = self._generation(generation, numbers, trials)
                for trial in trials:
                    self._finish(trial)

    def _generation(
        self, generation: int, numbers: range, finished: Sequence[FinishedTrial]
    ) -> list[FinishedTrial]:
        """Return the finished trials of a generation, in order; run those that are missing."""
        proposed = self._proposed(generation, len(numbers))
        known = {trial.number: trial for trial in finished}
        alive = {n: p for n, p in zip(numbers, proposed, strict=True) if n not in known}
        ended = self._tried(alive)
        if generation == 0 and not known and all(trial.error for trial in ended.values()):
            for number in numbers:  # so that they are tried again
                files.remove(trial_dir(self._dir, number))
            files.remove(self._dir / MARKETS)
            raise ConfigError(
                f"all of the first {len(numbers)} trials of the search failed; the first one: "
                f"{ended[0].error}"
            )
        for number, trial in ended.items():
            self._keep(trial, number)
        return [{**known, **ended}[number] for number in numbers]

    def _proposed(self, generation: int, size: int) -> list[dict[str, Any]]:
        """Return the parameters of a generation as they are on disk; propose what is missing.

        The last generation of a search may be incomplete. If the search is extended, it is proposed
        again, as a whole: a proposal does not depend on how many come after it.
        """
        path = self._dir / GENERATIONS / f"{generation}.json"
        known: list[dict[str, Any]] = []
        if path.is_file():
            known = json.loads(path.read_text(encoding="utf-8"))
        if len(known) >= size:
            return known
        proposed = self._proposer.propose(generation, size)
        if proposed[: len(known)] != known:
            raise RunError(
                f"{path}: Optuna proposes other configurations than it did, so this generation "
                "cannot be extended. Use the version of Optuna with which the search began, or "
                "start a new search."
            )
        files.write_json(path, proposed)
        return proposed

    def _tried(self, parameters: Mapping[int, Mapping[str, Any]]) -> dict[int, FinishedTrial]:
        """Run trials to their ends, with what they vary by number."""
        configs: dict[int, dict[str, Any]] = {}
        errors: dict[int, str] = {}
        for number, given in parameters.items():
            try:
                configs[number] = trial_config(self._config, given)
            except ConfigError as error:
                errors[number] = str(error)
        markets = {n: market_job(self._dir, self._config, config) for n, config in configs.items()}
        self._work({job.name: job for job in markets.values()}.values())
        errors |= {n: job.error for n, job in markets.items() if job.error is not None}
        scores: dict[int, list[Score]] = {number: [] for number in parameters}
        ended: dict[int, str] = dict.fromkeys(errors, "failed")
        steps = range(1, self._search.folds + 1)
        for step in steps if self._search.prune else steps[-1:]:
            jobs = {
                n: trial_job(self._dir, n, configs[n], markets[n], step, self._search.metric)
                for n in parameters
                if n not in ended
            }
            self._work(jobs.values(), 1 / len(steps) if self._search.prune else 1.0)
            for number, job in jobs.items():
                scores[number] = [s for k in range(1, step + 1) if (s := job.score(k))]
                if scores[number][-1].error:
                    errors[number], ended[number] = scores[number][-1].error, "failed"
                elif step == steps[-1]:
                    ended[number] = "complete"
                elif self._proposer.stops(
                    parameters[number], [score.objective for score in scores[number]]
                ):
                    ended[number] = "pruned"
        return {
            number: FinishedTrial(
                number,
                ended[number],
                given,
                fingerprint(configs.get(number)),
                tuple(s.objective for s in scores[number] if not s.error),
                (scores[number] or [Score()])[-1].figures or {},
                (scores[number] or [Score()])[-1].sha256,
                errors.get(number, ""),
                round(sum(s.seconds for s in scores[number]), 3),
            )
            for number, given in parameters.items()
        }

    def _work(self, jobs: Iterable[Job], part: float = 0.0) -> None:
        """Run jobs, each of which does a part of a trial."""

        def ended(name: str) -> None:
            self._bars.drop(name)
            self._done += part
            self._show()

        if self._engine is None:
            most = min(self._search.generation, self._search.trials)
            engine = engine_for(self._config, most, self._chosen)
            self._engine = self._context.enter_context(kept_open(engine))
        self._engine.run(jobs, _Heard(self._bars, self._log, ended))

    def _keep(self, trial: FinishedTrial, number: int) -> None:
        """Write what remains of a trial: its returns, its line in the ledger, its record."""
        folder = trial_dir(self._dir, number)
        last = folder / FITS / str(len(trial.objectives))
        score = Score() if trial.error else Score.read(last)
        assert score is not None
        returns = folder / RETURNS
        if not trial.error:
            files.copy(last / RETURNS, returns)
        if number not in self._told:
            append(
                self._store / LOOKS,
                Trial(
                    study=self._dir.name,
                    started=self._record.created,
                    number=number,
                    time=now(),
                    parameters=trial.parameters,
                    config=trial.config,
                    state=trial.state,
                    metric=self._search.metric,
                    objective=trial.objective,
                    figures=trial.figures,
                    start=score.start,
                    end=score.end,
                    symbols=score.symbols,
                    bars=score.bars,
                    returns="" if trial.error else returns.relative_to(self._store).as_posix(),
                    sha256=trial.sha256,
                ),
            )
            self._told.add(number)
        trial.write(self._dir)
        self._log.info("trial", **asdict(trial))

    def _finish(self, trial: FinishedTrial) -> None:
        """Tell Optuna of a trial, compare it with the best, and remove its networks."""
        objectives = () if trial.error else trial.objectives
        if trial.state == "complete" and not trial.ranks:
            objectives = ()  # undefined at last: worse than any
        self._proposer.finish(trial.number, trial.parameters, objectives, trial.ranks)
        self._best = better(trial, self._best, self._search.maximizes)
        files.remove(trial_dir(self._dir, trial.number) / FITS)
        self._done = trial.number + 1.0
        self._show()

    def _show(self) -> None:
        best = self._best
        said = "" if best is None else f"{best.objective:.4g} (trial {best.number})"
        texts = {"best": said} if said else {}
        self._bars.show("trials", self._done, self._search.trials, **texts)


def market_job(study_dir: Path, search: Mapping[str, Any], config: Mapping[str, Any]) -> MarketJob:
    """Return the job that makes the features and inner windows of a trial.

    Parameters
    ----------
    study_dir : Path
        Folder of the study.
    search, config : mapping
        Whole configurations of the search and of the trial, as plain values.
    """
    given = {**config, "search": search["search"]}
    whole = to_plain(inner_split(load_config(RunConfig, None, (), given=given)))
    depends = [whole["features"], whole["split"], whole["trading"]["rebalance"]]
    key = fingerprint(depends)[:16]
    return MarketJob(f"features {key}", whole, study_dir / BARS, study_dir / MARKETS / key)


def trial_job(
    study_dir: Path,
    number: int,
    config: Mapping[str, Any],
    market: MarketJob,
    windows: int,
    metric: str,
) -> TrialJob:
    """Return the job of a trial up to an inner window."""
    folder = trial_dir(study_dir, number)
    return TrialJob(f"trial {number}", config, market.paths, folder, windows, metric)


def best_trial(study_dir: Path, search: SearchConfig) -> FinishedTrial:
    """Return the best complete trial of a study.

    Raises
    ------
    RunError
        If there is none.
    """
    best: FinishedTrial | None = None
    for trial in finished_trials(study_dir, search.trials):
        best = better(trial, best, search.maximizes)
    if best is None:
        raise RunError(
            f"no trial of the search {study_dir.name} is complete with a defined objective: its "
            f"{search.metric} is undefined, for example because nothing was traded."
        )
    return best


class _Heard(Listener):
    """Shows and records what the jobs report, and passes on that they ended."""

    def __init__(self, bars: Bars, log: RunLog, at_end: Callable[[str], None]) -> None:
        self._bars, self._log, self._at_end = bars, log, at_end

    def progress(self, job: str, done: int, total: int, /, **texts: Any) -> None:
        """Advance the bar of a trial."""
        self._bars.show(job, done, total, **texts)

    def say(self, job: str, sentence: str, /) -> None:
        """Log a sentence: of many trials, on the terminal, it would hide the rest."""
        self._log.warning(f"{job}: {sentence}")

    def log(self, job: str, event: str, /, **values: Any) -> None:
        """Log an event."""
        self._log.info(event, trial=job, **values)

    def ended(self, job: str, /) -> None:
        """Pass on that a job ended."""
        self._at_end(job)
