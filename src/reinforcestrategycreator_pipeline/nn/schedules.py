"""Values that change while training goes on: learning rate, exploration, importance weights.

A schedule of your own is one function of this form, named in the configuration by its registered
name or as ``"module:function"``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from reinforcestrategycreator_pipeline.checks import require
from reinforcestrategycreator_pipeline.registry import Registry

Schedule = Callable[[float, float, float], float]

SCHEDULES: Registry[Schedule] = Registry("schedule", ())
"""``function(initial, final, share) -> float`` for a share from 0 to 1 of the way."""


def schedule(kind: str, initial: float, final: float, share: float) -> float:
    """Return where the schedule `kind` is after `share` of its way.

    Parameters
    ----------
    kind : str
        "constant", "linear", "cosine", "exponential", or ``"module:function"``.
    initial, final : float
        The value at share 0 and at share 1; "constant" stays at `initial`.
    share : float
        Clipped to [0, 1].

    Returns
    -------
    float
        Exactly `initial` at share 0 and, but for "constant", exactly `final` at share 1.

    Raises
    ------
    ConfigError
        If there is no such kind, the share is NaN, or "exponential" is given a value <= 0.
    """
    require(share == share, "schedule", "share", "a number", share)  # min and max hide NaN
    return SCHEDULES.get(kind)(float(initial), float(final), min(max(float(share), 0.0), 1.0))


@SCHEDULES.register("constant")
def constant(initial: float, final: float, share: float) -> float:
    """Return `initial`."""
    return initial


@SCHEDULES.register("linear")
def linear(initial: float, final: float, share: float) -> float:
    """Return initial + share (final - initial): Mnih et al. 2015's exploration."""
    # The sum may miss `final` by a rounding.
    return final if share == 1.0 else initial + share * (final - initial)


@SCHEDULES.register("cosine")
def cosine(initial: float, final: float, share: float) -> float:
    """Return final + (initial - final) (1 + cos(pi share)) / 2.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5, without restarts.
    """
    height = 0.5 * (1.0 + math.cos(math.pi * share))
    return initial if share == 0.0 else final + (initial - final) * height


@SCHEDULES.register("exponential")
def exponential(initial: float, final: float, share: float) -> float:
    """Return initial (final / initial)^share, which falls by equal ratios in equal times.

    Raises
    ------
    ConfigError
        If a value is not > 0.
    """
    for name, value in (("initial", initial), ("final", final)):
        require(value > 0.0, "schedule 'exponential'", name, "> 0", value)
    # In this form no ratio overflows, and both ends are exact.
    return float(initial ** (1.0 - share) * final**share)
