"""Backtests of the policy and of what it is held against, on the same bars at the same costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtest.results import PORTFOLIO, Results, StrategyResult
from reinforcestrategycreator_pipeline.backtest.run import combine, run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.policies.benchmarks import (
    BENCHMARKS,
    BenchmarkContext,
    random_policies,
)
from reinforcestrategycreator_pipeline.seeding import generator

RANDOM = "random (same turnover)"


def backtest_all(
    config: RunConfig,
    seed: int,
    data: MarketData,
    assets: tuple[AssetBars, ...],
    strategy: str,
    targets: Mapping[str, Any],
) -> tuple[Results, dict[str, float]]:
    """Backtest the policy and every benchmark, by asset and as a portfolio.

    Parameters
    ----------
    config : RunConfig
        Positions, costs, money, benchmarks.
    seed : int
        For the random policies.
    data : MarketData
        All bars, for what a benchmark looks back on.
    assets : tuple of AssetBars
        The test bars.
    strategy : str
        The policy's name.
    targets : mapping of str to ndarray
        The policy's target exposures of each asset.

    Returns
    -------
    results : Results
        The portfolio first, and the policy before the benchmarks.
    percentile : mapping of asset to float
        Percent of random policies of the policy's own turnover that end below it.
    """
    money = config.trading.initial_equity / len(assets)
    grid = np.array(config.trading.positions)
    by_asset: dict[str, dict[str, StrategyResult]] = {}
    percentile: dict[str, float] = {}
    random_ends = np.zeros(config.evaluation.benchmarks.random_draws)
    for bars in assets:
        frame = data.bars[bars.symbol]
        first = pd.Timestamp(bars.seconds[0], unit="s", tz="UTC")

        def world(name: str, bars: AssetBars = bars, past: Any = None) -> BenchmarkContext:
            return BenchmarkContext(
                bars=bars,
                past_close=past,
                positions=grid,
                policy_targets=targets[bars.symbol],
                costs=config.trading.costs,
                config=config.evaluation.benchmarks,
                rng=generator(seed, f"benchmarks/{name}/{bars.symbol}"),
            )

        past = frame.loc[frame.index < first, "close"].to_numpy(dtype=np.float64)
        chosen = {strategy: targets[bars.symbol]}
        for name in BENCHMARKS:
            chosen[name] = BENCHMARKS.get(name)(world(name, past=past))
        by_asset[bars.symbol] = {
            name: run_backtest(name, bars, t, config.trading.costs, money)
            for name, t in chosen.items()
        }
        _, growth = random_policies(world(RANDOM, past=past))
        ends = money * np.exp(growth)
        random_ends += ends
        percentile[bars.symbol] = _percentile(ends, by_asset[bars.symbol][strategy].equity[-1])
    portfolio = {
        name: combine([strategies[name] for strategies in by_asset.values()])
        for name in next(iter(by_asset.values()))
    }
    percentile[PORTFOLIO] = _percentile(random_ends, portfolio[strategy].equity[-1])
    return {PORTFOLIO: portfolio, **by_asset}, percentile


def _percentile(random_ends: Any, own_end: float) -> float:
    # A policy that random timing only repeats (one that never changes) is not above itself.
    return float((random_ends < own_end * (1.0 - 1e-12)).mean() * 100.0)
