"""Measures of what a result can bear: dearer trades, a late bar, more money."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.compare import log_growths
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, Results, StrategyResult
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan
from reinforcestrategycreator_pipeline.statistics.bootstrap_mean import bootstrap_mean
from reinforcestrategycreator_pipeline.statistics.false_discoveries import (
    observed_false_discovery_rate,
)
from reinforcestrategycreator_pipeline.statistics.probabilistic_sharpe import (
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_of,
)

PRIOR = 0.1
"""Share of all strategies that have the edge, which is assumed before any test."""
PRIOR_SHARPE = 1.0
"""Annualized Sharpe ratio of the timing of those that have it."""
_DRAWS = 999
_MOST_GROUPS = 20_000  # drawn by the bootstrap; of more bars, sums over neighbors
_FEWEST = 30  # bars of which a mean, or a shape, is estimated
_DEAREST = 2_000.0  # bps of a trade, above which nobody asks
_IMPACT = 1.0  # of a trade as large as the bar's volume, in standard deviations of its return
_NEARLY_ONE = 1.0 - 1e-12
_STEPS = 20  # halvings, to 0.002 bps


@dataclass(frozen=True)
class ExcessInterval:
    """Mean excess of a strategy's returns over those of another one, per year.

    Attributes
    ----------
    mean, low, high : float
        Mean, times bars per year, and its 95% interval by a studentized stationary bootstrap.
    p : float
        One-sided p-value of a mean above 0, by the same bootstrap.
    """

    mean: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Robustness:
    """Measures of what a result can bear, which are reported and decide nothing.

    Attributes
    ----------
    excess : mapping of str to ExcessInterval or None
        Excess over each benchmark that knows no future; None if there is none at all, or too few
        bars.
    probability, track_record : float or None
        Probabilistic Sharpe ratio against 0, with the variance at 0 and autocorrelation, and the
        number of bars from which the ratio would be significant at 5%; None if it is not above 0,
        or undefined.
    costs_bps, costs_over_hold_bps : float or None
        Further costs, in bps of each trade's value, at which the account earns nothing, and no more
        than the highest position held throughout, with the same decisions; None if it earns that
        little without them, or never trades.
    delayed_growth, growth : float
        Log growth if each decision is filled a bar later, and as it was: the mean of the accounts.
    capacity : float or None
        Money at which the impact of trades eats what was earned above cash, if a trade moves the
        price by a bar's volatility times the root of its share of the bar's volume; None without
        gain, trades or volume.
    """

    excess: Mapping[str, ExcessInterval | None]
    probability: float | None
    track_record: float | None
    costs_bps: float | None
    costs_over_hold_bps: float | None
    delayed_growth: float
    growth: float
    capacity: float | None

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Robustness:
        """Restore from the result of `to_json`."""
        excess = {n: None if x is None else ExcessInterval(**x) for n, x in found["excess"].items()}
        return cls(**{**found, "excess": excess})


def robustness(
    results: Results,
    strategy: str,
    span: MarketSpan,
    rng: np.random.Generator,
    hindsight: frozenset[str] = frozenset(),
) -> Robustness:
    """Measure what the result of a strategy can bear.

    Parameters
    ----------
    results : mapping of str to mapping of str to StrategyResult
        Results by asset or ``"PORTFOLIO"``, then by strategy.
    strategy : str
        Name of the strategy.
    span : MarketSpan
        Bars of the results.
    rng : numpy.random.Generator
        Source of the bootstrap's draws.
    hindsight : set of str
        Names of strategies that know the future, or that stand for chance: nothing is compared with
        them.
    """
    portfolio = results[PORTFOLIO]
    own = _returns(portfolio[strategy])
    periods = infer_periods_per_year(portfolio[strategy].timestamps)
    excess = {
        name: _excess(own - _returns(result), periods, rng)
        for name, result in portfolio.items()
        if name != strategy and name not in hindsight
    }
    probability = track_record = None
    shaped = sharpe_of(own) if len(own) >= _FEWEST else None
    if shaped is not None and shaped[0] > 0.0:
        ratio, shape = shaped
        probability = _finite(probabilistic_sharpe(ratio, len(own), shape=shape))
        track_record = _finite(minimum_track_record(ratio, shape=shape))
    own_results = [results[bars.symbol][strategy] for bars in span.assets]
    accounts = [(bars, r.exposure) for bars, r in zip(span.assets, own_results, strict=True)]
    highest = float(np.max(span.rules.positions))
    held = _end([(bars, np.full(len(x), highest)) for bars, x in accounts], span)
    return Robustness(
        excess,
        probability,
        track_record,
        _bearable(accounts, span, 0.0),
        _bearable(accounts, span, held),
        _mean_growth([(bars, np.concatenate([[0.0], x[:-1]])) for bars, x in accounts], span),
        _mean_growth(accounts, span),
        _capacity(own_results, span, _end(accounts, span)),
    )


def false_discoveries(p: float | None, bars: int, periods_per_year: float) -> float | None:
    """Return the share of luck among strategies that do as well, if `PRIOR` of all have an edge.

    Parameters
    ----------
    p : float or None
        One-sided p-value against chance, after counting all looks.
    bars : int
        Number of test bars, >= 1.
    periods_per_year : float
        Test bars per year, > 0.

    Returns
    -------
    float or None
        In [0, 1]; None without a p-value.
    """
    if p is None:
        return None
    edge = PRIOR_SHARPE * math.sqrt(bars / periods_per_year)
    return observed_false_discovery_rate(min(p, _NEARLY_ONE), edge, PRIOR)


def _returns(result: StrategyResult) -> F64:
    returns: F64 = result.equity[1:] / result.equity[:-1] - 1.0
    return returns


def _excess(values: F64, periods: float, rng: np.random.Generator) -> ExcessInterval | None:
    if len(values) < _FEWEST or not np.isfinite(values).all():
        return None
    found = bootstrap_mean(summed(values, _MOST_GROUPS), rng, _DRAWS)
    if found is None:
        return None
    mean, low, high = (x * periods for x in (found.mean, found.low, found.high))
    return ExcessInterval(mean, low, high, found.p)


def summed(values: F64, most: int) -> F64:
    """Return at most so many sums over neighbors, scaled to have the mean of the values.

    Of very many bars, the mean of a block bootstrap and its spread are the same whether bars are
    drawn or groups of neighbors, which hold together what depends on each other.
    """
    if len(values) <= most:
        return values
    starts = np.linspace(0, len(values), most + 1)[:-1].astype(np.int64)
    sums: F64 = np.add.reduceat(values, starts) * (most / len(values))
    return sums


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


Account = tuple[AssetBars, F64]
"""Bars and targets."""


def _growths(accounts: Sequence[Account], span: MarketSpan, dearer_bps: float = 0.0) -> F64:
    """Return the log growth of each account, with the same targets at dearer trades."""
    costs = replace(span.rules.costs, commission_bps=span.rules.costs.commission_bps + dearer_bps)
    none = np.zeros(1)
    return np.array([log_growths(bars.prices, none, x[None], costs)[0] for bars, x in accounts])


def _mean_growth(accounts: Sequence[Account], span: MarketSpan) -> float:
    return float(_growths(accounts, span).mean())


def _end(accounts: Sequence[Account], span: MarketSpan, dearer_bps: float = 0.0) -> float:
    """Return the log growth of the portfolio of accounts with equal money at the start."""
    return float(np.log(np.exp(_growths(accounts, span, dearer_bps)).mean()))


def _bearable(accounts: Sequence[Account], span: MarketSpan, least: float) -> float | None:
    """Return the further costs at which the portfolio grows by no more than `least`."""
    if not _end(accounts, span) > least:
        return None
    low, high = 0.0, _DEAREST
    if _end(accounts, span, high) > least:
        return None  # hardly any trades
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _end(accounts, span, middle) > least else (low, middle)
    return 0.5 * (low + high)


def _capacity(results: Sequence[StrategyResult], span: MarketSpan, grown: float) -> float | None:
    """Return the money at which impact eats the growth; see `Robustness`.

    A trade of value q x A on a bar with the value V traded costs q sigma sqrt(q A / V) of the
    equity A. All of them cost c sqrt(A), which is the growth for A = (growth / c)^2.
    """
    paid, n = 0.0, len(results)
    for bars, result in zip(span.assets, results, strict=True):
        if "volume" not in bars.columns:
            return None
        traded = result.turnover > 0.0
        q = result.turnover[traded]
        value = (bars.columns["volume"][-len(bars.times) :] * bars.close)[1:][traded]
        if not (value > 0.0).all():
            return None
        sigma = float(np.diff(np.log(bars.close)).std())
        # Each account has 1 / n of the money.
        paid += float((_IMPACT * q * sigma * np.sqrt(q / n / value)).sum()) / n
    return (grown / paid) ** 2 if grown > 0.0 and paid > 0.0 else None
