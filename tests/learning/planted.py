"""Synthetic markets with a known edge, split and made ready for the trainer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.policies.dqn_training import (
    MarketTrainer,
    TrainingConfig,
    TrainingResult,
)

# 10 bps a unit of turnover, nothing else.
TEN_BPS = CostConfig(
    commission_bps=10.0,
    spread_bps=0.0,
    slippage_bps=0.0,
    borrow_bps_per_year=0.0,
    margin_bps_per_year=0.0,
)
SHORTS = (-1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Splits:
    train: ExogenousMarket
    validation: ExogenousMarket
    test: ExogenousMarket
    test_side_data: dict[str, NDArray[np.float64]]


def make_splits(
    source: SyntheticSource,
    specs: tuple[FeatureSpec, ...],
    sizes: tuple[int, int, int],
    seed: int,
    positions: tuple[float, ...] = SHORTS,
) -> Splits:
    """Realize a market once, and cut it into train, validation and unseen test bars."""
    frame = source.load(np.random.default_rng(10_000 + seed)).bars["SYN"]
    table = compute_features(frame, specs, "SYN")
    frame, values = frame.iloc[table.lookback :], table.values[table.lookback :]
    assert len(frame) >= sum(sizes)
    scaler = ScalerConfig().fit(values[: sizes[0]])
    markets, start = [], 0
    for size in sizes:
        part = slice(start, start + size)
        bars = AssetBars(
            "SYN",
            frame.index[part].as_unit("ns").asi8,
            frame["open"].to_numpy()[part],
            frame["close"].to_numpy()[part],
            scaler.transform(values[part]),
        )
        markets.append(ExogenousMarket([bars], positions, TEN_BPS))
        start += size
    side = {c: frame[c].to_numpy()[start - sizes[2] : start] for c in frame.columns[5:]}
    return Splits(*markets, side)


def train(
    splits: Splits, seed: int, steps: int, **hyperparameters: object
) -> tuple[DQN, TrainingResult]:
    settings = {
        "hidden_layers": [64, 64],
        "learning_rate": 1e-3,
        "gamma": 0.95,
        "batch_size": 64,
        "target_update_interval": 100,
        "exploration_fraction": 0.5,
        "exploration_final": 0.1,
        "learning_starts": 2000,
        "train_frequency": 1,
        "gradient_steps": 4,
        **hyperparameters,
    }
    dqn = DQN({"hyperparameters": settings, "seed": seed})
    config = TrainingConfig(steps=steps, validation_interval=500, patience=0)
    trainer = MarketTrainer(dqn, splits.train, splits.validation, config, seed)
    return dqn, trainer.run()


def greedy_log_growth(dqn: DQN, market: ExogenousMarket) -> float:
    return float(market.path_log_growth(market.greedy_paths(dqn.predict))[0])


def expected_log_growth(mean, volatility, position, nodes, weights):
    """E[ln(1 + position (e^r - 1))], r normal, by Gauss-Hermite quadrature."""
    r = mean[:, None] + volatility * nodes
    return (np.log1p(position * np.expm1(r)) * weights).sum(axis=1)


def value_iteration_policy(phi=0.95, edge=30e-4, volatility=0.01, cost=10e-4):
    """Return (grid of s, table of targets (s, previous)) of the best causal policy.

    Relative value iteration on the known model: s' = phi s + sqrt(1 - phi^2) eps. Costs are those
    of the targets' difference, plus the daily rebalancing of a short, whose exposure drifts by
    about 2 |r| a bar.
    """
    x, w = np.polynomial.hermite_e.hermegauss(31)
    w = w / w.sum()
    grid = np.linspace(-5, 5, 1001)
    reward = np.stack([expected_log_growth(edge * grid, volatility, p, x, w) for p in SHORTS], 1)
    turnover = np.abs(np.subtract.outer(SHORTS, SHORTS))
    drift = 2.0 * np.sqrt(2 / np.pi) * np.hypot(volatility, edge)
    turnover[0, 0] += drift
    total = reward[:, None, :] - cost * turnover[None]  # (s, previous, target)
    # P[s, s']: linear interpolation of the quadrature's next states on the grid.
    following = np.clip(phi * grid[:, None] + np.sqrt(1 - phi**2) * x, grid[0], grid[-1])
    place = (following - grid[0]) / (grid[1] - grid[0])
    low = np.minimum(place.astype(int), len(grid) - 2)
    share = place - low
    transition = np.zeros((len(grid), len(grid)))
    for s in range(len(grid)):
        np.add.at(transition[s], low[s], w * (1 - share[s]))
        np.add.at(transition[s], low[s] + 1, w * share[s])
    value = np.zeros((len(grid), 3))
    for _ in range(600):
        q = total + (transition @ value)[:, None, :]
        new = q.max(axis=2)
        new -= new[len(grid) // 2, 1]
        done = np.abs(new - value).max() < 1e-10
        value = new
        if done:
            break
    return grid, q.argmax(axis=2)


def follow_signal(
    signal: NDArray[np.float64],
    grid: NDArray[np.float64],
    table: NDArray[np.int64],
    flat: int,
) -> NDArray[np.int64]:
    """Return the path of a table of targets (signal, previous), starting flat."""
    return follow(table[np.abs(signal[:, None] - grid).argmin(axis=1)], flat)


def best_causal_log_growth(splits: Splits, grid: NDArray, table: NDArray) -> float:
    """Trade the test bars by a table of targets (signal, previous)."""
    signal = splits.test_side_data["signal"][:-1]
    path = follow_signal(signal, grid, table, splits.test.flat)
    return float(splits.test.path_log_growth([path])[0])
