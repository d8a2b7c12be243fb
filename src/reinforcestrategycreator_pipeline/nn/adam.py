"""Adam (Kingma & Ba 2015, arXiv:1412.6980), algorithm 1, on flat buffers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Measured: one block is fastest up to some 64,000 parameters, where the calls that blocks cost
# outweigh the cache misses they save; above, a block's five arrays stay in the L3 cache.
BLOCK = 65_536
# Moments of dead units decay into denormals, which slow the processor down many times. 0.9**100
# is 2.7e-5, so that nothing above 1e-30 gets near float32's 1.2e-38 between two flushes.
FLUSH_BELOW = 1e-30
FLUSH_INTERVAL = 100


def adam_step(
    parameters: NDArray[Any],
    gradients: NDArray[Any],
    m: NDArray[Any],
    v: NDArray[Any],
    scratch: NDArray[Any],
    *,
    t: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """Apply one update in place.

        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        w <- w - learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Epsilon is added to the square root of the bias-corrected second moment, as in the paper's
    algorithm 1 (not "epsilon hat" of its section 2). The bias corrections are computed in float64.

    Parameters
    ----------
    parameters, gradients, m, v : ndarray, shape (P,)
        Flat buffers of one dtype; all but `gradients` are changed.
    scratch : ndarray, shape (>= min(P, BLOCK),)
        Of the same dtype; overwritten.
    t : int
        The number of this update, from 1.
    learning_rate, beta1, beta2, epsilon : float
        The algorithm's alpha, beta1, beta2 and epsilon.
    """
    # sqrt(v / c) + epsilon = (sqrt(v) + epsilon sqrt(c)) / sqrt(c): one pass less over memory.
    root_correction = math.sqrt(1.0 - beta2**t)
    step = learning_rate * root_correction / (1.0 - beta1**t)
    shifted_epsilon = epsilon * root_correction
    for start in range(0, parameters.size, BLOCK):
        block = slice(start, start + BLOCK)
        g, m_b, v_b, w = gradients[block], m[block], v[block], parameters[block]
        s = scratch[: g.size]
        m_b *= beta1
        np.multiply(g, 1.0 - beta1, out=s)
        m_b += s
        v_b *= beta2
        np.multiply(g, g, out=s)
        s *= 1.0 - beta2
        v_b += s
        np.sqrt(v_b, out=s)
        s += shifted_epsilon
        np.divide(m_b, s, out=s)
        s *= step
        w -= s
    if t % FLUSH_INTERVAL == 0:
        m[np.abs(m) < FLUSH_BELOW] = 0.0
        v[v < FLUSH_BELOW] = 0.0
