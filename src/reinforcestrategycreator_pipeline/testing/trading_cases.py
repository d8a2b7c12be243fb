"""Assets, grids and costs for tests of trading."""

from __future__ import annotations

import numpy as np
from hypothesis import settings

from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.execution.costs import CostConfig

DAY = 86_400 * 10**9  # nanoseconds
repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=60)
FREE = CostConfig(0.0, 0.0, 0.0, 0.0, 0.0)
DEAR = CostConfig(10.0, 20.0, 30.0, 300.0, 800.0)
GRIDS = [(0.0, 1.0), (-1.0, 0.0, 1.0), (0.0, 0.5, 1.0), (-1.5, -0.5, 0.0, 0.7, 2.0)]


def asset_of(open_, close, times=None, features=None, symbol="A") -> AssetBars:
    """Return bars from lists, by default one day apart with one constant feature."""
    n = len(close)
    return AssetBars(
        symbol,
        np.arange(n) * DAY if times is None else np.asarray(times),
        np.asarray(open_, dtype=np.float64),
        np.asarray(close, dtype=np.float64),
        np.zeros((n, 1)) if features is None else np.asarray(features),
    )


def random_asset(n: int, seed: int = 0, symbol: str = "A", volatility: float = 0.02) -> AssetBars:
    """Return a random walk with overnight gaps, weekends and three random features."""
    rng = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, n)))
    before = np.concatenate([[50.0], close[:-1]])
    open_ = before * np.exp(rng.normal(0.0, 0.5 * volatility, n))
    days = np.arange(n) + 2 * (np.arange(n) // 5)
    return AssetBars(symbol, 10**18 + DAY * days, open_, close, rng.normal(size=(n, 3)))


def random_targets(n: int, grid, seed: int = 0, stay: float = 0.6) -> np.ndarray:
    """Return n targets from a grid; each repeats the previous one with probability `stay`."""
    rng = np.random.default_rng(seed)
    targets = rng.choice(np.asarray(grid), size=n)
    for t in range(1, n):
        if rng.random() < stay:
            targets[t] = targets[t - 1]
    return targets
