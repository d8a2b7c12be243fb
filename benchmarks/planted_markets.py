"""Synthetic markets with a known edge, as a run has them, and the rules that know the edge.

A market is what `rsc run` would make of the same source, seed and split: the bars, the default
features, and every visible column of side data. A rule that knows the edge reads the signals of the
market and the form of the edge, but no return: what it earns is a ceiling for what learns from the
same bars, and not a bound.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "learning"))

from planted import SHORTS, follow_signal, value_iteration_policy

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import compute_metrics
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.grid import flat_index
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.execution.costs import BPS, CostConfig
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources import processes
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource
from reinforcestrategycreator_pipeline.market.windows import SplitConfig, windows_of
from reinforcestrategycreator_pipeline.ohlcv import OHLCV
from reinforcestrategycreator_pipeline.policies.baselines import best_constant

DEFAULT_RULES = TradingRules(SHORTS)
WIDTHS = np.arange(0.0, 1.55, 0.05)
"""Half widths of the band of no trade from which one is fitted, in standard deviations."""
_SIMULATED_BARS = 400_000
_PROCESSES = {
    "ar1_signal": processes.ar1_signal,
    "product_signal": processes.product_signal,
    "gated_momentum": processes.gated_momentum,
}


@dataclass(frozen=True, eq=False)
class PlantedMarket:
    """Spans of one realization of a synthetic market, and the source that it is from."""

    source: SyntheticSource
    train: MarketSpan
    validation: MarketSpan
    test: MarketSpan


def planted_market(
    source: SyntheticSource,
    seed: int,
    rules: TradingRules = DEFAULT_RULES,
    split: SplitConfig | None = None,
) -> PlantedMarket:
    """Return the spans that a run with this seed has, with all visible columns as features.

    The default features need 240 bars of history, which belong to no span: of 4,000 bars, the test
    span has 752, and of 4,240 it has 800.
    """
    given = {"kind": source.kind, "n_bars": source.n_bars, "bar_seconds": source.bar_seconds}
    given |= {"irrelevant": source.irrelevant, "symbols": source.symbols}
    data = read_bars(source="synthetic", seed=seed, **given, **source.process_parameters())
    side = [name for name in next(iter(data.bars.values())).columns if name not in OHLCV]
    noise = tuple(name for name in side if name.startswith("noise_"))
    signals = tuple(name for name in side if name not in noise)
    columns = [FeatureSpec("column", {"columns": names}) for names in (signals, noise) if names]
    return PlantedMarket(source, **cut(data, (*DEFAULT_FEATURES, *columns), rules, split))


def cut(
    data: MarketData,
    columns: tuple[FeatureSpec, ...],
    rules: TradingRules,
    split: SplitConfig | None = None,
) -> dict[str, MarketSpan]:
    """Return the spans that a run with a single split of these bars has, by name."""
    features = FeatureSet.compute(data.bars, columns)
    (window,) = windows_of(features.timestamps, split or SplitConfig("single")).judged
    return {
        name: MarketSpan.cut(data, features, span, rules, name) for name, span in window.items()
    }


# -- rules that know the edge -----------------------------------------------------------------


def strength(kind: str, visible: dict[str, F64]) -> F64:
    """Return a number with the sign of the next return's mean, in standard deviations of a signal.

    It is the mean itself, per unit of the edge, where the mean has a size. That of `product_signal`
    has none: there it is the smaller one of both signals, which is the way to the next change.
    """
    if kind == "ar1_signal":
        return visible["signal"]
    if kind == "gated_momentum":
        return visible["signal"] * np.where(visible["gate"] > 0, 1.0, -1.0)
    if kind == "product_signal":
        x1, x2 = visible["signal_1"], visible["signal_2"]
        return np.sign(x1 * x2) * np.minimum(np.abs(x1), np.abs(x2))
    raise ValueError(f"no rule knows the edge of {kind!r}")


def hysteresis(z: F64, width: float) -> F64:
    """Return targets: long above `width`, short below -`width`, else as before; flat at first."""
    side = np.where(np.abs(z) > width, np.sign(z), 0.0)
    latest = np.maximum.accumulate(np.where(side != 0, np.arange(len(z)), 0))
    return side[latest]


def fitted_width(source: SyntheticSource, costs: CostConfig) -> float:
    """Return the half width of the band with the largest expected return net of trading costs.

    The expectation is over 400,000 simulated bars of the known process, of which only the means of
    the returns are used: their noise would decide between widths.
    """
    return _fitted_width(source.kind, tuple(source.process_parameters().items()), costs)


@cache
def _fitted_width(kind: str, parameters: tuple[tuple[str, Any], ...], costs: CostConfig) -> float:
    known = dict(parameters) | {"volatility": 0.0}
    rng = np.random.default_rng(0)
    path = _PROCESSES[kind](rng, _SIMULATED_BARS, **known)
    z, means = strength(kind, path.visible)[:-1], path.log_returns[1:]
    cost = (costs.buy_cost + costs.sell_cost) / 2
    earned = []
    for width in WIDTHS:
        targets = hysteresis(z, width)
        earned.append(targets @ means - cost * np.abs(np.diff(targets, prepend=0.0)).sum())
    return float(WIDTHS[np.argmax(earned)])


def informed_targets(market: PlantedMarket, width: float | None = None) -> F64:
    """Return the targets on the test span of the band around the strength of the known edge.

    The width is that of `fitted_width` unless it is given.
    """
    if width is None:
        width = fitted_width(market.source, market.test.rules.costs)
    asset = only_asset(market.test)
    return hysteresis(strength(market.source.kind, at_decisions(asset)), width)


def value_iteration_targets(market: PlantedMarket) -> F64:
    """Return the targets on the test span of the best causal policy, for `ar1_signal`."""
    known, costs = market.source.process_parameters(), market.test.rules.costs
    grid, table = _value_iteration(
        known["phi"], known["edge_bps"] * 1e-4, known["volatility"], costs.buy_cost
    )
    signal = at_decisions(only_asset(market.test))["signal"]
    return np.array(SHORTS)[follow_signal(signal, grid, table, flat_index(SHORTS))]


_value_iteration = cache(value_iteration_policy)


def constant_targets(span: MarketSpan, chosen_on: MarketSpan | None = None) -> F64:
    """Return the best constant target of `chosen_on`; by default of the span itself."""
    judged = chosen_on or span
    rules = judged.rules
    best, _ = best_constant(ExogenousMarket(judged.assets, rules.positions, rules.costs))
    return np.full(len(only_asset(span).close) - 1, rules.positions[best])


def only_asset(span: MarketSpan) -> AssetBars:
    """Return the asset of a span that has one."""
    (asset,) = span.assets
    return asset


def at_decisions(asset: AssetBars) -> dict[str, F64]:
    """Return the columns at the closes at which a decision is made: all but the last."""
    return {name: values[-len(asset.times) : -1] for name, values in asset.columns.items()}


# -- what to expect ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Expected:
    """Log growth to expect on the test span by who knows the process, for targets in {-1, 0, 1}.

    What is earned is the mean of the next log return in place of the return itself, whose noise
    would drown a small edge. Each close is the next open, so nothing happens before the fill.

    Attributes
    ----------
    held : ndarray of float64, shape (T - 1, n)
        By decision and target: the mean for a long; for a short minus the mean, less the squared
        deviation and the fee of the bar.
    variance : ndarray of float64, shape (T - 1,)
        Variance of the next log return.
    cost : ndarray of float64, shape (n, n)
        Cost of moving from one target to another.
    """

    held: F64
    variance: F64
    cost: F64

    def growth(self, path: Ints) -> F64:
        """Return what each decision of a path of indices adds, starting flat."""
        before = np.concatenate([[flat_index(SHORTS)], path[:-1]])
        return self.held[np.arange(len(path)), path] - self.cost[before, path]

    def returns(self, path: Ints) -> F64:
        """Return the simple return to expect of each decision: more, by half the variance."""
        return self.growth(path) + (path != flat_index(SHORTS)) * self.variance / 2

    def values(self, table: Ints, gamma: float, bars: int) -> F64:
        """Return the discounted log growth of holding each target, then following a table.

        Parameters
        ----------
        table : ndarray of int, shape (T - 1, n)
            Index of the target that is chosen at each decision from each target before.
        gamma : float
            Discount a bar.
        bars : int
            Number of bars that count, the first one undiscounted.

        Returns
        -------
        ndarray, shape (T - bars, n)
            By decision and target, without the cost of reaching that target.
        """
        start = np.arange(len(SHORTS))
        value = self.held
        for _ in range(bars - 1):
            following = table[1 : len(value)]
            later = np.take_along_axis(value[1:], following, axis=1) - self.cost[start, following]
            value = self.held[: len(later)] + gamma * later
        return value


def expected(market: PlantedMarket) -> Expected:
    """Return what to expect on the test span."""
    asset, rules, source = only_asset(market.test), market.test.rules, market.source
    if rules.positions != SHORTS:
        raise ValueError(f"what to expect is known for the targets {SHORTS}")
    visible, known = at_decisions(asset), source.process_parameters()
    deviation = np.full(len(asset.close) - 1, known["volatility"])
    if source.kind == "random_walk":
        mean = np.zeros_like(deviation)
    elif source.kind == "sinusoids":
        first, second = known["amplitudes_bps"]
        mean = BPS * (first * visible["sin1"] + second * visible["sin2"])
    elif source.kind == "product_signal":
        mean = known["edge_bps"] * BPS * np.sign(visible["signal_1"] * visible["signal_2"])
    else:
        mean = known["edge_bps"] * BPS * strength(source.kind, visible)
    if source.kind == "gated_momentum":
        deviation = deviation * np.exp(processes.GATED_LOG_VOLATILITY * visible["gate"])
    short = -mean - deviation**2 - rules.costs.borrow_rate * asset.years
    grid = np.array(SHORTS)
    move = grid - grid[:, None]
    cost = np.where(move > 0, rules.costs.buy_cost, -rules.costs.sell_cost) * move
    return Expected(np.stack([short, np.zeros_like(mean), mean], axis=1), deviation**2, cost)


# -- figures of a path ------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """How a path of targets did on a span.

    Attributes
    ----------
    sharpe : float
        Annualized Sharpe ratio, as the metric of that name; 0 for an account that never trades.
    log_growth : float
        Logarithm of the last equity over the first, net of costs.
    changes : int
        Number of decisions for another target than before, the first entry included.
    costs_a_year : float
        Costs of trading and borrowing in a year, as a fraction of equity.
    return_a_year : float
        Mean simple return of a bar, times the bars of a year.
    """

    sharpe: float
    log_growth: float
    changes: int
    costs_a_year: float
    return_a_year: float


def figures(span: MarketSpan, targets: F64) -> Figures:
    """Return how a path of target exposures, shape (T - 1,), did on the only asset of a span."""
    asset, rules = only_asset(span), span.rules
    result = run_backtest("path", asset, targets, rules.costs, rules.initial_equity)
    periods = infer_periods_per_year(result.timestamps)
    sharpe = compute_metrics(result, periods, ("sharpe",))["sharpe"].value
    return Figures(
        0.0 if sharpe is None else sharpe,
        float(np.log(result.equity[-1] / result.equity[0])),
        int(np.count_nonzero(np.diff(targets, prepend=0.0))),
        float((result.costs / result.equity[:-1]).mean() * periods),
        float((result.equity[1:] / result.equity[:-1] - 1.0).mean() * periods),
    )


def figures_of_indices(span: MarketSpan, path: Ints) -> Figures:
    """Return the figures of a path of indices in the span's positions, as `greedy_paths` gives."""
    return figures(span, np.array(span.rules.positions)[path])
