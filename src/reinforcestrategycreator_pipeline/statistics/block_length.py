"""The mean length of the stationary bootstrap's blocks, from the autocorrelation of the data."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64


def optimal_block_length(values: Annotated[F64, "n"]) -> float:
    """Return the mean block length that minimizes the error of the bootstrapped variance of a mean.

    It is (2 G^2 / D)^(1/3) n^(1/3), D = 2 g^2, with G = sum w(k / M) |k| R(k) and
    g = sum w(k / M) R(k) over the lags -M to M, autocovariances R of divisor n and the flat-top
    weights w(t) = min(1, 2 (1 - |t|)). M is twice the first lag >= 1 from which K autocorrelations
    in a row are within 2 sqrt(log10(n) / n) of 0, and ceil(sqrt n) + K if there is none, with
    K = max(5, floor(log10 n)).

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite observations in order of time, n >= 3.

    Returns
    -------
    float
        Mean length in observations, from 1 to ceil(min(3 sqrt(n), n / 3)); 1 for values without
        dispersion. Independent values give about 1.

    References
    ----------
    Politis and White (2004), Automatic Block-Length Selection for the Dependent Bootstrap,
    Econometric Reviews 23(1). Patton, Politis and White (2009), Correction to the same,
    Econometric Reviews 28(4), for D. Details are those of Patton's program and of
    ``arch.bootstrap.optimal_block_length``, column ``stationary``.
    """
    n = len(values)
    x = values - values.mean()
    if not np.abs(x).max() > 1e-14 * np.abs(values).max():
        return 1.0
    run = max(5, int(math.log10(n)))
    longest = min(math.ceil(math.sqrt(n)) + run, n - 2)
    products = np.array([x[k:] @ x[: n - k] for k in range(longest + 1)])
    squares = np.concatenate([[0.0], np.cumsum(x * x)])
    # The squares of one pair fewer than the products have, as in arch.
    lags = np.arange(longest + 1)
    scale = np.sqrt((squares[-1] - squares[lags + 1]) * squares[n - lags - 1])
    small = np.abs(products) < 2.0 * math.sqrt(math.log10(n) / n) * scale
    first = _first_run(small[:longest].tolist(), run)
    bandwidth = longest if first is None else min(2 * max(first, 1), longest)
    k = np.arange(1, bandwidth + 1)
    covariances = np.minimum(1.0, 2.0 * (1.0 - k / bandwidth)) * products[1 : bandwidth + 1] / n
    slope = 2.0 * float(k @ covariances)
    variance = products[0] / n + 2.0 * float(covariances.sum())
    most = float(math.ceil(min(3.0 * math.sqrt(n), n / 3.0)))
    if variance == 0.0:
        return most
    length = math.pow((slope / float(variance)) ** 2 * n, 1.0 / 3.0)
    return min(max(1.0, length), most)


def _first_run(small: list[bool], length: int) -> int | None:
    """Return where the first run of so many true values begins."""
    run = 0
    for i, value in enumerate(small):
        run = run + 1 if value else 0
        if run == length:
            return i - length + 1
    return None
