"""A head of one's own: action values on a compressed scale, trained on CartPole-v1.

The network's output x of an action stands for the return h^-1(x), and learns h(return), with

    h(v) = sign(v) (sqrt(|v| + 1) - 1) + EPSILON v

so that returns of 10 and of 10,000 are learned with errors of like size, and no reward has to be
scaled. Pohlen et al. 2018, "Observe and look further", arXiv:1805.11593, section 3.2.
"""

import gymnasium as gym
import numpy as np

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.nn.losses import LOSSES

EPSILON = 0.01


def compress(v):
    """Return h(v), elementwise."""
    return np.sign(v) * (np.sqrt(np.abs(v) + 1.0) - 1.0) + EPSILON * v


def expand(x):
    """Return h^-1(x), elementwise: h(v) = x is a quadratic equation in sqrt(|v| + 1)."""
    root = np.sqrt(1.0 + 4.0 * EPSILON * (np.abs(x) + 1.0 + EPSILON))
    return np.sign(x) * (((root - 1.0) / (2.0 * EPSILON)) ** 2 - 1.0)


class Compressed:
    """One output an action; the loss is that of the hyperparameter `loss`, on the outputs.

    The arithmetic is in float64: the two functions would lose digits in float32.
    """

    n_outputs = 1

    def __init__(self, hyperparameters):
        self._loss = LOSSES.build(hyperparameters.loss)
        self._delta = hyperparameters.huber_delta

    def values(self, outputs):
        """Return the expected return (...) of outputs (..., 1)."""
        return expand(outputs[..., 0].astype(np.float64)).astype(outputs.dtype)

    def loss(self, predicted, bootstrap, r_t, discount_t):
        """Return losses (M,), d_predicted (M, 1) and priorities (M,)."""
        x, x_next, r_t, discount_t = (
            array.astype(np.float64)
            for array in (predicted[:, 0], bootstrap[:, 0], r_t, discount_t)
        )
        # Behind a termination the future is set to 0 before `expand`, not after: a huge x_next
        # would overflow there, and inf * 0 is NaN. A NaN stays one.
        target = compress(r_t + discount_t * expand(x_next * (discount_t != 0)))
        losses, derivatives = self._loss(x - target, self._delta)
        results = losses, derivatives[:, None], np.abs(x - target)
        return tuple(array.astype(predicted.dtype) for array in results)


if __name__ == "__main__":
    hyperparameters = {"head": "own_head:Compressed", "prioritized_replay": True}
    dqn = DQN({"preset": "zoo_cartpole", "hyperparameters": hyperparameters, "seed": 0})
    result = dqn.learn(gym.make("CartPole-v1"), total_steps=20_000)
    newest = result.returns[-20:]
    print(f"mean return of the last {len(newest)} episodes: {np.mean(newest):.1f}")
