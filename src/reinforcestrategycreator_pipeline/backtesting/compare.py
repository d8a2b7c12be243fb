"""Comparison of a policy with benchmarks on the same bars, at the same costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple, Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, Results, StrategyResult
from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan
from reinforcestrategycreator_pipeline.execution.accounting import bar_growth
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.statistics.random_timing import percent_below, redraw_timing

RANDOM = "random (same turnover)"


class Decider(Protocol):
    """A chooser of a target exposure at each close but the last."""

    def targets(self, asset: AssetBars) -> Annotated[F64, "{len(asset.times)-1}"]:
        """Return the target exposures, shape (T - 1,)."""
        ...


class Comparison(NamedTuple):
    """The results of all policies, and the judged policy's percentile.

    Attributes
    ----------
    results : mapping of asset to mapping of strategy to StrategyResult
        Results by asset (the portfolio first), then by strategy (the judged policy first, random
        timing last).
    percentile : mapping of asset to float
        Percentage of random-timing policies with the judged one's turnover that end below it, 0
        to 100.
    """

    results: Results
    percentile: dict[str, float]


def compare(
    policies: Mapping[str, Decider], span: MarketSpan, draws: int, seeds: Seeds
) -> Comparison:
    """Backtest all policies, per asset and as a portfolio; the first policy is judged.

    The result of random timing is the draw with the median result.

    Parameters
    ----------
    policies : mapping of str to Decider
        Policies by the labels of their results.
    span : MarketSpan
        Bars to trade; each asset's account gets an equal share of the initial equity.
    draws : int
        Number of random-timing policies per asset, >= 1.
    seeds : Seeds
        Seeds of the random draws.
    """
    costs, money = span.rules.costs, span.rules.initial_equity / len(span.assets)
    judged = next(iter(policies))
    by_asset: dict[str, dict[str, StrategyResult]] = {}
    percentile: dict[str, float] = {}
    random_ends = np.zeros(draws)
    for bars in span.assets:
        targets = {label: policy.targets(bars) for label, policy in policies.items()}
        rng = seeds.generator(f"benchmarks/{RANDOM}/{bars.symbol}")
        drawn = redraw_timing(targets[judged], draws, rng)
        previous = np.concatenate([np.zeros((draws, 1)), drawn[:, :-1]], axis=1)
        growth = np.log(bar_growth(bars.prices, previous, drawn, costs)).sum(axis=1)
        targets[RANDOM] = drawn[np.argsort(growth, kind="stable")[draws // 2]]
        by_asset[bars.symbol] = {
            label: run_backtest(label, bars, t, costs, money) for label, t in targets.items()
        }
        ends = money * np.exp(growth)
        random_ends += ends
        percentile[bars.symbol] = percent_below(ends, by_asset[bars.symbol][judged].equity[-1])
    portfolio = {
        label: combine([results[label] for results in by_asset.values()])
        for label in next(iter(by_asset.values()))
    }
    percentile[PORTFOLIO] = percent_below(random_ends, portfolio[judged].equity[-1])
    return Comparison({PORTFOLIO: portfolio, **by_asset}, percentile)
