"""What the policy must be held against: strategies on the same bars with the same costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict, require
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.execution.accounting import BarPrices, bar_growth
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.policies.oracle import best_path
from reinforcestrategycreator_pipeline.registry import Registry

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class BenchmarkConfig(Strict):
    """Parameters of the benchmarks.

    Attributes
    ----------
    fast, slow : int
        Bars of the moving averages of the crossover.
    random_draws : int
        Random policies drawn an asset; the shown one has the median result.
    """

    fast: Annotated[int, Ge(1)] = 20
    slow: Annotated[int, Ge(2)] = 100
    random_draws: Annotated[int, Ge(1), Le(10_000)] = 201

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"above fast ({self.fast})"
        require(self.fast < self.slow, "BenchmarkConfig", "slow", rule, self.slow)


@dataclass(frozen=True)
class BenchmarkContext:
    """What a benchmark may look at.

    Attributes
    ----------
    bars : AssetBars
        The T test bars.
    past_close : ndarray
        Closes of the bars before them, for averages.
    positions : ndarray, shape (k,)
        The policy's grid of exposures.
    policy_targets : ndarray, shape (T - 1,)
        The exposures that the policy chose.
    costs : CostConfig
        The same as the policy's.
    config : BenchmarkConfig
        Parameters.
    rng : numpy.random.Generator
        For random policies.
    """

    bars: AssetBars
    past_close: F64
    positions: F64
    policy_targets: F64
    costs: CostConfig
    config: BenchmarkConfig
    rng: np.random.Generator


Benchmark = Callable[[BenchmarkContext], F64]

BENCHMARKS: Registry[Benchmark] = Registry("benchmark")


@BENCHMARKS.register("buy and hold")
def buy_and_hold(context: BenchmarkContext) -> F64:
    """Hold exposure 1 from the first fill to the last close."""
    return np.ones(len(context.bars.close) - 1)


@BENCHMARKS.register("flat")
def flat(context: BenchmarkContext) -> F64:
    """Hold nothing."""
    return np.zeros(len(context.bars.close) - 1)


@BENCHMARKS.register("moving-average crossover")
def moving_average_crossover(context: BenchmarkContext) -> F64:
    """Long above, else flat (or at the grid's lowest exposure if it allows shorts).

    Compares simple averages of the last `fast` and `slow` closes; flat where history is too short.
    """
    fast, slow = context.config.fast, context.config.slow
    close = np.concatenate([context.past_close[-slow:], context.bars.close])
    padded = np.concatenate([np.full(slow, np.nan), close])
    windows = np.lib.stride_tricks.sliding_window_view(padded, slow)[1:]
    windows = windows[len(close) - len(context.bars.close) :][:-1]
    fast_mean, slow_mean = windows[:, -fast:].mean(axis=1), windows.mean(axis=1)
    below = min(float(context.positions.min()), 0.0)
    target = np.where(fast_mean > slow_mean, 1.0, below)
    return np.asarray(np.where(np.isnan(slow_mean), 0.0, target))


@BENCHMARKS.register("oracle")
def oracle(context: BenchmarkContext) -> F64:
    """Take the best path with perfect foresight on the policy's grid: an upper bound."""
    grid = BarPrices(*(x[:, None, None] for x in context.bars.prices))
    growth = bar_growth(grid, context.positions[:, None], context.positions, context.costs)
    start = int(np.flatnonzero(context.positions == 0.0)[0])
    _, path = best_path(np.log(growth), start)
    return context.positions[path]


@BENCHMARKS.register("random (same turnover)")
def random_same_turnover(context: BenchmarkContext) -> F64:
    """Hold the policy's exposures, in its order, for random lengths of time; median of many.

    Turnover and time in each exposure are the policy's own, only the timing is random: what is
    left between the two is skill or luck in timing.
    """
    draws, growth = random_policies(context)
    order = np.argsort(growth, kind="stable")
    median: F64 = draws[order[len(order) // 2]]
    return median


def random_policies(context: BenchmarkContext) -> tuple[F64, F64]:
    """Draw random policies of the policy's turnover.

    Each exposure's total time is divided anew among its runs: a uniformly drawn composition into
    parts of at least one bar.

    Returns
    -------
    targets : ndarray, shape (draws, T - 1)
    log_growth : ndarray, shape (draws,)
        Net of costs.
    """
    policy, rng = context.policy_targets, context.rng
    edges = np.flatnonzero(np.diff(policy)) + 1
    starts = np.concatenate([[0], edges])
    values = policy[starts]
    lengths = np.diff(np.concatenate([starts, [len(policy)]]))
    targets = np.empty((context.config.random_draws, len(policy)))
    for draw in targets:
        drawn = np.empty_like(lengths)
        for value in np.unique(values):
            runs = np.flatnonzero(values == value)
            total = int(lengths[runs].sum())
            cuts = np.sort(rng.choice(total - 1, size=len(runs) - 1, replace=False)) + 1
            drawn[runs] = np.diff(np.concatenate([[0], cuts, [total]]))
        draw[:] = np.repeat(values, drawn)
    previous = np.concatenate([np.zeros((len(targets), 1)), targets[:, :-1]], axis=1)
    growth = bar_growth(context.bars.prices, previous, targets, context.costs)
    return targets, np.log(growth).sum(axis=1)
