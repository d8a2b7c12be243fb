"""Schedules of values that change during training: learning rate and exploration rate.

A custom schedule is one function of the form below, passed as an object, or given in the
configuration by its registered name or as ``"module:function"``. Further keyword arguments are its
parameters.
"""

from __future__ import annotations

import math
import sys
from typing import Protocol

from reinforcestrategycreator_pipeline.checks import is_number, require
from reinforcestrategycreator_pipeline.errors import ConfigError, shorten
from reinforcestrategycreator_pipeline.nn.components import Component, name_of
from reinforcestrategycreator_pipeline.registry import Registry


class Schedule(Protocol):
    """A value that changes over training; see `SCHEDULES`."""

    def __call__(self, initial: float, final: float, share: float, /) -> float:
        """Return the value at a share of the way, from 0 to 1."""
        ...


SCHEDULES: Registry[Schedule] = Registry(
    "schedule", (), "from reinforcestrategycreator_pipeline import schedule"
)
"""Functions ``schedule(initial, final, share) -> float``, where `share` in [0, 1] is the progress.

The result must be a finite number >= 0; for an exploration rate, at most 1.
"""
schedule = SCHEDULES.declare
"""Decorator that lets a configuration name a function as ``"module:function"``."""


def checked_schedule(component: Component[Schedule], largest: float = math.inf) -> Schedule:
    """Return a schedule that clips its share to [0, 1] and checks its values.

    Parameters
    ----------
    component : Component
        "constant", "linear", "cosine", "exponential", ``"module:function"``, ...
    largest : float
        Largest allowed value.

    Returns
    -------
    callable
        ``schedule(initial, final, share) -> float``. The shipped schedules return exactly `initial`
        at share 0 and, except "constant", exactly `final` at share 1. The callable raises
        `ConfigError` for a value that is not finite or outside [0, `largest`], for a share of NaN,
        and in "exponential" for an `initial` or `final` <= 0.

    Raises
    ------
    ConfigError
        If there is no such schedule.
    """
    function = SCHEDULES.build(component)
    most = min(largest, sys.float_info.max)

    def value(initial: float, final: float, share: float) -> float:
        require(share == share, "schedule", "share", "a number", share)  # min and max drop NaN
        share = min(max(float(share), 0.0), 1.0)
        found = function(float(initial), float(final), share)
        if type(found) is float and 0.0 <= found <= most:  # what is usual takes the quick way
            return found
        number = float(found) if hasattr(found, "__float__") else found
        if not (is_number(number) and 0.0 <= number <= largest):
            bounds = ">= 0" if largest == math.inf else f"in [0, {largest:g}]"
            name = name_of(SCHEDULES, component)
            raise ConfigError(
                f"the schedule {name!r} must return finite numbers {bounds}. Got"
                f" {shorten(repr(found))} at share {share:g} instead."
            )
        return number

    return value


@SCHEDULES.register("constant")
def constant(initial: float, final: float, share: float) -> float:
    """Return `initial`."""
    return initial


@SCHEDULES.register("linear")
def linear(initial: float, final: float, share: float) -> float:
    """Return initial + share (final - initial), as for exploration in Mnih et al. 2015."""
    # The sum may differ from `final` by a rounding error.
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
    """Return initial (final / initial)^share, which changes by equal ratios in equal times.

    Raises
    ------
    ConfigError
        If `initial` or `final` is not > 0.
    """
    for name, value in (("initial", initial), ("final", final)):
        require(value > 0.0, "schedule 'exponential'", name, "> 0", value)
    # In this form, no ratio overflows and both ends are exact.
    return float(initial ** (1.0 - share) * final**share)
