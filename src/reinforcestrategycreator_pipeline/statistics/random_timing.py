"""A policy's exposures at random times, with its turnover and its time in the market."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64


def redraw_timing(
    targets: Annotated[F64, "bars"], draws: int, rng: np.random.Generator
) -> Annotated[F64, "{draws} bars"]:
    """Redraw how long a policy holds each of its exposures, keeping their order.

    The total time of each exposure is divided among its runs by a uniformly drawn composition into
    parts of at least one bar. Turnover and the time in each exposure stay as they were.

    Parameters
    ----------
    targets : ndarray, shape (n,)
        Target exposures of the policy, as fractions of equity.
    draws : int
        Number of sequences to draw.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray, shape (draws, n)
        Target exposures, one sequence a row.
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
    """Return the percentage of the drawn values that are below `own` by more than rounding.

    A policy that never changes its exposure is only repeated by the draws; it scores 0.
    """
    return float((drawn < own * (1.0 - 1e-12)).mean() * 100.0)
