"""What a bar is worth to the learner, as a function of what the bar did to equity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.registry import Registry

F64 = NDArray[np.float64]
Reward = Callable[[F64], F64]

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
