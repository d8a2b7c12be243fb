"""The probability of backtest overfitting, by combinatorially symmetric cross-validation."""

from __future__ import annotations

import itertools
from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.statistics.combine import ROUNDING


class Overfitting(NamedTuple):
    """The rank in one half of the time of the configuration that is best in the other half.

    Attributes
    ----------
    probability : float
        Probability, 0 to 1, that the best one ranks below the median in the other half. **0.5 is
        what configurations without skill have**, not 0; a single matrix of them has 0.2 to 0.8.
    ranks : ndarray of float64, shape (partitions,)
        Relative rank of the best one in the other half, in (0, 1): rank / (m + 1), 1 for the worst.
    """

    probability: float
    ranks: F64


def probability_of_overfitting(excess: Annotated[F64, "n m"], blocks: int = 16) -> Overfitting:
    """Return the share of partitions in which the choice by one half fails in the other.

    The time is cut into contiguous blocks of equal length, up to one bar, and every choice of half
    of the blocks is one partition. The measure is the Sharpe ratio, 0 for returns without
    dispersion. Equal values share their mean rank, and equally good best ones count equally. A rank
    on the median counts one half: the paper counts it as a failure, by which the null would be 2/3
    for three configurations.

    Parameters
    ----------
    excess : ndarray of float64, shape (n, m)
        Excess returns per bar, finite: bars in rows, configurations in columns, 2 <= m <= n.
    blocks : int
        Number of blocks, even, >= 2, at most n / 2. There are blocks! / (blocks / 2)!^2 partitions,
        12,870 for 16.

    Returns
    -------
    Overfitting
        Probability and ranks.

    Raises
    ------
    ValueError
        If the shape or the number of blocks cannot be right, or a return is not finite. More
        configurations than bars are most likely the transpose.

    References
    ----------
    Bailey, Borwein, López de Prado and Zhu (2017), The Probability of Backtest Overfitting, Journal
    of Computational Finance 20(4).
    """
    n, m = excess.shape
    if m > n:
        raise ValueError(f"{n} rows of {m} columns look transposed: rows are bars")
    if m < 2 or not np.isfinite(excess).all():
        raise ValueError("at least 2 configurations are needed, and finite returns")
    if blocks < 2 or blocks % 2 or 2 * blocks > n:
        raise ValueError(
            f"the blocks of {n} bars must be even and from 2 to {n // 2}, not {blocks}"
        )
    chosen = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    member = np.zeros((len(chosen), blocks))
    member[np.arange(len(chosen))[:, None], chosen] = 1.0
    inside = _sharpe_ratios(excess, member)
    # In lexicographic order the other half of the i-th choice is the i-th from the end.
    outside = inside[::-1]
    best = inside >= inside.max(axis=1, keepdims=True) - ROUNDING
    ranks = np.zeros(len(chosen))
    failed = np.zeros(len(chosen))
    for column in range(m):
        which = np.flatnonzero(best[:, column])
        rest = outside[which]
        own = rest[:, [column]]
        below = (rest < own - ROUNDING).sum(axis=1)
        equal = (np.abs(rest - own) <= ROUNDING).sum(axis=1)
        rank = below + (equal + 1.0) / 2.0
        ranks[which] += rank / (m + 1.0)
        failed[which] += 0.5 - 0.5 * np.sign(2.0 * rank - (m + 1.0))
    many = best.sum(axis=1)
    return Overfitting(float((failed / many).mean()), ranks / many)


def _sharpe_ratios(excess: F64, member: F64) -> F64:
    """Return the Sharpe ratio of each configuration in each half, from sums of the blocks."""
    n, blocks = len(excess), member.shape[1]
    starts = np.arange(blocks) * (n // blocks) + np.minimum(np.arange(blocks), n % blocks)
    center = excess.mean(axis=0)
    x = excess - center
    count = (member @ np.diff(starts, append=n))[:, None]
    mean = member @ np.add.reduceat(x, starts, axis=0) / count
    squares = member @ np.add.reduceat(x * x, starts, axis=0)
    variance = (squares - count * mean * mean) / (count - 1.0)
    # What rounding leaves of a half in which nothing happens is no dispersion.
    alive = variance > np.maximum(
        1e-12 * squares / count, (1e-14 * np.abs(excess).max(axis=0)) ** 2
    )
    ratios: F64 = np.where(alive, (mean + center) / np.sqrt(np.where(alive, variance, 1.0)), 0.0)
    return ratios
