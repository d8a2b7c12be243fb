"""Choosing an action with a 256-256 network: this DQN, bare NumPy, stable-baselines3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.measuring import bar, pin, run, us_per_call
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

TASK, HIDDEN, MANY = "CartPole-v1", [256, 256], 64


def bare(weights: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the forward pass and the choice, as short as NumPy can say them."""
    w0, b0, w1, b1, w2, b2 = weights.values()

    def act(states: np.ndarray) -> np.ndarray:
        hidden = np.maximum(states @ w0 + b0, 0)
        hidden = np.maximum(hidden @ w1 + b1, 0)
        return (hidden @ w2 + b2).argmax(axis=1)

    return act


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    import stable_baselines3
    import torch

    pin()
    torch.set_num_threads(1)
    env = gym.make(TASK)
    dqn = DQN({"hyperparameters": {"hidden_layers": HIDDEN, "buffer_size": 1_000}})
    dqn.build(env.observation_space.shape, (int(env.action_space.n),))
    theirs = stable_baselines3.DQN(
        "MlpPolicy", env, buffer_size=1_000, policy_kwargs={"net_arch": HIDDEN}, device="cpu"
    )
    forward = bare(dict(dqn.q_network["weights"]))
    states = np.random.default_rng(0).standard_normal((MANY, 4)).astype(np.float32)
    one, state = states[:1], states[0]
    if not np.array_equal(forward(states), dqn.select_actions(states)):
        raise RuntimeError("the bare forward pass and the DQN choose different actions")
    us = us_per_call(
        {
            "ours, one": lambda: dqn.select_actions(one),
            "ours, select_action": lambda: dqn.select_action(state),
            "bare, one": lambda: forward(one),
            "theirs, one": lambda: theirs.predict(state, deterministic=True),
            "ours, many": lambda: dqn.select_actions(states),
            "bare, many": lambda: forward(states),
            "theirs, many": lambda: theirs.predict(states, deterministic=True),
        },
        *((2, 20) if quick else (20, 200)),
    )
    ratio = us["theirs, one"] / us["ours, one"]
    return [
        "## Acting",
        "",
        f"Greedy actions of a 4-256-256-2 network for one state, and for {MANY} states at once; "
        "one thread on one processor, medians of interleaved rounds.",
        "",
        f"| | one state, us | {MANY} states, us |",
        "|---|---:|---:|",
        f"| bare NumPy: products, biases, ReLU, argmax | {us['bare, one']:.0f} | "
        f"{us['bare, many']:.0f} |",
        f"| `DQN.select_actions`, which also refuses what is not finite | {us['ours, one']:.0f} | "
        f"{us['ours, many']:.0f} |",
        "| `DQN.select_action`, whose bits do not depend on a batch | "
        f"{us['ours, select_action']:.0f} | |",
        f"| stable-baselines3's `predict` | {us['theirs, one']:.0f} | {us['theirs, many']:.0f} |",
        "",
        bar(ratio > 1, f"faster than stable-baselines3: {ratio:.1f}x (the project sets no bar)"),
    ]


if __name__ == "__main__":
    run(main)
