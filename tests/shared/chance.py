"""How often policies without skill look skilled: the false-positive rates of what a report says."""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.backtesting.compare import ends_of
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.execution.accounting import bar_growth
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.statistics.newey_west import mean_of
from reinforcestrategycreator_pipeline.statistics.random_timing import (
    joint_shifts,
    percent_below,
    shift_by,
)

DAY = 86_400 * 10**9
BARS, LOOKBACK, DRAWS = 500, 5, 199
COSTS = CostConfig()


def market(rng, assets, correlation, drift=0.0, bars=BARS):
    """Random walks with one common factor; each bar opens at the close before."""
    common = rng.normal(size=bars + 1)
    own = rng.normal(size=(assets, bars + 1))
    moves = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    close = 100.0 * np.exp(np.cumsum(drift + 0.01 * moves, axis=1))
    open_ = np.concatenate([np.full((assets, 1), 100.0), close[:, :-1]], axis=1)
    times = np.arange(bars + 1) * DAY
    return [
        AssetBars(f"S{i}", times, open_[i], close[i], np.zeros((bars + 1, 1)))
        for i in range(assets)
    ]


def followed(bars, policy):
    """Long if the last LOOKBACK bars rose (trend) or fell (contrarian), else flat."""
    past = np.concatenate([np.zeros(LOOKBACK), bars.close[LOOKBACK:] - bars.close[:-LOOKBACK]])
    rose = past > 0 if policy == "trend" else past < 0
    return rose[:-1].astype(np.float64)


def looks_skilled(rng, policy, assets, correlation, drift=0.0, draws=DRAWS):
    """Whether the percentile is 95 or more, and whether the excess has a p of 5% or less."""
    spans = market(rng, assets, correlation, drift)
    own = [followed(bars, policy) for bars in spans]
    shifts = joint_shifts(own, draws, rng)
    drawn = sum(ends_of(b, shift_by(x, shifts), COSTS) for b, x in zip(spans, own, strict=True))
    end = sum(ends_of(b, x[None], COSTS)[0] for b, x in zip(spans, own, strict=True))
    percentile = percent_below(drawn, end)
    returns = []
    for target in (own, [np.ones(len(x)) for x in own]):
        curves = []
        for b, x in zip(spans, target, strict=True):
            previous = np.concatenate([[0.0], x[:-1]])
            curves.append(np.cumprod(bar_growth(b.prices, previous, x, COSTS)))
        equity = np.concatenate([[assets], np.sum(curves, axis=0)])
        returns.append(equity[1:] / equity[:-1] - 1.0)
    return percentile is not None and percentile >= 95.0, mean_of(returns[0] - returns[1]).p <= 0.05


def rates(trials, policy, assets, correlation, drift=0.0, draws=DRAWS, seed=0):
    """Share of the trials in which each of the two calls a policy without skill skilled."""
    key = (seed, policy == "trend", assets, int(correlation * 100), int(drift * 1e6))
    rng = np.random.default_rng(key)
    found = [looks_skilled(rng, policy, assets, correlation, drift, draws) for _ in range(trials)]
    return tuple(float(x) for x in np.mean(found, axis=0))
