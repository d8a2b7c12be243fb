"""A loss of one's own: log-cosh, trained on Acrobot-v1.

Quadratic near 0 and linear far away, like Huber's, but smooth everywhere:

    L(e) = delta^2 log cosh(e / delta),    L'(e) = delta tanh(e / delta)
"""

import gymnasium as gym
import numpy as np

from reinforcestrategycreator_pipeline import loss
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN


@loss
def log_cosh(error, delta):
    """Return the loss of each error, prediction - target, and its derivative; any shape."""
    a = np.abs(error) / delta
    # log cosh a = a + log((1 + e^(-2a)) / 2). In this form nothing overflows, and 0 gives 0.
    values = delta * delta * (a + np.log1p(0.5 * np.expm1(-2.0 * a)))
    return values, delta * np.tanh(error / delta)


if __name__ == "__main__":
    hyperparameters = {"loss": "own_loss:log_cosh", "huber_delta": 1.0}
    dqn = DQN({"preset": "zoo_acrobot", "hyperparameters": hyperparameters, "seed": 0})
    result = dqn.learn(gym.make("Acrobot-v1"), total_steps=20_000)
    newest = result.returns[-20:]
    print(f"mean return of the last {len(newest)} episodes: {np.mean(newest):.1f}")
