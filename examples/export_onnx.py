"""A policy for CartPole-v1 as an ONNX file, and what a program without this project does with it.

Needs the extra: pip install 'reinforcestrategycreator-pipeline[onnx]'
"""

from pathlib import Path

import gymnasium as gym
import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

PATH = Path("cartpole.onnx")


def train(seed: int, total_steps: int = 20_000) -> DQN:
    """Learn with some of the family's members: all of them are in the file."""
    hyperparameters = {
        "hidden_layers": [64, 64],
        "dueling": True,
        "head": "qr",
        "n_atoms": 11,
        "normalize_observations": True,
    }
    dqn = DQN({"hyperparameters": hyperparameters, "seed": seed})
    dqn.learn(gym.make("CartPole-v1"), total_steps)
    return dqn


if __name__ == "__main__":
    dqn = train(seed=0)
    sha256 = dqn.export_onnx(PATH)
    print(f"{PATH}: {PATH.stat().st_size:,} bytes, SHA-256 {sha256}")

    # From here on, nothing of this project is needed. `onnxruntime` does the same, faster.
    model = ReferenceEvaluator(onnx.load(PATH))
    env = gym.make("CartPole-v1")
    state, _ = env.reset(seed=1)
    total, over, states = 0.0, False, []
    while not over:
        states.append(state.astype(np.float32))
        q_values, actions = model.run(None, {"states": states[-1][None]})
        if not np.isfinite(q_values).all():  # an action that comes of NaN means nothing
            raise SystemExit("the action values are not finite")
        state, reward, terminated, truncated, _ = env.step(int(actions[0]))
        total, over = total + float(reward), terminated or truncated
    print(f"greedy return of one episode: {total}")

    q_values, _ = model.run(None, {"states": np.array(states)})
    difference = float(np.abs(q_values - dqn.predict(np.array(states))).max())
    print(f"largest difference from the model's own values: {difference:.1e}")
    if difference > 1e-5 * float(np.abs(q_values).max()):
        raise SystemExit("the file and the model disagree")
