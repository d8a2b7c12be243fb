"""Scores of several seeds: their middle, and how often one training beats another."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64


def interquartile_mean(scores: Annotated[F64, "seeds"]) -> float:
    """Return the mean of the middle half of the scores.

    floor(seeds / 4) of the lowest and of the highest are left out: none of three seeds, one at
    either end of five.

    Parameters
    ----------
    scores : ndarray of float64, shape (seeds,)
        Finite scores, at least one.

    References
    ----------
    Agarwal et al. (2021), Deep Reinforcement Learning at the Edge of the Statistical Precipice,
    Advances in Neural Information Processing Systems 34.
    """
    out = len(scores) // 4
    return float(np.sort(scores)[out : len(scores) - out].mean())


def probability_of_improvement(
    scores: Annotated[F64, "seeds"], others: Annotated[F64, "others"]
) -> float:
    """Return the probability that a random seed of the first scores better than one of the second.

    It is the share of all pairs, equal scores counting one half: Mann and Whitney's statistic over
    the number of pairs.

    Parameters
    ----------
    scores, others : ndarray of float64, shapes (seeds,) and (others,)
        Finite scores, at least one each, for example of the policy and of a benchmark.

    Returns
    -------
    float
        0 to 1; 0.5 if neither is better.

    References
    ----------
    Agarwal et al. (2021), Deep Reinforcement Learning at the Edge of the Statistical Precipice,
    Advances in Neural Information Processing Systems 34.
    """
    difference = scores[:, None] - others
    return float((0.5 + 0.5 * np.sign(difference)).mean())
