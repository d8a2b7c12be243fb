"""What a bar is worth to the learner, as a function of what the bar did to equity."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import ConfigError, blamed
from reinforcestrategycreator_pipeline.nn.components import Component
from reinforcestrategycreator_pipeline.registry import Registry


class Reward(Protocol):
    """A function of each bar's growth of equity."""

    def __call__(self, growth: F64, /) -> F64:
        """Return the reward of each growth, elementwise."""
        ...


REWARDS: Registry[Reward] = Registry("reward", ())


@REWARDS.register("log_growth")
def log_growth(growth: F64) -> F64:
    """Return ln(growth): their sum is the log of final equity (Kelly's criterion)."""
    return np.log(growth)


@REWARDS.register("mean_variance")
def mean_variance(growth: F64) -> F64:
    """Return r - r^2, r = growth - 1: twice as averse to variance as the logarithm, r - r^2 / 2."""
    r = growth - 1.0
    return r - r * r


def measure(reward: Component[Reward], growth: F64) -> F64:
    """Return what a reward, or the one of that name, gives for each growth of equity.

    Raises
    ------
    ConfigError
        If it raises anything, gives another shape or a number that is not finite, or depends on
        more than each growth alone: the rewards of all actions are known in advance only then.
    """
    function = REWARDS.build(reward)
    reward = REWARDS.name_of(function)
    some = growth.reshape(-1)[:200]
    with blamed(f"reward {reward!r}", ConfigError):
        values = np.asarray(function(growth), dtype=np.float64)
        again = np.asarray(function(some[::-1]), dtype=np.float64)[::-1]
    if values.shape != growth.shape:
        raise ConfigError(
            f"reward {reward!r} must give one number for each growth, shape {growth.shape}. "
            f"Got shape {values.shape} instead."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        raise ConfigError(
            f"reward {reward!r} must be finite. Got {values[bad][0]} for a growth of "
            f"{growth[bad][0]:.6g} instead."
        )
    if not np.allclose(again, values.reshape(-1)[: len(some)], rtol=1e-9, atol=1e-12):
        raise ConfigError(
            f"reward {reward!r} must depend on each growth alone: evaluated again, in another "
            "order, it gives other values. Put what depends on the path into a feature."
        )
    return values
