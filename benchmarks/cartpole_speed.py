"""End to end on CartPole: `DQN.learn` against stable-baselines3's DQN with the same settings."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.measuring import bar, interleaved, pin, run
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

TASK, SEGMENT, WARM_UP, STARTS, EXPLORATION = "CartPole-v1", 3_000, 500, 100, 0.05

# What stable-baselines3 does: no double DQN, Huber's loss, gradients clipped at a norm of 10.
SETTINGS = {
    "hidden_layers": [64, 64],
    "learning_rate": 1e-3,
    "batch_size": 32,
    "buffer_size": 50_000,
    "gamma": 0.99,
    "double_dqn": False,
    "loss": "huber",
    "max_grad_norm": 10.0,
    "target_update_interval": 250,
    "exploration_initial": EXPLORATION,
    "exploration_final": EXPLORATION,
    "learning_starts": STARTS,
    "train_frequency": 1,
    "gradient_steps": 1,
}


class Ours:
    """This project's DQN."""

    def __init__(self, **changes: Any) -> None:
        self.dqn = DQN({"hyperparameters": {**SETTINGS, **changes}})
        self._env = gym.make(TASK)

    def learn(self, steps: int) -> None:
        """Go on for so many environment steps."""
        self.dqn.learn(self._env, steps)

    @property
    def updates(self) -> int:
        """Training steps done."""
        return int(self.dqn.q_network["optimizer_state"]["t"])


class StableBaselines3:
    """Theirs."""

    def __init__(self) -> None:
        import stable_baselines3
        import torch

        torch.set_num_threads(1)
        self._model = stable_baselines3.DQN(
            "MlpPolicy",
            gym.make(TASK),
            learning_rate=SETTINGS["learning_rate"],
            batch_size=SETTINGS["batch_size"],
            buffer_size=SETTINGS["buffer_size"],
            learning_starts=STARTS,
            gamma=SETTINGS["gamma"],
            target_update_interval=SETTINGS["target_update_interval"],
            train_freq=SETTINGS["train_frequency"],
            gradient_steps=SETTINGS["gradient_steps"],
            exploration_initial_eps=EXPLORATION,
            exploration_final_eps=EXPLORATION,
            max_grad_norm=SETTINGS["max_grad_norm"],
            policy_kwargs={"net_arch": SETTINGS["hidden_layers"]},
            seed=0,
            device="cpu",
        )

    def learn(self, steps: int) -> None:
        """Go on for so many environment steps."""
        self._model.learn(steps, reset_num_timesteps=False)

    @property
    def updates(self) -> int:
        """Training steps done."""
        return int(self._model._n_updates)


def bare_task(steps: int) -> None:
    """Step the environment with random actions and nothing else."""
    env = gym.make(TASK)
    env.reset(seed=0)
    for action in np.random.default_rng(0).integers(2, size=steps).tolist():
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    pin()
    segment = 300 if quick else SEGMENT
    sides = {
        "this DQN, the same settings": Ours(),
        "this DQN, double DQN and squared loss": Ours(
            double_dqn=True, loss="squared", max_grad_norm=None
        ),
        "stable-baselines3": StableBaselines3(),
    }
    for side in sides.values():
        side.learn(WARM_UP)  # beyond the start of learning
    before = {name: side.updates for name, side in sides.items()}
    segments: dict[str, Any] = {
        name: lambda side=side: side.learn(segment) for name, side in sides.items()
    }
    segments["the task alone"] = lambda: bare_task(segment)
    rounds = 2 if quick else 7
    seconds = interleaved(segments, rounds)
    for name, side in sides.items():
        if side.updates - before[name] != rounds * segment:
            raise RuntimeError(f"{name}: {side.updates - before[name]} training steps")
    rates = {name: segment / t for name, t in seconds.items()}
    ratio = rates["this DQN, the same settings"] / rates["stable-baselines3"]
    return [
        "## End to end on CartPole",
        "",
        f"{TASK}, [64, 64], batch 32, one training step an environment step, one thread on one "
        f"processor; medians of {rounds} interleaved segments of {segment:,} steps, all of them "
        "after learning has begun. *The same settings* are those of stable-baselines3: a plain "
        f"DQN, Huber's loss, gradients clipped, and {EXPLORATION:.0%} of the actions random.",
        "",
        "| | steps/s | us a step |",
        "|---|---:|---:|",
        *(f"| {name} | {rate:,.0f} | {1e6 / rate:.0f} |" for name, rate in rates.items()),
        "",
        bar(ratio >= 9, f"at least 9x stable-baselines3's steps/s: {ratio:.1f}x"),
    ]


if __name__ == "__main__":
    run(main)
