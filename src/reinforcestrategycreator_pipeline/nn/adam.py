"""Adam (Kingma & Ba 2015, arXiv:1412.6980), algorithm 1, and AdamW, on flat buffers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from reinforcestrategycreator_pipeline.arrays import Array

# Measured: up to about 64,000 parameters, one block is fastest, because extra calls cost more than
# the cache misses they save; above, the five arrays of one block stay in the L3 cache.
BLOCK = 65_536
# Moments of dead units decay to denormals, which are many times slower to compute with.
FLUSH_BELOW = 1e-30
FLUSH_INTERVAL = 100


@lru_cache(maxsize=16)
def flush_interval(beta: float) -> int:
    """Return the number of updates between two flushes of tiny moments.

    Short enough that a moment of FLUSH_BELOW does not decay to float32's smallest normal number,
    1.2e-38, in between: a factor above 1e-8. 0.9^100 is 2.7e-5; 0.5^26 is 1.5e-8.
    """
    if beta <= 0.0:
        return FLUSH_INTERVAL
    return max(1, min(FLUSH_INTERVAL, int(math.log(2e-8) / math.log(beta))))


def adam_step(
    parameters: Annotated[Array, "size"],
    gradients: Annotated[Array, "size"],
    m: Annotated[Array, "size"],
    v: Annotated[Array, "size"],
    scratch: Array,
    numbers: Coefficients | Sequence[Any],
) -> None:
    """Apply one update of Adam in place.

        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        w <- w - learning_rate * weight_decay * w
               - learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Epsilon is added to the square root of the bias-corrected second moment, as in the paper's
    algorithm 1 (not the "epsilon hat" of its section 2). Bias corrections are computed in float64.
    The decay is decoupled (AdamW: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2).

    Parameters
    ----------
    parameters, gradients, m, v : ndarray, shape (P,)
        Weights, gradients, and first and second moments, flat, of one dtype. All but `gradients`
        are updated in place.
    scratch : ndarray, shape (>= min(P, BLOCK),)
        Work space of the same dtype; overwritten.
    numbers : Coefficients
        Coefficients of this update, or the result of `CoefficientArrays.of`.

    See Also
    --------
    flush : Call it after each update.

    Examples
    --------
    At t = 1 the corrected moments are g and g^2, whatever the betas. With a learning rate of 0.1
    and an epsilon of 0.5, w moves by -0.1 g / (|g| + 0.5): by -0.08 for g = 2, by 0.05 for -0.5.

    >>> w, g = np.array([1.0, 1.0, 1.0]), np.array([2.0, -0.5, 0.0])
    >>> m, v, scratch = np.zeros(3), np.zeros(3), np.empty(3)
    >>> numbers = Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=0.5).at(t=1)
    >>> adam_step(w, g, m, v, scratch, numbers)
    >>> w, m
    (array([0.92, 1.05, 1.  ]), array([ 0.2 , -0.05,  0.  ]))
    """
    size = parameters.size
    if size <= BLOCK:
        _apply(parameters, gradients, m, v, scratch[:size], numbers)
        return
    for start in range(0, size, BLOCK):
        block = slice(start, start + BLOCK)
        g = gradients[block]
        _apply(parameters[block], g, m[block], v[block], scratch[: g.size], numbers)


def adam_step_of_agents(
    parameters: Annotated[Array, "agents size"],
    gradients: Annotated[Array, "agents size"],
    m: Annotated[Array, "agents size"],
    v: Annotated[Array, "agents size"],
    scratch: Array,
    numbers: Sequence[Coefficients],
) -> None:
    """Apply one update of each of K agents in place, bit-identical to `adam_step`.

    Parameters
    ----------
    parameters, gradients, m, v : ndarray, shape (K, P)
        As in `adam_step`, one row per agent; contiguous.
    scratch : ndarray, shape (>= min(K P, max(P, BLOCK)),)
        Work space of the same dtype; overwritten.
    numbers : sequence of Coefficients
        Coefficients of this update, one entry per agent.
    """
    arrays = [parameters, gradients, m, v]
    k, size = parameters.shape
    if numbers.count(numbers[0]) == k:
        w, g, m_b, v_b = (a.reshape(-1) for a in arrays)
        adam_step(w, g, m_b, v_b, scratch, numbers[0])
        return
    each = [n._replace(keep=1.0) if n.keep is None else n for n in numbers]
    columns = np.array(each, dtype=parameters.dtype).T[:, :, None]
    rows = max(1, BLOCK // size)
    for start in range(0, k, rows):
        w, g, m_b, v_b = (a[start : start + rows] for a in arrays)
        s = scratch[: g.size].reshape(g.shape)
        _apply(w, g, m_b, v_b, s, Coefficients(*columns[:, start : start + rows]))


Number: TypeAlias = float | Array


class Adam(NamedTuple):
    """Parameters of the algorithm: alpha, beta1, beta2, and epsilon, and lambda of AdamW."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float = 0.0

    def at(self, t: int) -> Coefficients:
        """Return the coefficients of update `t`, counted from 1."""
        # sqrt(v / c) + epsilon = (sqrt(v) + epsilon sqrt(c)) / sqrt(c) saves one pass over memory.
        rate, beta1, beta2, epsilon, decay = self
        root_correction = math.sqrt(1.0 - beta2**t)
        step = rate * root_correction / (1.0 - beta1**t)
        keep = 1.0 - rate * decay if decay else None
        shifted = epsilon * root_correction
        return Coefficients(beta1, 1.0 - beta1, beta2, 1.0 - beta2, step, shifted, keep)


