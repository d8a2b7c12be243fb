"""Rewards: functions of the growth of equity over one bar."""

from __future__ import annotations

from typing import Annotated, Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.checks import Ge, Le
from reinforcestrategycreator_pipeline.envs.path_rewards import PATH_REWARDS
from reinforcestrategycreator_pipeline.errors import ConfigError, blamed
from reinforcestrategycreator_pipeline.nn.components import Component
from reinforcestrategycreator_pipeline.registry import Registry


class Reward(Protocol):
    """A function of each bar's growth of equity."""

    def __call__(self, growth: F64, /) -> F64:
        """Return the reward of each growth, elementwise."""
        ...


class _Rewards(Registry[Reward]):
    """The rewards, which knows of those that are not rewards of a single bar."""

    def get(self, name: str) -> Reward:
        if name in PATH_REWARDS:
            raise ConfigError(
                f"the reward {name!r} depends on what the account went through, so it cannot be "
                "tabulated for all actions in advance: it is for TradingEnv. For a run, use "
                "'mean_variance' or 'downside'."
            )
        return super().get(name)


REWARDS: Registry[Reward] = _Rewards(
    "reward", (), "from reinforcestrategycreator_pipeline import reward"
)
reward = REWARDS.declare
"""Decorator that lets a configuration name a function as ``"module:function"``."""


@REWARDS.register("log_growth")
def log_growth(growth: F64) -> F64:
    """Return ln(growth); the sum of these rewards is the log of final equity (Kelly criterion)."""
    return np.log(growth)


@REWARDS.register("mean_variance")
def mean_variance(growth: F64) -> F64:
    """Return r - r^2 with r = growth - 1, twice as averse to variance as ln(growth) ~ r - r^2/2."""
    r = growth - 1.0
    return r - r * r


@REWARDS.register("downside")
def downside(growth: F64, aversion: Annotated[float, Ge(0), Le(1e6)] = 5.0) -> F64:
    """Return r - aversion/2 min(r, 0)^2 with r = ln(growth): as log growth, more averse to losses.

    The second term is the semivariance about 0, so the mean reward is that of log growth less half
    `aversion` times the square of the downside deviation.

    Parameters
    ----------
    growth : ndarray of float64
        Equity at the end of a bar / equity at its start, > 0.
    aversion : float
        Weight of squared losses, in [0, 1e6].
    """
    r = np.log(growth)
    return r - 0.5 * aversion * np.square(np.minimum(r, 0.0))


def measure(reward: Component[Reward], growth: F64) -> F64:
    """Evaluate a reward, given as a function or by name, for each growth of equity.

    Parameters
    ----------
    reward : callable or str
        Reward to check.
    growth : ndarray of float64
        Equity at the end of a bar / equity at its start, > 0.

    Returns
    -------
    ndarray of float64
        Rewards, of the same shape.

    Raises
    ------
    ConfigError
        If the reward raises an exception, returns another shape or a value that is not finite, or
        depends on more than each single growth. Only a function of each growth alone can be
        tabulated for all actions in advance.
    """
    function = REWARDS.build(reward)
    reward = REWARDS.name_of(function)
    some = growth.reshape(-1)[:200]
    with blamed(f"reward {reward!r}", ConfigError):
        values = np.asarray(function(growth), dtype=np.float64)
        again = np.asarray(function(some[::-1]), dtype=np.float64)[::-1]
    if values.shape != growth.shape:
        raise ConfigError(
            f"reward {reward!r} must return one number per growth, shape {growth.shape}. "
            f"Got shape {values.shape} instead."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        raise ConfigError(
            f"reward {reward!r} must return finite numbers. Got {values[bad][0]} for a growth of "
            f"{growth[bad][0]:.6g} instead."
        )
    if not np.allclose(again, values.reshape(-1)[: len(some)], rtol=1e-9, atol=1e-12):
        raise ConfigError(
            f"reward {reward!r} must depend on each growth alone, but it returns different values "
            "in another order. Put anything that depends on the path into a feature."
        )
    return values
