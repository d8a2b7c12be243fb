"""Statistics over moving windows that depend on the bars of the window and on nothing else.

A running sum or a recursive mean carries its whole past in its rounding, and a recursive mean also
in its value. Here the window of `n` bars is put together from blocks of 1, 2, 4, 8, ... bars, each
made of two halves, so that the result costs log2(n) vector operations, rounds like a pairwise sum,
and has the same bits wherever the series begins or ends. A bar-by-bar caller that keeps the last
`n` bars therefore gets the very numbers of the batch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from reinforcestrategycreator_pipeline.features.base import FloatArray

Merge = Callable[[FloatArray, FloatArray, int, int], FloatArray]
"""``merge(newer, older, n_newer, n_older)`` joins the statistics of two neighbouring blocks."""


def _assemble(single: FloatArray, windows: Sequence[int], merge: Merge) -> list[FloatArray]:
    """Return, for each of `windows`, the statistics of every full window.

    `single` holds the statistics of blocks of one bar, time along the last axis; element i of a
    result is for the window that ends at bar ``i + window - 1``. A window longer than the series
    has an empty result.
    """
    n_rows = single.shape[-1]
    longest = max((w for w in windows if w <= n_rows), default=0)
    totals = [single[..., :0]] * len(windows)
    sizes = [0] * len(windows)
    block, size = single, 1
    while size <= longest:
        for i, window in enumerate(windows):
            if window & size and window <= n_rows:
                if sizes[i] == 0:
                    totals[i] = block
                else:
                    older = block[..., : block.shape[-1] - sizes[i]]
                    totals[i] = merge(totals[i][..., size:], older, sizes[i], size)
                sizes[i] += size
        if 2 * size <= longest:
            block = merge(block[..., size:], block[..., :-size], size, size)
        size *= 2
    return totals


@functools.lru_cache(maxsize=4096)
def _older_share(n_newer: int, n_older: int, decay: float) -> float:
    """Return the older block's share of the weight in the mean of both."""

    def weight(n: int) -> float:
        if decay == 1.0:
            return float(n)
        return 1.0 if decay == 0.0 else -math.expm1(n * math.log(decay)) / (1.0 - decay)

    aged = decay**n_newer * weight(n_older)
    return aged / (weight(n_newer) + aged)


def _pad(valid: FloatArray, n_rows: int) -> FloatArray:
    out = np.full((*valid.shape[:-1], n_rows), np.nan)
    out[..., n_rows - valid.shape[-1] :] = valid
    return out


def moving_means(x: FloatArray, windows: Sequence[int], decay: float = 1.0) -> list[FloatArray]:
    """Return, for each of `windows`, the mean of the last values.

    A window of equal values gives that value exactly.

    Parameters
    ----------
    x : ndarray of shape (..., T)
        Finite values.
    windows : sequence of int
        Numbers of values in a window, >= 1. Several share their work.
    decay : float
        In [0, 1]: 1 is the simple mean; with less, a value that is `i` bars old weighs
        ``decay**i``: an exponential mean that is cut off after the window, its weights summing
        to 1.

    Returns
    -------
    list of ndarray of shape (..., T)
        NaN in the first ``window - 1`` rows.
    """

    def merge(newer: FloatArray, older: FloatArray, n_newer: int, n_older: int) -> FloatArray:
        mean = older - newer
        mean *= _older_share(n_newer, n_older, decay)
        mean += newer
        return mean

    return [_pad(mean, x.shape[-1]) for mean in _assemble(x, windows, merge)]


def moving_mean(x: FloatArray, window: int, decay: float = 1.0) -> FloatArray:
    """Return the one of `moving_means` for one window."""
    return moving_means(x, (window,), decay)[0]


def moving_mean_and_deviation(x: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Return mean and population standard deviation (ddof 0) of the last `window` values.

    Pairwise merging of Chan, Golub and LeVeque 1983 ("Algorithms for computing the sample
    variance", The American Statistician 37(3)): no cancellation at high price levels, and a window
    of equal values has a deviation of exactly 0.

    Parameters
    ----------
    x : ndarray of shape (T,)
        Finite values.
    window : int
        Number of values in a window, >= 1.

    Returns
    -------
    mean, deviation : ndarray of shape (T,)
        NaN in the first ``window - 1`` rows.
    """

    def merge(newer: FloatArray, older: FloatArray, n_newer: int, n_older: int) -> FloatArray:
        n = n_newer + n_older
        delta = older[0] - newer[0]
        out = newer + older
        out[0] = newer[0] + delta * (n_older / n)
        out[1] += delta * delta * (n_newer * n_older / n)
        return out

    mean, squares = _assemble(np.stack([x, np.zeros_like(x)]), (window,), merge)[0]
    return _pad(mean, len(x)), _pad(np.sqrt(squares / window), len(x))


def exponential_window(decay: float, tail: float) -> int:
    """Return how many bars an exponential mean needs until only `tail` of its weight is cut off."""
    if decay == 0.0:
        return 1
    return max(1, math.ceil(math.log(tail) / math.log(decay)))


def exponential_mean(x: FloatArray, decay: float, tail: float) -> FloatArray:
    """Return the exponential mean over `exponential_window(decay, tail)` bars, shape as `x`."""
    return moving_mean(x, exponential_window(decay, tail), decay)


def ema_decay(period: int) -> float:
    """Return the decay of an exponential moving average of `period` bars, alpha = 2 / (n + 1)."""
    return (period - 1) / (period + 1)


def wilder_decay(period: int) -> float:
    """Return the decay of Wilder's smoothing of `period` bars, alpha = 1 / n."""
    return (period - 1) / period


def late(x: FloatArray, rows: int = 1) -> FloatArray:
    """Return `x` with `rows` NaN put in front: aligns what began `rows` bars late."""
    return np.concatenate([np.full((*x.shape[:-1], rows), np.nan), x], axis=-1)


def stack(columns: Sequence[FloatArray]) -> FloatArray:
    """Return columns of shape (T,) side by side, (T, k)."""
    return np.stack(columns, axis=1)
