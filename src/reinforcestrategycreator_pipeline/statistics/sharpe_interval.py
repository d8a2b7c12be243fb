"""The Sharpe ratio as a mean, by which means' intervals hold for it, and for differences of two."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64


def sharpe_terms(returns: Annotated[F64, "n"]) -> Annotated[F64, "n"] | None:
    """Return a series whose mean is the Sharpe ratio, and whose noise is that of the ratio.

    It is S + z - S (z^2 - 1) / 2 with the standardized returns z, times sqrt((n - 1) / n): the
    ratio and its influence function. `bootstrap_mean` of the terms gives the interval of the ratio;
    of the difference of two series' terms, that of the difference of their ratios, which may be
    dependent.

    Parameters
    ----------
    returns : ndarray of float64, shape (n,)
        Finite returns per bar in excess of what is free, n >= 2.

    Returns
    -------
    ndarray of float64, shape (n,), or None
        Terms per bar. Their mean is mean(returns) / std(returns), with divisor n - 1, not
        annualized. None if the returns have no dispersion.

    References
    ----------
    Ledoit and Wolf (2008), Robust Performance Hypothesis Testing with the Sharpe Ratio, Journal of
    Empirical Finance 15(5), for the difference by the delta method and blocks. With a mean block of
    1, the standard error is that of Mertens (2002), Comments on Variance of the IID Estimator in Lo
    (2002): sqrt((1 + S^2 / 2 - S skewness + S^2 (kurtosis - 3) / 4) / n).
    """
    n, mean = len(returns), float(returns.mean())
    deviation = float(returns.std())
    if not deviation > 1e-14:
        return None
    z = (returns - mean) / deviation
    ratio = mean / deviation
    terms: F64 = math.sqrt((n - 1) / n) * (ratio + z - 0.5 * ratio * (np.square(z) - 1.0))
    return terms
