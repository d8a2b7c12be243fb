"""What a report says, before it has a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtest.metrics.catalog import MetricValue
from reinforcestrategycreator_pipeline.backtest.results import (
    BUY_AND_HOLD,
    ORACLE,
    POLICY,
    PORTFOLIO,
    StrategyResult,
)
from reinforcestrategycreator_pipeline.errors import nearest

# What the known strategies are, for the reader; a strategy of another name is shown without.
STRATEGY_NOTES = {
    POLICY: "the learned policy, greedy",
    BUY_AND_HOLD: "long from the first bar to the last",
    "flat": "never in the market",
    "random (same turnover)": "random positions that trade as much as the policy",
    "moving-average crossover": "long while the fast average is above the slow one",
    ORACLE: "perfect foresight by dynamic programming: an upper bound, not a strategy",
}


class Threshold(NamedTuple):
    """A condition for promotion, and how it came out.

    Attributes
    ----------
    name : str
        What is looked at: ``"Sharpe ratio"``.
    rule : str
        The condition in words: ``"at least 0.5"``.
    value : str
        What was found: ``"0.31"``.
    passed : bool
        Whether the condition holds.
    """

    name: str
    rule: str
    value: str
    passed: bool


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that the report of one run shows.

    Attributes
    ----------
    run_id, created, version : str
        The run's name, the ISO time of the report, the package's version.
    seed : int
        The run's one seed.
    config_yaml : str
        The resolved configuration.
    notes : sequence of str
        What validation did to the data or found in it, a sentence each.
    provenance : mapping
        Where the data come from: source, files, licence, hashes. May nest.
    symbols : sequence of str
        The assets.
    spans : mapping of str to (Timestamp, Timestamp)
        First and last bar of ``"train"``, ``"validation"`` and ``"test"``.
    bar_counts : mapping of str to int
        Bars per asset, or over all assets, in each span.
    costs : mapping
        The cost settings, name to number.
    positions : sequence of float
        The grid of target exposures.
    periods_per_year : float
        What the metrics were annualised with.
    results : mapping of str to mapping of str to StrategyResult
        Symbol (or ``"PORTFOLIO"``, shown first) to strategy name to result. Each holds ``"DQN"``.
    metrics : mapping of str to mapping of str to mapping of str to MetricValue
        The same keys, to the metrics.
    prices : mapping of str to DataFrame
        Test bars of each symbol, with a ``close`` column and close times as index.
    history : DataFrame
        One row a logged step: ``step``, ``loss``, and where known ``grad_norm``, ``update_norm``,
        ``q_mean``, ``q_max``, ``exploration_rate``, ``steps_per_second``, ``validation_growth``
        (NaN between validations).
    loss_floor : float or None
        The loss that no learner gets below, if it is known.
    loss_floor_note : str
        What that floor is.
    thresholds : sequence of Threshold
        The conditions for promotion.
    promoted : bool
        Whether the model was promoted.
    best_step : int or None
        The training step of the checkpoint that was evaluated.
    stage_seconds : mapping of str to float
        Duration of the stages so far.
    """

    run_id: str
    seed: int
    created: str
    version: str
    config_yaml: str
    symbols: Sequence[str]
    spans: Mapping[str, tuple[pd.Timestamp, pd.Timestamp]]
    bar_counts: Mapping[str, int]
    costs: Mapping[str, Any]
    positions: Sequence[float]
    periods_per_year: float
    results: Mapping[str, Mapping[str, StrategyResult]]
    metrics: Mapping[str, Mapping[str, Mapping[str, MetricValue]]]
    prices: Mapping[str, pd.DataFrame]
    history: pd.DataFrame
    notes: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    loss_floor: float | None = None
    loss_floor_note: str = ""
    thresholds: Sequence[Threshold] = ()
    promoted: bool = False
    best_step: int | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.results:
            raise ValueError("a report needs at least one result.")
        object.__setattr__(self, "thresholds", tuple(Threshold(*t) for t in self.thresholds))
        for asset, strategies in self.results.items():
            if POLICY not in strategies:
                raise ValueError(
                    f"the results of {asset!r} lack {POLICY!r}.{nearest(POLICY, strategies)}"
                )
            missing = [s for s in strategies if s not in self.metrics.get(asset, {})]
            if missing:
                raise ValueError(f"the metrics of {asset!r} lack the strategy {missing[0]!r}.")

    @property
    def assets(self) -> list[str]:
        """The keys of `results`, the portfolio first."""
        return sorted(self.results, key=lambda asset: asset != PORTFOLIO)

    def value(self, asset: str, strategy: str, metric: str) -> MetricValue:
        """Return one metric; a strategy or metric that was not computed says so."""
        missing = MetricValue(None, "not computed")
        return self.metrics[asset].get(strategy, {}).get(metric, missing)


def is_daily(stamps: pd.DatetimeIndex) -> bool:
    """Tell whether all stamps are of different days, so that a date names a bar."""
    return len(stamps) == len(stamps.normalize().unique())


def stamp_texts(stamps: pd.DatetimeIndex, like: pd.DatetimeIndex | None = None) -> list[str]:
    """Return ISO dates if a date names a bar, else dates and minutes, in UTC.

    Parameters
    ----------
    stamps : DatetimeIndex
        What to write; NaT becomes empty.
    like : DatetimeIndex, optional
        The bars, if `stamps` are only some of them.
    """
    utc = stamps.tz_convert("UTC").tz_localize(None) if stamps.tz is not None else stamps
    texts = np.datetime_as_string(utc.to_numpy(), unit="m").tolist()
    width = 10 if is_daily(stamps if like is None else like) else 16
    return ["" if text == "NaT" else str(text)[:width] for text in texts]
