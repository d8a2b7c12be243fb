"""The stationary bootstrap: resampling of a time series in blocks of random length."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints


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
