"""A user's script without a mistake. Type checkers read it; it is not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.envs.span import TradingRules
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN, DQNHyperparameters
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.nn.losses import LOSSES
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES


@LOSSES.register("log_cosh")
def log_cosh(error: Array, delta: float, *, scale: float = 1.0) -> tuple[Array, Array]:
    """Return a loss of one's own, with a parameter."""
    e = scale * error / delta
    return np.log(np.cosh(e)), np.tanh(e) * (scale / delta)


@SCHEDULES.register("halfway")
def halfway(initial: float, final: float, share: float) -> float:
    """Return a schedule of one's own."""
    return initial if share < 0.5 else final


class Sum:
    """A head of one's own."""

    n_outputs = 2

    def __init__(self, hyperparameters: Any) -> None:
        self.delta = float(hyperparameters.huber_delta)

    def values(self, outputs: Array) -> Array:
        """Return the action values."""
        values: Array = np.add.reduce(outputs, axis=-1)
        return values

    def loss(
        self, predicted: Array, bootstrap: Array, r_t: Array, discount_t: Array
    ) -> tuple[Array, Array, Array]:
        """Return losses, gradients and priorities."""
        error = self.values(predicted) - r_t - discount_t * self.values(bootstrap)
        return error * error, 2.0 * error[:, None] * np.ones_like(predicted), np.abs(error)


def excess(growth: F64) -> F64:
    """Return a reward of one's own."""
    return growth - 1.0


def stop_early(step: int, row: Mapping[str, float]) -> bool | None:
    """End the training when the loss is small."""
    return False if row.get("loss", 1.0) < 1e-6 else None


def show(env_step: int, row: dict[str, float]) -> None:
    """Keep a row of the history."""
    history.append((env_step, row["loss"]))


history: list[tuple[int, float]] = []
env = gym.make("CartPole-v1")
dqn = DQN(hidden_layers=[32, 32], loss="huber", learning_rate=1e-3, seed=1)
dqn = DQN(preset="rainbow", dtype="float64")
dqn = DQN({"hyperparameters": {"hidden_layers": [32]}, "seed": 0})
dqn = DQN(loss=log_cosh, learning_rate_schedule=halfway, exploration_schedule="cosine")
dqn = DQN(head=Sum, loss={"name": "log_cosh", "scale": 2.0})
dqn.build((4,), (2,))
result = dqn.learn(env, total_steps=1_000, callback=[stop_early, show])
last: float = result.returns[-1]
q: Array = dqn.predict(np.zeros(4))
action: int = dqn.select_action(np.zeros(4), exploration_rate=0.1)
actions: Ints = dqn.select_actions(np.zeros((3, 4), dtype=np.float32))
loss: float = dqn.train_step(batch_size=16, gamma=0.9)
norm: float = dqn.diagnostics["grad_norm"]
seal: str = dqn.save("model.safetensors")
again: DQN = DQN.load("model.safetensors")
weights: Array = dqn.q_network["weights"]["W0"]
hyperparameters = DQNHyperparameters(hidden_layers=(64,), loss=log_cosh, head=Sum)
rules = TradingRules(positions=(-1.0, 0.0, 1.0), reward=excess)
losses: F64 = Population([{"seed": seed} for seed in range(3)]).train_step()
run = rsc.run(seed=7)
run = rsc.run({"data": {"source": "csv", "params": {"path": "prices.csv"}}}, store="runs")
total: float = run.equity["equity"].iloc[-1]
bars = rsc.read_bars("prices.csv")
same: type[DQN] = rsc.DQN
