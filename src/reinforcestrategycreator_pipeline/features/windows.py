"""Statistics over moving windows that depend only on the bars of the window.

The rounding of a running sum or a recursive mean depends on the whole past, and so does the value
of a recursive mean. Here a window of `n` bars is assembled from blocks of 1, 2, 4, 8, ... bars,
each made of two halves. The result takes log2(n) vector operations, rounds like a pairwise sum, and
is bit-identical wherever the series begins or ends. A bar-by-bar caller that keeps the last `n`
bars therefore gets exactly the numbers of the batch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from reinforcestrategycreator_pipeline.features.base import FloatArray

Merge = Callable[[FloatArray, FloatArray, int, int], FloatArray]
"""``merge(newer, older, n_newer, n_older)`` combines the statistics of two adjacent blocks."""

_CHUNK = 16_384  # windows at once, to limit memory


def _assemble(single: FloatArray, windows: Sequence[int], merge: Merge) -> list[FloatArray]:
    """Return the statistics of every full window, for each of `windows`.

    `single` holds the statistics of single bars, with time along the last axis. Element i of a
    result belongs to the window that ends at bar ``i + window - 1``. A window longer than the
    series gives an empty result.
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
    """Return the older block's fraction of the weight in the mean of both."""

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
    """Return the moving means of `x`, one array for each of `windows`.

    The mean of equal values is exactly that value.

    Parameters
    ----------
    x : ndarray of shape (..., T)
        Finite values, with time along the last axis.
    windows : sequence of int
        Numbers of values in a window, >= 1. Several windows share work.
    decay : float
        Decay of the weights per bar, in [0, 1]. 1 gives the simple mean; otherwise a value that is
        `i` bars old has a weight proportional to ``decay**i``, and the weights sum to 1: an
        exponential mean that is cut off after the window.

    Returns
    -------
    list of ndarray of shape (..., T)
        Means, NaN in the first ``window - 1`` rows.
    """

    def merge(newer: FloatArray, older: FloatArray, n_newer: int, n_older: int) -> FloatArray:
        mean = older - newer
        mean *= _older_share(n_newer, n_older, decay)
        mean += newer
        return mean

    return [_pad(mean, x.shape[-1]) for mean in _assemble(x, windows, merge)]


def moving_mean(x: FloatArray, window: int, decay: float = 1.0) -> FloatArray:
    """Return `moving_means` for a single window."""
    return moving_means(x, (window,), decay)[0]


def moving_mean_and_deviation(x: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Return mean and population standard deviation (ddof 0) of the last `window` values.

    Blocks are merged pairwise as in Chan, Golub and LeVeque 1983 ("Algorithms for computing the
    sample variance", The American Statistician 37(3)): no cancellation occurs at high price levels,
    and the deviation of equal values is exactly 0.

    Parameters
    ----------
    x : ndarray of shape (T,)
        Finite values in order of time.
    window : int
        Number of values in a window, >= 1.

    Returns
    -------
    mean, deviation : ndarray of shape (T,)
        Mean and deviation, NaN in the first ``window - 1`` rows.
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


def in_chunks(x: FloatArray, window: int) -> Iterator[tuple[slice, FloatArray]]:
    """Yield the full windows of `x`, some of them at a time.

    Parameters
    ----------
    x : ndarray of shape (T,)
        Values in order of time.
    window : int
        Number of values in a window, >= 1; if it exceeds T, there are no windows.

    Yields
    ------
    part : slice
        Which windows: window i ends at row ``i + window - 1``.
    rows : ndarray of shape (window, m)
        A copy of their values: row j holds each window's value j, the oldest first. Computation
        along the first axis is bit-identical for a window wherever it lies, by `sum_rows` for sums.
    """
    if window > len(x):
        return
    windows = np.lib.stride_tricks.sliding_window_view(x, window).T
    for start in range(0, windows.shape[1], _CHUNK):
        part = slice(start, min(start + _CHUNK, windows.shape[1]))
        yield part, np.array(windows[:, part], order="C")


def over_windows(
    statistic: Callable[..., FloatArray], window: int, *series: FloatArray
) -> FloatArray:
    """Return a statistic of every full window of one or more series.

    Parameters
    ----------
    statistic : callable
        Function of one array for each series, of shape (window, m) as from `in_chunks`, that
        returns the m values, shape (m,). It must treat windows alike wherever they lie: elementwise
        operations along the first axis, and `sum_rows`.
    window : int
        Number of values in a window, >= 1.
    *series : ndarray of shape (T,)
        Values in order of time.

    Returns
    -------
    ndarray of shape (T,)
        Values by the last row of the window, NaN in the first ``window - 1`` rows.
    """
    out = np.full(len(series[0]), np.nan)
    for parts in zip(*(in_chunks(x, window) for x in series), strict=True):
        part = parts[0][0]
        rows = slice(part.start + window - 1, part.stop + window - 1)
        out[rows] = statistic(*(values for _, values in parts))
    return out


def sum_rows(rows: FloatArray) -> FloatArray:
    """Return the sum over the first axis by repeated halving.

    NumPy's sum along an axis may order its terms by the array's shape, so the same window could
    round differently when there are fewer windows.
    """
    while len(rows) > 1:
        half = len(rows) // 2
        pairs = rows[:half] + rows[half : 2 * half]
        if len(rows) % 2:
            pairs[0] += rows[-1]
        rows = pairs
    total: FloatArray = rows[0]
    return total


def exponential_window(decay: float, tail: float) -> int:
    """Return the number of bars after which only `tail` of an exponential mean's weight is left."""
    if decay == 0.0:
        return 1
    return max(1, math.ceil(math.log(tail) / math.log(decay)))


def exponential_mean(x: FloatArray, decay: float, tail: float) -> FloatArray:
    """Return the exponential mean over `exponential_window(decay, tail)` bars, shaped like `x`."""
    return moving_mean(x, exponential_window(decay, tail), decay)


def ema_decay(period: int) -> float:
    """Return the decay of an exponential moving average of `period` bars, alpha = 2 / (n + 1)."""
    return (period - 1) / (period + 1)


def wilder_decay(period: int) -> float:
    """Return the decay of Wilder's smoothing of `period` bars, alpha = 1 / n."""
    return (period - 1) / period


def late(x: FloatArray, rows: int = 1) -> FloatArray:
    """Return `x` with `rows` NaN in front, to align values that start `rows` bars late."""
    return np.concatenate([np.full((*x.shape[:-1], rows), np.nan), x], axis=-1)


def stack(columns: Sequence[FloatArray]) -> FloatArray:
    """Return columns of shape (T,) side by side, (T, k)."""
    return np.stack(columns, axis=1)
