"""The mean of a time series with its p-value and interval, by a studentized block bootstrap."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.statistics.block_bootstrap import (
    Blocks,
    draw_blocks,
    sums_of,
)
from reinforcestrategycreator_pipeline.statistics.block_length import optimal_block_length

_AT_ONCE = 1_000_000  # times whose blocks are held in memory together


class MeanInterval(NamedTuple):
    """A mean, and what the bootstrap says about it.

    Attributes
    ----------
    mean, error : float
        The mean and its standard error, in the unit of the data.
    low, high : float
        Ends of the two-sided confidence interval.
    p : float
        One-sided p-value of a mean above 0, in (0, 1].
    mean_block : float
        Mean length of a block, in observations.
    """

    mean: float
    error: float
    low: float
    high: float
    p: float
    mean_block: float


def bootstrap_mean(
    values: Annotated[F64, "n"],
    rng: np.random.Generator,
    draws: int = 1999,
    level: float = 0.95,
    mean_block: float | None = None,
) -> MeanInterval | None:
    """Estimate the mean of excess returns that may be dependent, skewed and heteroskedastic.

    The stationary bootstrap draws t* = (mean* - mean) / error*, and the p-value is (1 + #{t* >= t})
    / (1 + draws) with t = mean / error. The error of the data is the exact standard deviation of
    the bootstrapped mean, from autocovariances; error* is the root of the sum of (block sum -
    length x mean*)^2 over the blocks of a draw, over n.

    It is studentized because that alone keeps its level for skewed returns: with 100 independent
    observations of skewness -3.8, a test of 5% by the bootstrap's percentiles rejects a true null
    in 8%, by mean* - mean without an error or by Newey and West's errors in 10%, and this one in 5%
    (3,000 samples). With AR(.3) returns it rejects 6% at 250 observations and 5% at 1,000.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite observations in order of time, such as the paired difference of two returns per bar,
        n >= 3.
    rng : numpy.random.Generator
        Source of the draws.
    draws : int
        Number of draws, >= 1.
    level : float
        Coverage of the confidence interval, in (0, 1), equal in both tails.
    mean_block : float, optional
        Mean length of a block, >= 1; by default `optimal_block_length`.

    Returns
    -------
    MeanInterval or None
        None if the values have no dispersion.

    References
    ----------
    Politis and Romano (1994), The Stationary Bootstrap, Journal of the American Statistical
    Association 89, lemma 1, for the error of the data. Götze and Künsch (1996), Second-order
    Correctness of the Blockwise Bootstrap for Stationary Observations, Annals of Statistics 24(5),
    for error*.
    """
    n, mean = len(values), float(values.mean())
    x = values - mean
    if not np.abs(x).max() > 1e-14 * np.abs(values).max():
        return None
    length = optimal_block_length(values) if mean_block is None else mean_block
    error = natural_error(x, length)
    most = max(1, _AT_ONCE // n)
    parts = [min(most, draws - done) for done in range(0, draws, most)]
    t = np.concatenate([_studentized(x, draw_blocks(rng, n, length, k), error) for k in parts])
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(t, [tail, 100.0 - tail]).tolist()
    p = (1 + int((t >= mean / error).sum())) / (1 + draws)
    return MeanInterval(mean, error, mean - high * error, mean - low * error, p, length)


def _studentized(x: F64, blocks: Blocks, error: float) -> F64:
    """Return the studentized mean of each draw of centered values."""
    sums = sums_of(x, blocks)
    means = np.bincount(blocks.draw, sums, minlength=blocks.draws) / blocks.n
    squares = (sums - blocks.length * means[blocks.draw]) ** 2
    errors = np.sqrt(np.bincount(blocks.draw, squares, minlength=blocks.draws)) / blocks.n
    # A single block that holds all times has the mean of the data, and no error.
    some = errors > 1e-12 * error
    t: F64 = np.where(some, means, 0.0) / np.where(some, errors, 1.0)
    return t


def natural_error(centered: Annotated[F64, "n"], mean_block: float) -> float:
    """Return the standard deviation that the stationary bootstrap gives the mean, without drawing.

    It is the root of (R(0) + 2 sum_k [(1 - k/n) (1 - p)^k + (k/n) (1 - p)^(n - k)] R(k)) / n, with
    autocovariances R of divisor n and p = 1 / `mean_block`.
    """
    n = len(centered)
    spectrum = np.fft.rfft(centered, 2 * n)
    covariances = np.fft.irfft(np.abs(spectrum) ** 2)[:n] / n
    k = np.arange(1, n)
    stay = 1.0 - 1.0 / mean_block
    weights = (1.0 - k / n) * stay**k + k / n * stay ** (n - k)
    return math.sqrt(float(covariances[0] + 2.0 * weights @ covariances[1:]) / n)
