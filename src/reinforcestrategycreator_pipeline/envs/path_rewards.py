"""Rewards that depend on what the account went through, for the Gymnasium environments alone.

The training market tabulates the reward of every action in advance, which needs a reward that is a
function of a bar's growth. These rewards have a memory. An environment walks one path, so it can
carry the memory, and it must show it: without the memory in the observation, the same observation
and action would have different rewards, and there would be no action value to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.checks import Ge, Gt, Le, Strict
from reinforcestrategycreator_pipeline.registry import Registry


class PathReward(Protocol):
    """A reward with a memory of some numbers, computed for many accounts at once."""

    def start(self, count: int) -> Annotated[F64, "{count} numbers"]:
        """Return the memory of `count` new accounts."""
        ...

    def step(
        self, memory: Annotated[F64, "count numbers"], growth: Annotated[F64, "count"]
    ) -> tuple[Annotated[F64, "count"], Annotated[F64, "count numbers"]]:
        """Return the reward of one bar's growth, and the memory after it; change no argument."""
        ...


PATH_REWARDS: Registry[PathReward] = Registry("reward with a memory", ("start", "step"))


@PATH_REWARDS.register("differential_sharpe")
@dataclass(frozen=True)
class DifferentialSharpe(Strict):
    """Change of an exponentially weighted Sharpe ratio per unit of its adaptation rate.

    With returns R and their weighted moments A <- A + eta (R - A) and B <- B + eta (R^2 - B), the
    reward is D = (B dA - A dB / 2) / (B - A^2)^(3/2), where dA = R - A and dB = R^2 - B take the
    moments before the bar. The variance B - A^2 in the denominator has a floor, for accounts that
    stay flat; the paper has none.

    Parameters
    ----------
    eta : float
        Adaptation rate, in (0, 1]; 0.01 looks back over about 100 bars.
    volatility : float
        Standard deviation of a bar's return with which the moments start, > 0; their mean starts
        at 0. A tenth of it is the floor.

    References
    ----------
    J. Moody and M. Saffell (2001), Learning to trade via direct reinforcement, IEEE Transactions
    on Neural Networks 12(4), section II: the differential Sharpe ratio.
    """

    eta: Annotated[float, Gt(0), Le(1)] = 0.01
    volatility: Annotated[float, Ge(1e-6), Le(1)] = 0.01

    def start(self, count: int) -> Annotated[F64, "{count} 2"]:
        """Return mean 0 and the initial volatility, as `step` returns them."""
        return np.tile([0.0, 1.0], (count, 1))

    def step(
        self, memory: Annotated[F64, "count 2"], growth: Annotated[F64, "count"]
    ) -> tuple[Annotated[F64, "count"], Annotated[F64, "count 2"]]:
        """Return the reward, and the mean and the root mean square, both over `volatility`."""
        r = (growth - 1.0) / self.volatility
        mean, square = memory[:, 0], np.square(memory[:, 1])
        d_mean, d_square = r - mean, r * r - square
        variance = np.maximum(square - mean * mean, 0.01)
        reward = (square * d_mean - 0.5 * mean * d_square) / (variance * np.sqrt(variance))
        after = np.stack([mean + self.eta * d_mean, np.sqrt(square + self.eta * d_square)], axis=1)
        return reward, after


@PATH_REWARDS.register("drawdown")
@dataclass(frozen=True)
class DrawdownPenalty(Strict):
    """Log growth, less what the bar adds to the drawdown.

    With the drawdown d = ln(highest equity so far / equity), the reward of a bar is ln(growth)
    less `penalty` times the rise of d. A recovery costs nothing and returns nothing.

    Parameters
    ----------
    penalty : float
        Weight of the drawdown, in [0, 1000].
    """

    penalty: Annotated[float, Ge(0), Le(1_000)] = 1.0

    def start(self, count: int) -> Annotated[F64, "{count} 1"]:
        """Return no drawdown."""
        return np.zeros((count, 1))

    def step(
        self, memory: Annotated[F64, "count 1"], growth: Annotated[F64, "count"]
    ) -> tuple[Annotated[F64, "count"], Annotated[F64, "count 1"]]:
        """Return the reward, and the drawdown after the bar."""
        gained = np.log(growth)
        before = memory[:, 0]
        after = np.maximum(before - gained, 0.0)
        return gained - self.penalty * np.maximum(after - before, 0.0), after[:, None]
