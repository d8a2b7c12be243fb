"""Newey and West's standard error of a mean and of a regression on one benchmark."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64


class Estimate(NamedTuple):
    """An estimate, its standard error, and the probability of more under a true value of 0.

    Attributes
    ----------
    value, error : float
        Estimate and its standard error, in the unit of the data; the error is > 0.
    p : float
        One-sided p-value of ``value > 0``, from the normal distribution, 0 to 1.
    """

    value: float
    error: float
    p: float


class Regression(NamedTuple):
    """Intercept and slope of a regression on one variable; see `regress`."""

    alpha: Estimate
    beta: Estimate


def bandwidth(n: int) -> int:
    """Return the number of lags for n observations, floor(4 (n / 100)^(2/9)).

    References
    ----------
    Newey and West (1994), Automatic Lag Selection in Covariance Matrix Estimation, Review of
    Economic Studies 61(4), with the rate of the Bartlett kernel and the constant of its first step.
    """
    return min(int(4.0 * (n / 100.0) ** (2.0 / 9.0)), n - 1)


def mean_of(values: Annotated[F64, "n"]) -> Estimate | None:
    """Estimate a mean whose observations may be autocorrelated and heteroskedastic.

    The standard error is that of Newey and West (1987) with Bartlett weights 1 - l / (L + 1), L by
    `bandwidth`, without a correction for small samples, as in statsmodels' ``cov_type="HAC"``.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite observations in order of time, n >= 2.

    Returns
    -------
    Estimate or None
        None if the values have no dispersion.
    """
    return _estimates(values, np.ones((len(values), 1)))[0]


def regress(values: Annotated[F64, "n"], on: Annotated[F64, "n"]) -> Regression | None:
    """Regress returns on a benchmark's by least squares, with the standard errors of `mean_of`.

    Parameters
    ----------
    values, on : ndarray of float64, shape (n,)
        Finite returns per bar of the policy and of the benchmark, n >= 3.

    Returns
    -------
    Regression or None
        None if the benchmark, or what it leaves unexplained, has no dispersion.
    """
    if not np.ptp(on) > 0.0:
        return None
    alpha, beta = _estimates(values, np.column_stack([np.ones(len(on)), on]))
    return None if alpha is None or beta is None else Regression(alpha, beta)


def _estimates(y: F64, x: F64) -> list[Estimate | None]:
    """Return the least-squares coefficients of the columns of `x`, with their errors."""
    n = len(y)
    bread = np.linalg.inv(x.T @ x)
    coefficients = bread @ (x.T @ y)
    scores = x * (y - x @ coefficients)[:, None]
    lags = bandwidth(n)
    meat = scores.T @ scores
    for lag in range(1, lags + 1):
        cross = scores[lag:].T @ scores[:-lag]
        meat += (1.0 - lag / (lags + 1.0)) * (cross + cross.T)
    variances = np.diag(bread @ meat @ bread)
    # Rounding of float64 gives constant values a dispersion, by which nothing may be divided.
    least = (1e-14 * max(float(np.abs(y).max()), 1e-300)) ** 2 / n
    found: list[Estimate | None] = []
    for value, variance in zip(coefficients.tolist(), variances.tolist(), strict=True):
        if not variance > least:
            found.append(None)
            continue
        error = math.sqrt(variance)
        found.append(Estimate(value, error, 0.5 * math.erfc(value / error / math.sqrt(2.0))))
    return found
