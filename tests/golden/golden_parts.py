"""Code of a user's: a feature, a metric, a reward, a model."""

import numpy as np

from reinforcestrategycreator_pipeline import feature, reward
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import metric
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN


@feature
def overnight_gap(bars, window=5):
    gap = np.log(bars["open"][1:] / bars["close"][:-1])
    out = np.full(len(bars["close"]), np.nan)
    out[window:] = np.lib.stride_tricks.sliding_window_view(gap, window).mean(axis=1)
    return out


@reward
def loss_averse(growth):
    r = np.log(growth)
    return np.where(r < 0, 1.5 * r, r)


@metric("worst_bar", "Worst bar", unit="percent", group="Risk", higher_is_better=True)
def worst_bar(p):
    """Lowest return of a bar."""
    p.need_bars(1)
    return p.returns.min()


class SoftTargetDQN(DQN):
    rate = 0.005

    def train_step(self, batch_size=None, gamma=None):
        loss = super().train_step(batch_size, gamma)
        for name, weights in self.target_network["weights"].items():
            weights += self.rate * (self.q_network["weights"][name] - weights)
        return loss