class Coefficients(NamedTuple):
    """Coefficients of update t, computed in float64.

    ``m <- beta1 m + new1 g``, ``v <- beta2 v + new2 g^2``, and
    ``w <- keep w - step m / (sqrt(v) + epsilon)``.
    """

    beta1: Number
    new1: Number  # 1 - beta1
    beta2: Number
    new2: Number  # 1 - beta2
    step: Number  # learning_rate sqrt(1 - beta2^t) / (1 - beta1^t)
    epsilon: Number  # epsilon sqrt(1 - beta2^t)
    keep: Number | None  # factor of weight decay, 1 - learning_rate weight_decay; None: none


class CoefficientArrays:
    """Coefficients as arrays without axes, which NumPy handles faster than numbers.

    Parameters
    ----------
    dtype : dtype
        Type of the parameters.
    """

    def __init__(self, dtype: DTypeLike) -> None:
        self._numbers = np.empty(len(Coefficients._fields) - 1, dtype=dtype)
        self._views = [self._numbers[i, ...] for i in range(self._numbers.size)]

    def of(self, coefficients: Coefficients) -> list[Any]:
        """Return coefficients for `adam_step`; the next call overwrites them."""
        *numbers, keep = coefficients
        self._numbers[...] = numbers
        return [*self._views, keep]


def _apply(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    s: Array,
    numbers: Coefficients | Sequence[Any],
) -> None:
    beta1, new1, beta2, new2, step, epsilon, keep = numbers
    m *= beta1
    np.multiply(g, new1, out=s)
    m += s
    v *= beta2
    np.multiply(g, g, out=s)
    s *= new2
    v += s
    np.sqrt(v, out=s)
    s += epsilon
    np.divide(m, s, out=s)
    s *= step
    if keep is not None:
        w *= keep
    w -= s


def flush(
    m: Annotated[Array, "*size"], v: Annotated[Array, "*size"], t: int, beta1: float, beta2: float
) -> None:
    """Set moments below FLUSH_BELOW to zero if that is due after update `t`."""
    if t % flush_interval(beta1) == 0:
        m[np.abs(m) < FLUSH_BELOW] = 0.0
    if t % flush_interval(beta2) == 0:
        v[v < FLUSH_BELOW] = 0.0
