"""The time that a search will take, from a short measurement on the machine that will run it.

A few trials of the first generation are begun on the engine of the search, as many at once as there
will be, and stopped after some seconds. What a fit takes in all follows from its progress.
"""

from __future__ import annotations

import heapq
import math
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.experiments.engines.base import Engine, kept_open
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes, processors
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
from reinforcestrategycreator_pipeline.experiments.proposals import Proposer
from reinforcestrategycreator_pipeline.interrupts import raised_interrupts
from reinforcestrategycreator_pipeline.kernels import one_thread
from reinforcestrategycreator_pipeline.market.bars import write_bars
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, load_source
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.engines import engine_for
from reinforcestrategycreator_pipeline.pipeline.search.samples import Sample, Start
from reinforcestrategycreator_pipeline.pipeline.search.space import trial_config
from reinforcestrategycreator_pipeline.pipeline.search.studies import (
    bars_before_test,
    require_search,
)
from reinforcestrategycreator_pipeline.pipeline.search.trials import TrialJob
from reinforcestrategycreator_pipeline.pipeline.search.work import SEEDS, market_job, trial_job
from reinforcestrategycreator_pipeline.runs.studies import BARS, JOURNAL
from reinforcestrategycreator_pipeline.seeding import Seeds, generator

LIMIT = 4.0
"""Seconds after which a sampled trial is stopped, once its progress shows a rate."""


_PACKAGE = __name__.partition(".")[0]
# What the command loads; named, as parts of it are of a higher rank than this module.
_IMPORTED = (
    "optuna",
    f"{_PACKAGE}.cli.app",
    f"{_PACKAGE}.api.studies",
    f"{_PACKAGE}.reporting.search.page",
)


@dataclass(frozen=True)
class Estimate:
    """The predicted wall time of a search, and what it follows from.

    Attributes
    ----------
    trials, folds, generation, workers : int
        Trials, inner windows, trials of a generation, and fits at once.
    setup : float
        Seconds of all else: start of the command and its workers, imports, data, features.
    fits : tuple of float
        Seconds of a fit and its backtest, for each sampled trial.
    """

    trials: int
    folds: int
    generation: int
    workers: int
    setup: float
    fits: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Wall time of all trials, none of which ends early."""
        return self.setup + self.folds * sum(
            makespan([self.fits[k % len(self.fits)] for k in range(size)], self.workers)
            for size in sizes(self.trials, self.generation)
        )


def sizes(trials: int, generation: int) -> list[int]:
    """Return the number of trials of each generation; the last one may be smaller."""
    whole, rest = divmod(trials, generation)
    return [generation] * whole + [rest] * bool(rest)


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return the wall time of jobs, each of which begins in its turn on the first free worker."""
    free = [0.0] * workers
    for duration in seconds:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def estimate(config: RunConfig, runs_dir: Path, engine: Engine | None = None) -> Estimate:
    """Predict how long a search will take, in about ten seconds.

    Parameters
    ----------
    config : RunConfig
        Resolved configuration with a search.
    runs_dir : Path
        Folder of the run store, in which a temporary folder is made.
    engine : Engine, optional
        Engine of the trials, on this machine; by default the fastest.

    Raises
    ------
    RscError
        If the configuration or the data are wrong, if all sampled trials fail, or if the engine
        is not of this machine.
    """
    assert config.search is not None
    require_search(config)
    most = min(config.search.generation, config.search.trials)
    plain = to_plain(config)
    chosen = engine_for(plain, most, engine)
    workers = _at_once(chosen)
    runs_dir.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(".tmp", ".estimate.", runs_dir) as name,
        raised_interrupts(),
        one_thread(),
        kept_open(chosen) as kept,
    ):
        folder, begin = Path(name), time.perf_counter()
        Processes(1).run([Start("command", folder, _IMPORTED)], Listener())
        source = build_source(config.data.source, config.data.params)
        data = load_source(source, config.data.source, generator(config.seed, "data"))
        write_bars(folder / BARS, bars_before_test(data, config))
        errors: list[str] = []
        trials = _trials(config, plain, folder, kept, min(most, max(2 * workers, 4)), errors)
        kept.run([Start(f"start {k}", folder) for k in range(workers)], Listener())
        setup = time.perf_counter() - begin
        samples = [Sample(trial.name, trial, config.search.folds, LIMIT) for trial in trials]
        kept.run(samples, Listener())
        fits = tuple(seconds for sample in samples if (seconds := sample.seconds) is not None)
        errors += [sample.error for sample in samples if sample.error]
    if not fits:
        raise ConfigError(f"all sampled trials of the search fail; the first one: {errors[0]}")
    return Estimate(
        config.search.trials, config.search.folds, config.search.generation, workers, setup, fits
    )


def _at_once(engine: Engine) -> int:
    if isinstance(engine, Inline):
        return 1
    if isinstance(engine, Processes):
        return engine.workers or processors()
    raise ConfigError(
        "an estimate needs the engine 'inline' or 'processes': it measures this machine."
    )


def _trials(
    config: RunConfig,
    plain: Mapping[str, Any],
    folder: Path,
    engine: Engine,
    size: int,
    errors: list[str],
) -> list[TrialJob]:
    """Return the first trials of the search, with their features; note why others fail."""
    search = config.search
    assert search is not None
    proposer = Proposer(search, Seeds(config.seed).within(SEEDS), folder / JOURNAL)
    jobs, markets = [], []
    for number, parameters in enumerate(proposer.propose(0, size)):
        try:
            whole = trial_config(plain, parameters)
        except ConfigError as error:
            errors.append(str(error))
            continue
        market = market_job(folder, plain, whole)
        markets.append(market)
        jobs.append(trial_job(folder, number, whole, market, search.folds, search.metric))
    engine.run({market.name: market for market in markets}.values(), Listener())
    errors += [market.error for market in markets if market.error is not None]
    return [job for job, market in zip(jobs, markets, strict=True) if market.error is None]


def lines(found: Estimate) -> Iterable[tuple[str, str]]:
    """Return the label and the text of each line that people read."""
    mean = math.fsum(found.fits) / len(found.fits)
    yield (
        "fits",
        (
            f"{found.trials * found.folds:,}: {found.trials:,} trials, in generations of "
            f"{found.generation}, x {found.folds} inner windows; {found.workers} at once"
        ),
    )
    yield (
        "a fit",
        (
            f"{mean:.3g} s with its backtest; in {len(found.fits)} trials {min(found.fits):.3g} to "
            f"{max(found.fits):.3g} s"
        ),
    )
    yield "the rest", f"{found.setup:.3g} s"
    yield "in all", f"about {duration(found.seconds)}; less if trials end early"


def duration(seconds: float) -> str:
    """Return a duration in two units at most: ``3 h 12 min``."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min"
