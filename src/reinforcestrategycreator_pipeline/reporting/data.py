"""The data of a report, independent of its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtesting.metrics.base import MetricInfo, MetricValue
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, Results
from reinforcestrategycreator_pipeline.errors import nearest
from reinforcestrategycreator_pipeline.execution.schedule import Rebalance
from reinforcestrategycreator_pipeline.reporting.behavior.found import Behavior
from reinforcestrategycreator_pipeline.reporting.search.data import SearchData
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement
from reinforcestrategycreator_pipeline.verdict.looks import Looked


@dataclass(frozen=True)
class Screening:
    """Findings of an ensemble's agents about the features, before the agents that decide.

    Attributes
    ----------
    agreement : mapping of str to float
        Agreement of the agents on the effect of each feature, see `policies.relevance`.
    needed : float
        Agreement up to which an effect is put down to chance.
    relevance : mapping of str to float
        Factor of each feature in the policy, 0 to 1.
    """

    agreement: Mapping[str, float]
    needed: float
    relevance: Mapping[str, float]

    @property
    def used(self) -> list[str]:
        """The features that the policy reads, those with the most agreement first."""
        order = sorted(self.agreement, key=lambda name: -self.agreement[name])
        return [name for name in order if self.relevance[name] > 0.0]


@dataclass(frozen=True)
class WindowFacts:
    """One window: the bars that it was fitted on, those that judged it, and what was found.

    Attributes
    ----------
    fitted, judged : (Timestamp, Timestamp)
        First and last bar that its policy learned from, and of its test span.
    fallback : str
        Sentence that its policy is a fallback; empty if it is none.
    screening : Screening or None
        What a screening of the features found, if there was one.
    agents : int or None
        Number of agents that were trained; None if the strategy has no agents.
    """

    fitted: tuple[pd.Timestamp, pd.Timestamp]
    judged: tuple[pd.Timestamp, pd.Timestamp]
    fallback: str = ""
    screening: Screening | None = None
    agents: int | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that the pages of one run show.

    Attributes
    ----------
    run_id, created, version : str
        Name of the run, ISO time of its start, and version of the package.
    decided : bool
        Whether the judgement holds a decision on promotion.
    knows_trades : bool
        Whether exposures, trades and costs are known; an equity curve alone does not show them.
    seed : int or None
        Seed of the run.
    config_yaml : str
        Resolved configuration, as YAML.
    spans : mapping of str to (Timestamp, Timestamp)
        First and last bar of what the deployed policy learned from, ``"train"`` and
        ``"validation"``, and of ``"test"``, all bars that judge.
    bar_counts : mapping of str to int
        Number of bars in each span, over all assets.
    windows : sequence of WindowFacts
        The windows that judge the strategy, in order of time; empty if it was not fitted.
    costs : mapping
        Cost settings by name: basis points, and yearly rates.
    positions : sequence of float
        Grid of target exposures, as fractions of equity.
    rebalance : str or int
        When the portfolio is rebalanced, see `rebalancing_bars`.
    features : sequence of str
        Names of the features that the policy receives.
    lookback : int
        Number of bars before the first one with all features.
    results : mapping of str to mapping of str to StrategyResult
        Results by symbol (or ``"PORTFOLIO"``, shown first), then by strategy.
    judgement : Judgement
        Name of the judged strategy, the metrics of all results, and the decision.
    prices : mapping of str to DataFrame
        Test bars of each symbol, with a ``close`` column and close times as index.
    history : DataFrame
        One row per logged step: ``step``, ``loss``, and where known ``grad_norm``, ``update_norm``,
        ``q_mean``, ``q_max``, ``exploration_rate``, ``steps_per_second``, ``validation_growth``
        (NaN between validations).
    notes : sequence of str
        Repairs and findings of data validation, one sentence each.
    provenance : mapping
        Origin of the data: source, files, license, hashes. May nest.
    loss_floor : float or None
        Variance of the reward over the training bars, if the loss can be compared with it; the
        training loss can end below it, see `words.floor_note`.
    stages : mapping of str to int
        Last step of each stage of the training, by its name, if it has several.
    screening : Screening or None
        What a screening of the features found, if there was one.
    best_step : int or None
        Training step of the evaluated checkpoint.
    stage_seconds : mapping of str to float
        Duration of each completed stage, in seconds.
    looks : Looked or None
        How often the test bars were evaluated, if a store knows.
    trial : str
        Name of the trial whose configuration the run has, ``STUDY/NUMBER``; empty if it has none.
    search : SearchData or None
        The search of that trial, if its folder can be read.
    behavior : Behavior or None
        What the policy does with its features, if the evaluation measured it.
    health : mapping
        Findings on the health of the data, as `Health.summary` returns them; empty if unknown.
    """

    run_id: str
    created: str
    version: str
    results: Results
    judgement: Judgement
    decided: bool = True
    knows_trades: bool = True
    seed: int | None = None
    config_yaml: str = ""
    spans: Mapping[str, tuple[pd.Timestamp, pd.Timestamp]] = field(default_factory=dict)
    bar_counts: Mapping[str, int] = field(default_factory=dict)
    windows: Sequence[WindowFacts] = ()
    costs: Mapping[str, Any] = field(default_factory=dict)
    positions: Sequence[float] = ()
    rebalance: Rebalance = "never"
    features: Sequence[str] = ()
    lookback: int = 0
    prices: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    loss_floor: float | None = None
    stages: Mapping[str, int] = field(default_factory=dict)
    screening: Screening | None = None
    best_step: int | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    looks: Looked | None = None
    trial: str = ""
    search: SearchData | None = None
    behavior: Behavior | None = None
    health: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.results:
            raise ValueError("a report needs at least one result.")
        for asset, strategies in self.results.items():
            if self.policy not in strategies:
                hint = nearest(self.policy, strategies)
                raise ValueError(f"the results of {asset!r} lack {self.policy!r}.{hint}")
            missing = [s for s in strategies if s not in self.judgement.metrics.get(asset, {})]
            if missing:
                raise ValueError(f"the metrics of {asset!r} lack the strategy {missing[0]!r}.")

    @property
    def walks(self) -> bool:
        """Whether several windows judge the strategy, and another policy is deployed."""
        return len(self.windows) > 1

    @property
    def trial_number(self) -> int | None:
        """The number of the trial whose configuration the run has; None if it has none."""
        return int(self.trial.rpartition("/")[2]) if self.trial else None

    @property
    def policy(self) -> str:
        """The name of the strategy that is judged."""
        return self.judgement.strategy

    @property
    def assets(self) -> list[str]:
        """The keys of `results`, the portfolio first."""
        return sorted(self.results, key=lambda asset: asset != PORTFOLIO)

    @property
    def symbols(self) -> list[str]:
        """The assets without the portfolio."""
        return [asset for asset in self.results if asset != PORTFOLIO]

    def value(self, asset: str, strategy: str, metric: str) -> MetricValue:
        """Return one metric; if it was not computed, a value that says so."""
        return self.judgement.value(asset, strategy, metric)

    def info(self, metric: str) -> MetricInfo:
        """Return the description of a metric."""
        return self.judgement.infos[metric]


def stamp_texts(stamps: pd.DatetimeIndex, like: pd.DatetimeIndex | None = None) -> list[str]:
    """Return ISO dates if each date has one bar, else dates with minutes, in UTC.

    Parameters
    ----------
    stamps : DatetimeIndex
        Times to format; NaT becomes an empty text.
    like : DatetimeIndex, optional
        Times of all bars, if `stamps` are only some of them.
    """
    utc = stamps.tz_convert("UTC").tz_localize(None) if stamps.tz is not None else stamps
    texts = np.datetime_as_string(utc.to_numpy(), unit="m").tolist()
    bars = stamps if like is None else like
    width = 10 if len(bars) == len(bars.normalize().unique()) else 16
    return ["" if text == "NaT" else str(text)[:width] for text in texts]
