"""Dynamic programming on an exogenous market: the best that was possible after costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.envs.grid import follow

F64 = NDArray[np.float64]


def best_path(log_growth: F64, start: int) -> tuple[float, NDArray[np.int64]]:
    """Return the largest attainable log growth and the targets that attain it.

    Bellman's backward recursion with perfect foresight, exact because equity compounds and orders
    do not move prices: V_t(p) = max_q [g_t(p, q) + V_{t+1}(q)], V_n = 0. An upper bound for any
    policy on the same grid; no causal policy can be expected to reach it on real data.

    Parameters
    ----------
    log_growth : ndarray, shape (n, k, k)
        g_t(p, q): log growth of decision t, from the previous target p to the target q.
    start : int
        Index of the target held before the first decision.

    Returns
    -------
    value : float
        The sum of log growth along the best path.
    targets : ndarray of int, shape (n,)
        Index of the target of every decision; ties go to the lowest index.
    """
    n, k, _ = log_growth.shape
    value = np.zeros(k)
    choice = np.empty((n, k), dtype=np.int64)
    for t in range(n - 1, -1, -1):
        total = log_growth[t] + value
        choice[t] = total.argmax(axis=1)
        value = total.max(axis=1)
    return float(value[start]), follow(choice, start)
