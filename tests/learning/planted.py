"""Synthetic markets with a known edge, split and made ready for the trainer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.envs.market import AssetBars, ExogenousMarket
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.training.market_trainer import (
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
    """Realise a market once, and cut it into train, validation and unseen test bars."""
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
            frame.index[part].as_unit("ns").asi8 / 1e9,
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
