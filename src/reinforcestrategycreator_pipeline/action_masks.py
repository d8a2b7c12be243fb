"""Action masks: which actions are valid in a state. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array, Bools, Ints
from reinforcestrategycreator_pipeline.errors import ConfigError, shorten


def as_masks(
    found: object,
    shape: tuple[int, ...],
    name: str | Callable[[], str],
    needed: Bools | None = None,
) -> Bools:
    """Return action masks as booleans, after checking them.

    Parameters
    ----------
    found : array_like
        True or 1 where an action is valid, False or 0 elsewhere.
    shape : tuple of int
        Shape that it must have, (n_actions,) or (N, n_actions).
    name : str or callable
        Start of the message of an error, or a function that returns it.
    needed : ndarray of bool, shape (N,), optional
        Rows that must have a valid action; by default all.

    Returns
    -------
    ndarray of bool, shape `shape`
        May be the array given.

    Raises
    ------
    ConfigError
        If the type, the shape, or a value is wrong, or a needed row has no valid action.
    """

    def wrong(rule: str, got: object) -> ConfigError:
        start, text = name if isinstance(name, str) else name(), " ".join(str(got).split())
        return ConfigError(f"{start} must {rule}. Got {shorten(text, 100)} instead.")

    try:
        array = np.asarray(found)
    except ValueError:  # rows of different lengths
        raise wrong(f"have the shape {shape}", found) from None
    if array.dtype.kind not in "biu":
        got: Any = found if array.dtype.kind == "O" else array.dtype
        raise wrong("consist of booleans, or of the integers 0 and 1", got)
    if array.shape != shape:
        raise wrong(f"have the shape {shape}", array.shape)
    if array.dtype.kind != "b":
        booleans = array.astype(bool)
        if not (booleans == array).all():
            raise wrong("consist of booleans, or of the integers 0 and 1", array.tolist())
        array = booleans
    valid = np.logical_or.reduce(array, axis=-1)
    fine = valid if needed is None else valid | ~needed
    if not (fine if array.ndim == 1 else np.logical_and.reduce(fine)):
        rows = f" (row {int(fine.argmin())})" if array.ndim > 1 else ""
        raise wrong("have at least one valid action", f"none{rows}")
    return array


def masked(
    values: Annotated[Array, "*rows actions"], masks: Annotated[Bools, "*rows actions"]
) -> Annotated[Array, "*rows actions"]:
    """Return a copy of action values with -inf for invalid actions."""
    return np.where(masks, values, -np.inf)


def random_actions(
    rng: np.random.Generator, masks: Annotated[Bools, "rows actions"]
) -> Annotated[Ints, "rows"]:
    """Return a random valid action for each row, all equally likely.

    With masks that are all true, the actions are those of ``rng.integers(n_actions, size=rows)``.
    """
    place = np.asarray(rng.integers(0, np.add.reduce(masks, axis=1)))
    actions: Ints = (masks.cumsum(axis=1) > place[:, None]).argmax(axis=1)
    return actions


def packed(masks: Annotated[Bools, "*rows actions"]) -> Array:
    """Return masks as bits, uint8 of shape (..., ceil(n_actions / 8))."""
    return np.packbits(masks, axis=-1)


def unpacked(bits: Array, n_actions: int) -> Bools:
    """Return the masks, shape (..., n_actions), that `packed` returned as bits."""
    return np.unpackbits(bits, axis=-1, count=n_actions).view(bool)
