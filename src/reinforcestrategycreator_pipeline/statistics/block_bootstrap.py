"""The stationary bootstrap: resampling of a time series in blocks of random length."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints


def block_counts(rng: np.random.Generator, n: int, mean_block: float) -> Annotated[Ints, "{n}"]:
    """Return how often each of n consecutive times is drawn (Politis & Romano 1994).

    Blocks begin anywhere with equal probability, have geometric lengths, and wrap around the end;
    they are drawn until there are n times.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the draws.
    n : int
        Number of times, >= 1.
    mean_block : float
        Mean length of a block, >= 1.

    Returns
    -------
    ndarray of int64, shape (n,)
        Counts, with the sum n.
    """
    counts = np.zeros(n, dtype=np.int64)
    left = n
    while left:
        start, length = int(rng.integers(n)), min(int(rng.geometric(1.0 / mean_block)), left)
        left -= length
        counts[start : start + length] += 1
        if start + length > n:
            counts[: start + length - n] += 1
    return counts


class Blocks(NamedTuple):
    """The blocks of many draws, draw after draw.

    Attributes
    ----------
    draw : ndarray of int64, shape (blocks,)
        The draw of each block, not decreasing.
    start, length : ndarray of int64, shape (blocks,)
        First time of each block, and its number of times, >= 1; it wraps around the end. The
        lengths of a draw have the sum `n`.
    n, draws : int
        Number of times, and of draws.
    """

    draw: Ints
    start: Ints
    length: Ints
    n: int
    draws: int


def draw_blocks(rng: np.random.Generator, n: int, mean_block: float, draws: int) -> Blocks:
    """Draw n times in blocks, as `block_counts` does, many times over.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the draws. Its numbers are not those of `block_counts`.
    n : int
        Number of times, >= 1.
    mean_block : float
        Mean length of a block, >= 1.
    draws : int
        Number of draws, >= 1.

    Returns
    -------
    Blocks
        About draws * n / mean_block blocks.
    """
    total = draws * n
    begins = np.zeros(total, dtype=np.bool_)
    begins[::n] = True  # which cuts the block before it: the geometric law has no memory
    last = 0
    while last < total:
        size = int((total - last) / mean_block * 1.05) + 100
        places = last + np.cumsum(rng.geometric(1.0 / mean_block, size))
        begins[places[places < total]] = True
        last = int(places[-1])
    first = np.flatnonzero(begins)
    start = rng.integers(n, size=len(first))
    return Blocks(first // n, start, np.diff(first, append=total), n, draws)


def sums_of(values: Annotated[F64, "n"], blocks: Blocks) -> F64:
    """Return the sum of the values in each block, shape (blocks,)."""
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values]))])
    found: F64 = sums[blocks.start + blocks.length] - sums[blocks.start]
    return found


def counts_of(blocks: Blocks) -> Annotated[F64, "{blocks.draws} {blocks.n}"]:
    """Return how often each time is in each draw: the mean of draw i is counts[i] @ values / n."""
    width = 2 * blocks.n
    end = blocks.start + blocks.length
    row = blocks.draw * width
    steps = np.bincount(row + blocks.start, minlength=blocks.draws * width).astype(np.float64)
    inside = end < width
    steps -= np.bincount((row + end)[inside], minlength=blocks.draws * width)
    twice = np.cumsum(steps.reshape(blocks.draws, width), axis=1)
    found: F64 = twice[:, : blocks.n] + twice[:, blocks.n :]
    return found


def times_of(blocks: Blocks) -> Annotated[Ints, "{blocks.draws} {blocks.n}"]:
    """Return the times of each draw in its order: draw i of the values is values[times[i]]."""
    begins = np.cumsum(blocks.length) - blocks.length
    places = np.arange(blocks.draws * blocks.n)
    found: Ints = (np.repeat(blocks.start - begins, blocks.length) + places) % blocks.n
    return found.reshape(blocks.draws, blocks.n)
