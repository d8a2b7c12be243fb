"""A training that takes a tenth of a second, with everything in it."""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.policies.dqn_training import MarketTrainer, TrainingConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, random_asset

GRID = (-1.0, 0.0, 1.0)
HYPERPARAMETERS = {
    "hidden_layers": [8],
    "learning_rate": 3e-3,
    "batch_size": 8,
    "buffer_size": 500,  # so that the ring goes round several times
    "learning_starts": 100,
    "train_frequency": 2,
    "target_update_interval": 9,
    "exploration_fraction": 0.7,
    "log_interval": 1,
}
EVERY_OPTION = {
    "head": "c51",
    "n_atoms": 5,
    "v_min": -6.0,
    "v_max": 6.0,
    "dueling": True,
    "layer_norm": True,
    "noisy": True,
    "prioritized_replay": True,
    "normalize_observations": True,
    "max_grad_norm": 1.0,
    "weight_decay": 0.01,
    "learning_rate_schedule": "linear",
    "learning_rate_final": 3e-4,
    "exploration_schedule": "cosine",
    "tau": 0.2,
    "target_update_interval": 2,
    "gradient_steps": -1,
    "learning_starts": 0,
}
CONFIG = {
    "steps": 60,
    "trajectories": 16,
    "validation_interval": 10,
    "patience": 0,
    "checkpoint_interval": 7,
}


def markets():
    """Return a training market of two assets, and a validation market."""
    train = ExogenousMarket([random_asset(50, 1, "A"), random_asset(30, 2, "B")], GRID, DEAR)
    validation = ExogenousMarket(
        [random_asset(25, 3, "A"), random_asset(20, 4, "B")],
        GRID,
        DEAR,
        reward_scale=train.reward_scale,
    )
    return train, validation


def make_trainer(store=None, on_row=None, seed=5, validation=None, hyperparameters=None, **config):
    train, held_out = markets()
    model = DQN({"hyperparameters": {**HYPERPARAMETERS, **(hyperparameters or {})}, "seed": seed})
    return MarketTrainer(
        model,
        train,
        held_out if validation is None else validation,
        TrainingConfig(**{**CONFIG, **config}),
        seed,
        store,
        on_row,
    )


def bits(trainer, result):
    """Return everything that a finished training leaves, without its speed, to be compared."""
    tensors, header = trainer.model.state()
    rows = [{k: v for k, v in r.items() if k != "steps_per_second"} for r in result.history]
    return {
        "weights": {name: array.tobytes() for name, array in tensors.items()},
        "header": header,
        "replay": {name: array.tobytes() for name, array in trainer.replay.arrays().items()},
        "trajectories": (
            trainer.trajectories.rows.tolist(),
            trainer.trajectories.held.tolist(),
        ),
        "history": rows,
        "best": (result.best_step, result.best_validation_growth),
        "end": (result.steps, result.stopped_early),
    }


class ScriptedValidation:
    """Gives one growth after the other, the last one for ever."""

    def __init__(self, *growths):
        self.growths = list(growths)
        _, real = markets()
        self.n_inputs, self.positions = real.n_inputs, real.positions

    def greedy_paths(self, predict):
        return []

    def path_log_growth(self, paths):
        growth = self.growths.pop(0) if len(self.growths) > 1 else self.growths[0]
        return np.array([growth])
