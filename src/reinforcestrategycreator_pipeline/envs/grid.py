"""The grid of target exposures from which an action selects, and paths on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Bools, Ints
from reinforcestrategycreator_pipeline.checks import require

_FEW = 12


def check_positions(positions: Sequence[float], owner: str = "market") -> tuple[float, ...]:
    """Return the grid of target exposures as a tuple; it must be finite, increasing, and have 0."""
    grid = tuple(float(p) for p in positions)
    ok = len(grid) >= 2 and all(np.isfinite(grid)) and all(np.diff(grid) > 0) and 0.0 in grid
    rule = "an increasing list of finite exposures that includes 0"
    require(ok, owner, "positions", rule, list(positions))
    return grid


def flat_index(positions: Sequence[float]) -> int:
    """Return the index of the exposure 0, the previous target of a new account."""
    return list(positions).index(0.0)


def follow(
    choice: Annotated[Ints, "decisions positions"], start: int
) -> Annotated[Ints, "decisions"]:
    """Follow a table of decisions, starting from the target `start`.

    Parameters
    ----------
    choice : ndarray of int, shape (n, k)
        For each decision, the index of the target chosen from each previous target.
    start : int
        Index of the target held before the first decision.

    Returns
    -------
    ndarray of int, shape (n,)
        Index of the target of each decision.
    """
    n, k = choice.shape
    decided = (choice == choice[:, :1]).all(axis=1)  # whatever was held
    if (decided | (choice == np.arange(k)).all(axis=1)).all():  # else what was held stays
        latest = np.maximum.accumulate(np.where(decided, np.arange(n), -1))
        return np.where(latest >= 0, choice[latest, 0], start).astype(np.int64)
    path = np.empty(n, dtype=np.int64)
    held = start
    for t, row in enumerate(choice.tolist()):
        held = row[held]
        path[t] = held
    return path


def follow_all(
    choices: Annotated[Ints, "tables decisions positions"], starts: Annotated[Ints, "tables"]
) -> Annotated[Ints, "tables decisions"]:
    """Follow many tables of decisions at once; see `follow`."""
    if len(choices) <= _FEW:  # NumPy's calls would cost more than Python's loop
        return np.stack([follow(*each) for each in zip(choices, starts.tolist(), strict=True)])
    rows = np.arange(len(choices))
    paths = np.empty(choices.shape[:2], dtype=np.int64)
    held = starts
    for t in range(choices.shape[1]):
        held = choices[rows, t, held]
        paths[:, t] = held
    return paths


def toward(n: int, baseline: int) -> Annotated[Bools, "{n} {n}"]:
    """Return whether a move from target h to q leads towards a baseline, without passing it.

    Parameters
    ----------
    n : int
        Number of targets.
    baseline : int
        Index of the baseline.

    Returns
    -------
    ndarray of bool, shape (n, n)
        Element (h, q) is True if q lies between h and the baseline, both included.
    """
    held, target = np.arange(n)[:, None], np.arange(n)
    low, high = np.minimum(held, baseline), np.maximum(held, baseline)
    between: Bools = (low <= target) & (target <= high)
    return between
