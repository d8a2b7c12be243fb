"""The jobs of a search: features and inner windows of the bars before the test, and the trials."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.backtesting.compare import backtest_alone
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    MAIN_METRICS,
    compute_metrics,
)
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    DataError,
    DivergenceError,
    FeatureError,
    NonFiniteError,
)
from reinforcestrategycreator_pipeline.experiments.jobs import Report
from reinforcestrategycreator_pipeline.experiments.trial_returns import RETURNS, write_returns
from reinforcestrategycreator_pipeline.market.bars import read_bars
from reinforcestrategycreator_pipeline.market.windows import Span
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.fits import CONFIG, FitJob
from reinforcestrategycreator_pipeline.pipeline.spans import Spans
from reinforcestrategycreator_pipeline.pipeline.stages.feature_engineering import engineer
from reinforcestrategycreator_pipeline.policies.base import load_policy
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward
from reinforcestrategycreator_pipeline.runs.artifacts import POLICY
from reinforcestrategycreator_pipeline.verdict.looks import sketch_of

SCORE, ERROR = "score.json", "error.json"
FITS = "fits"
"""Folder of a trial with a folder for each inner window, until the trial is finished."""

# What a configuration may bring about: that trial fails, and the search goes on.
_OWN_FAULTS = (ConfigError, DataError, FeatureError, NonFiniteError, DivergenceError)


@dataclass(frozen=True)
class Score:
    """The out-of-sample part of a trial up to one of its inner windows.

    Attributes
    ----------
    error : str
        Why the trial failed; else empty, and the rest is filled.
    objective : float or None
        Value of the search's metric; None if it is undefined.
    figures : mapping of str to float or None
        Main metrics of the out-of-sample part.
    start, end : str
        First and last close, UTC, ISO 8601.
    symbols, bars : tuple of str
        Assets, and the sketch of their bars.
    sha256 : str
        SHA-256 of the content of `RETURNS`.
    seconds : float
        Wall time of this window's fit and of the backtest.
    """

    error: str = ""
    objective: float | None = None
    figures: Mapping[str, float | None] | None = None
    start: str = ""
    end: str = ""
    symbols: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    sha256: str = ""
    seconds: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> Score | None:
        """Return the score of an inner window's folder; None if it is not there."""
        found = _read(folder / SCORE)
        if found is None:
            return None
        found |= {key: tuple(found[key]) for key in ("symbols", "bars")}
        return cls(**found)


@dataclass(frozen=True)
class MarketJob:
    """The features and the inner windows that trials share.

    Attributes
    ----------
    name : str
        Name of the job.
    config : mapping
        Whole configuration with the inner split, as plain values.
    bars : Path
        Bars before the first test bar.
    folder : Path
        Folder of the artifacts `paths`; it is there when all of them are.
    """

    name: str
    config: Mapping[str, Any]
    bars: Path
    folder: Path

    @property
    def paths(self) -> dict[str, Path]:
        """The artifacts `SPAN_INPUTS`."""
        return {
            "bars": self.bars,
            "features": self.folder / "features.parquet",
            "feature_spec": self.folder / "spec.json",
            "windows": self.folder / "windows.json",
        }

    @property
    def error(self) -> str | None:
        """Why there are no features; None if there are."""
        found = _read(self.folder / ERROR)
        return None if found is None else str(found["error"])

    def done(self) -> bool:
        """Return whether the folder is there."""
        return self.folder.is_dir()

    def run(self, report: Report) -> None:
        """Compute the features and divide the time, or write why that is impossible."""
        config = load_config(RunConfig, None, (), given=self.config)
        with files.atomic_folder(self.folder) as folder:
            try:
                features, windows, _ = engineer(read_bars(self.bars), config)
            except _OWN_FAULTS as error:
                files.write_json(folder / ERROR, {"error": f"inner windows: {error}"})
                return
            paths = {key: folder / path.name for key, path in self.paths.items()}
            features.write(paths["features"], paths["feature_spec"])
            files.write_json(paths["windows"], windows.to_json())


@dataclass(frozen=True)
class TrialJob:
    """The first inner windows of a trial: fit on each, and the backtest of all together.

    Attributes
    ----------
    name : str
        Name of the trial.
    config : mapping
        Whole configuration of the trial, as plain values.
    paths : mapping of str to Path
        Artifacts `SPAN_INPUTS` of a `MarketJob`.
    folder : Path
        Folder of the trial.
    windows : int
        Number of inner windows to fit, >= 1; those that have a score are not fitted again.
    metric : str
        Metric of the objective.
    """

    name: str
    config: Mapping[str, Any]
    paths: Mapping[str, Path]
    folder: Path
    windows: int
    metric: str

    def score(self, window: int) -> Score | None:
        """Return the score up to an inner window, from 1; None if it is not there."""
        return Score.read(self._fit(window))

    def done(self) -> bool:
        """Return whether the last score is there, or the trial has failed."""
        return self.score(self.windows) is not None

    def run(self, report: Report) -> None:
        """Fit and backtest what has no score yet; a fault of the configuration is its score."""
        for window in range(1, self.windows + 1):
            if (known := self.score(window)) is None:
                try:
                    known = self._window(window, report)
                except _OWN_FAULTS as error:
                    known = Score(error=str(error))
                files.write_json(self._fit(window) / SCORE, asdict(known))
            if known.error:
                files.write_json(self._fit(self.windows) / SCORE, asdict(known))
                return

    def _fit(self, window: int) -> Path:
        return self.folder / FITS / str(window)

    def _window(self, window: int, report: Report) -> Score:
        began = time.perf_counter()
        fit, config = self._fit(window), {key: self.config[key] for key in CONFIG}
        scope = f"search/window {window}"
        FitJob(
            self.name, config, self.paths, window - 1, scope, fit, fit / "checkpoints", resume=True
        ).run(report)
        rules = load_config(RunConfig, None, (), given=config).trading
        spans = Spans.load(self.paths, rules)
        policies = tuple(load_policy(self._fit(k) / POLICY) for k in range(1, window + 1))
        own = WalkForward(policies, spans.windows.starts[:window])
        tests = spans.windows.tests[:window]
        test = spans.cut(Span(tests[0].start, tests[-1].end), "out of sample")
        _, result = backtest_alone(self.name, own, test)
        sha256 = write_returns(fit / RETURNS, result)
        seconds = round(time.perf_counter() - began, 3)
        return self._scored(result, test, sha256, seconds)

    def _scored(
        self, result: StrategyResult, test: MarketSpan, sha256: str, seconds: float
    ) -> Score:
        periods = infer_periods_per_year(result.timestamps)
        names = dict.fromkeys((*MAIN_METRICS, self.metric))
        figures = {
            key: found.value for key, found in compute_metrics(result, periods, names).items()
        }
        return Score(
            objective=figures[self.metric],
            figures=figures,
            start=result.timestamps[0].isoformat(),
            end=result.timestamps[-1].isoformat(),
            symbols=tuple(asset.symbol for asset in test.assets),
            bars=sketch_of(test),
            sha256=sha256,
            seconds=seconds,
        )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
