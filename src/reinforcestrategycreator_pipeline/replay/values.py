"""The rule for rewards, flags, and actions, the same for every place that takes them.

A reward is one real number and a flag one bool, of Python or NumPy, or an array of exactly one. An
action is an integer. Anything else is rejected instead of being converted: ``bool("False")`` is
true, and ``float(None)`` says nothing of a reward.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError, shorten


def largest_number(dtype: DTypeLike) -> float:
    """Return the largest finite number of a floating-point type."""
    return float(np.finfo(dtype).max)


def one_number(value: object, what: str) -> float:
    """Return one real number as a float, which may be NaN or infinite.

    Parameters
    ----------
    value : object
        A Python or NumPy number, or an array of one number.
    what : str
        What it is and where it comes from, for the message: ``"the reward"``.

    Raises
    ------
    ConfigError
        If it is anything else.
    """
    found = _only_item(value, "biuf")
    if isinstance(found, (bool, int, float)):
        try:
            return float(found)
        except OverflowError:
            return math.inf if found > 0 else -math.inf
    raise _refusal(what, "one real number (or an array of one)", value)


def one_flag(value: object, what: str) -> bool:
    """Return one bool; see `one_number`."""
    found = _only_item(value, "b")
    if isinstance(found, bool):
        return found
    raise _refusal(what, "one bool (or an array of one)", value)


def one_action(value: Any, n_actions: int | None) -> int:
    """Return an action's index.

    Raises
    ------
    ConfigError
        If it is not an integer from 0 to `n_actions` - 1; None accepts every integer.
    """
    found: int | None
    try:
        found = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        found = None
    if found is None or not (n_actions is None or 0 <= found < n_actions):
        rule = "" if n_actions is None else f" from 0 to {n_actions - 1}"
        raise _refusal("an action", f"an integer{rule}", value)
    return found


def require_storable(rewards: float | Array, dtype: np.dtype[Any], what: str) -> None:
    """Raise unless all rewards are finite, also once they are stored as `dtype`.

    Raises
    ------
    NonFiniteError
        The message begins with `what`, and gives the first number that is not.
    """
    numbers = np.asarray(rewards, dtype=np.float64).reshape(-1)
    bad = numbers[~(np.abs(numbers) <= largest_number(dtype))]
    if not bad.size:
        return
    number = float(bad[0])
    if math.isfinite(number):
        limit = largest_number(dtype)
        raise NonFiniteError(
            f"{what}: a reward of {number:g} does not fit {dtype}, whose limit is {limit:.4g}"
        )
    raise NonFiniteError(f"{what}: NaN or infinity in the reward. Got {number:g}")


def _only_item(value: object, kinds: str) -> object:
    """Return the item of a NumPy scalar or an array of one with a dtype of `kinds`."""
    if hasattr(value, "__array__") and not isinstance(value, (bool, int, float)):
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in kinds:
            return None
        return float(array.reshape(())) if array.dtype.kind == "f" else array.reshape(()).item()
    return value


def _refusal(what: str, rule: str, value: object) -> ConfigError:
    return ConfigError(f"{what} must be {rule}. Got {shorten(repr(value), 80)} instead.")
