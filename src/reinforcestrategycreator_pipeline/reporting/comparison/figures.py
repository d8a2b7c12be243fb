"""Figures of a comparison beyond each run's own: intervals, differences, seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.reporting.comparison.data import (
    ComparedRun,
    ComparisonData,
    Group,
    returns_of,
)
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.statistics.across_seeds import (
    interquartile_mean,
    probability_of_improvement,
)
from reinforcestrategycreator_pipeline.statistics.bootstrap_mean import bootstrap_mean
from reinforcestrategycreator_pipeline.statistics.sharpe_interval import sharpe_terms

DRAWS = 399
_EQUAL = 1e-9  # of two terms: the same returns but for rounding
_SHARED = 0.9  # of the bars of both, from which a paired difference is drawn


class Interval(NamedTuple):
    """An annualized Sharpe ratio, or a difference of two, with its 95% interval."""

    value: float
    low: float
    high: float


class SharpeRow(NamedTuple):
    """A run's Sharpe ratio on the span that is shown, and its difference to the first run's.

    Either is None if it is not defined; the first run has no difference.
    """

    run: ComparedRun
    ratio: Interval | None
    difference: Interval | None


def sharpe_rows(data: ComparisonData) -> list[SharpeRow]:
    """Return the Sharpe ratios of the runs with results, by a studentized stationary bootstrap.

    A difference is paired: both runs on the bars that both have.
    """
    rows: list[SharpeRow] = []
    for run in data.judged:
        ratio = _interval([data.shown(run.equity)])
        difference = _difference(data, run, data.judged[0]) if rows else None
        rows.append(SharpeRow(run, ratio, difference))
    return rows


def _difference(data: ComparisonData, run: ComparedRun, first: ComparedRun) -> Interval | None:
    curves = [data.shown(run.equity), data.shown(first.equity)]
    pair = pd.concat(curves, axis=1, join="inner")
    if len(pair) < _SHARED * max(map(len, curves)):
        return None
    return _interval([pair.iloc[:, 0], pair.iloc[:, 1]])


def _interval(curves: Sequence[pd.Series[float]]) -> Interval | None:
    """Return the interval of the Sharpe ratio of a curve, or of the difference of two.

    All have the same draws: equal curves have equal intervals.
    """
    terms: list[F64] = []
    for curve in curves:
        returns = returns_of(curve)
        own = None if returns is None else sharpe_terms(returns)
        if own is None:
            return None
        terms.append(own)
    values = terms[0] if len(terms) == 1 else terms[0] - terms[1]
    if len(terms) > 1 and np.abs(values).max() < _EQUAL:
        return Interval(0.0, 0.0, 0.0)
    found = bootstrap_mean(values, generator(0, "report/comparison"), DRAWS)
    if found is None:
        return None
    scale = math.sqrt(infer_periods_per_year(pd.DatetimeIndex(curves[0].index)))
    return Interval(found.mean * scale, found.low * scale, found.high * scale)


class SeedRow(NamedTuple):
    """The Sharpe ratios of the seeds of one configuration.

    Attributes
    ----------
    group : Group
        The runs of the configuration.
    names : list of str
        Names of these runs.
    seeds : int
        Number of runs whose Sharpe ratio is defined.
    middle, low, high : float
        Interquartile mean, lowest and highest.
    better : list of float or None
        Probability that a seed of this configuration beats one of each other one, in the order of
        the rows; None for itself.
    """

    group: Group
    names: list[str]
    seeds: int
    middle: float
    low: float
    high: float
    better: list[float | None]


def seed_rows(data: ComparisonData) -> list[SeedRow]:
    """Return a row for each configuration that has two seeds or more with a Sharpe ratio."""
    scored: list[tuple[Group, F64]] = []
    for group in data.groups:
        values = [data.runs[place].value("sharpe") for place in group.runs]
        known = np.array([value for value in values if value is not None], dtype=np.float64)
        if len(known) > 1:
            scored.append((group, known))
    return [
        SeedRow(
            group,
            [data.runs[place].name for place in group.runs],
            len(scores),
            interquartile_mean(scores),
            float(scores.min()),
            float(scores.max()),
            [
                None if other is group else probability_of_improvement(scores, others)
                for other, others in scored
            ],
        )
        for group, scores in scored
    ]
