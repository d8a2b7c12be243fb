"""The information in a signal: its rank correlation with what follows, and its persistence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.statistics.newey_west import Estimate, mean_of


def autocorrelations(values: Annotated[F64, "n"], lags: Sequence[int]) -> list[float]:
    """Return the sample autocorrelations of a series, sum over n less lag of n terms.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite values in order of time.
    lags : sequence of int
        Lags, >= 1.

    Returns
    -------
    list of float
        For each lag, -1 to 1; NaN where n is not larger than the lag, or nothing varies.
    """
    x = values - values.mean() if len(values) else values
    total = float(x @ x)
    varies = total > 1e-24 * max(1.0, float(np.abs(values).max(initial=0.0)) ** 2)
    return [
        float(x[lag:] @ x[:-lag]) / total if varies and len(x) > lag else float("nan")
        for lag in lags
    ]


def ranks(values: Annotated[F64, "n"]) -> Annotated[F64, "n"]:
    """Return the ranks of values from 1 on; equal values share the mean of theirs."""
    order = np.sort(values)
    below = np.searchsorted(order, values, side="left")
    upto = np.searchsorted(order, values, side="right")
    return (below + upto + 1) / 2.0


def rank_correlation(x: Annotated[F64, "n"], y: Annotated[F64, "n"]) -> Estimate | None:
    """Estimate Spearman's rank correlation of two series in time: the information coefficient.

    The standard error is that of Newey and West for the mean of the correlation's influence
    function, ``a b - r (a^2 + b^2) / 2`` with standardized ranks a and b: both series may be
    autocorrelated. Its p-value is one-sided, of a correlation above 0.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Finite values in order of time, n >= 3.

    Returns
    -------
    Estimate or None
        None if one of them does not vary.
    """
    if len(x) < 3 or not (np.ptp(x) > 0.0 and np.ptp(y) > 0.0):
        return None
    a, b = (_standardized(ranks(values)) for values in (x, y))
    r = float((a * b).mean())
    # The second term has the mean r, which is put back.
    return mean_of(a * b - 0.5 * r * (a * a + b * b) + r)


def _standardized(values: F64) -> F64:
    centered = values - values.mean()
    scaled: F64 = centered / np.sqrt(np.square(centered).mean())
    return scaled
