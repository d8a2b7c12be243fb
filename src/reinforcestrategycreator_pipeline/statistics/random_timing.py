"""A policy's exposures at random times: what is left of it is turnover and time in the market."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64


def redraw_timing(
    targets: Annotated[F64, "bars"], draws: int, rng: np.random.Generator
) -> Annotated[F64, "{draws} bars"]:
    """Hold a policy's exposures, in its order, for random lengths of time.

    Each exposure's total time is divided among its runs by a uniformly drawn composition into parts
    of at least one bar. Turnover and time in each exposure stay the policy's own.

    Parameters
    ----------
    targets : ndarray, shape (n,)
        The policy's target exposures.
    draws : int
        How many to draw.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray, shape (draws, n)
    """
    starts = np.concatenate([[0], np.flatnonzero(np.diff(targets)) + 1])
    values = targets[starts]
    lengths = np.diff(np.concatenate([starts, [len(targets)]]))
    drawn = np.empty((draws, len(targets)))
    for draw in drawn:
        parts = np.empty_like(lengths)
        for value in np.unique(values):
            runs = np.flatnonzero(values == value)
            total = int(lengths[runs].sum())
            cuts = np.sort(rng.choice(total - 1, size=len(runs) - 1, replace=False)) + 1
            parts[runs] = np.diff(np.concatenate([[0], cuts, [total]]))
        draw[:] = np.repeat(values, parts)
    return drawn


def percent_below(drawn: Annotated[F64, "draws"], own: float) -> float:
    """Return the percentage of the drawn values that are below `own`, beyond rounding.

    A policy that random timing only repeats (one that never changes) is not above itself.
    """
    return float((drawn < own * (1.0 - 1e-12)).mean() * 100.0)
