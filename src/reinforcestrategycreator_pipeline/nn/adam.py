"""Adam (Kingma & Ba 2015, arXiv:1412.6980), algorithm 1, on flat buffers; and AdamW."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array

# Measured: one block is fastest up to some 64,000 parameters, where the calls that blocks cost
# outweigh the cache misses they save; above, a block's five arrays stay in the L3 cache.
BLOCK = 65_536
# Moments of dead units decay into denormals, which slow the processor down many times.
FLUSH_BELOW = 1e-30
FLUSH_INTERVAL = 100


@lru_cache(maxsize=16)
def flush_interval(beta: float) -> int:
    """Return the updates between two flushes: FLUSH_BELOW stays above float32's 1.2e-38 till then.

    0.9^100 is 2.7e-5, far from the 1e-8 that would be too small; a beta of 0.5 gets there in 26.
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
    """Apply one update in place.

        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        w <- w - learning_rate * weight_decay * w
               - learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Epsilon is added to the square root of the bias-corrected second moment, as in the paper's
    algorithm 1 (not "epsilon hat" of its section 2). The bias corrections are computed in float64.
    The decay is decoupled (AdamW: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2).

    Parameters
    ----------
    parameters, gradients, m, v : ndarray, shape (P,)
        Flat buffers of one dtype; all but `gradients` are changed.
    scratch : ndarray, shape (>= min(P, BLOCK),)
        Of the same dtype; overwritten.
    numbers : Coefficients
        Of this update; or its `Coefficients.as_arrays`.

    See Also
    --------
    flush : to be called after the update.
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
    """Apply an update of each agent in place, to the bits of `adam_step`.

    Parameters
    ----------
    parameters, gradients, m, v : ndarray, shape (K, P)
        One row an agent; contiguous.
    scratch : ndarray, shape (>= min(K P, max(P, BLOCK)),)
        Overwritten.
    numbers : sequence of Coefficients
        One an agent.
    """
    arrays = [parameters, gradients, m, v]
    k, size = parameters.shape
    if all(n == numbers[0] for n in numbers):
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


class Adam(NamedTuple):
    """The algorithm's alpha, beta1, beta2 and epsilon, and AdamW's lambda."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float = 0.0

    def at(self, t: int) -> Coefficients:
        """Return what update `t` needs; the first one is 1."""
        # sqrt(v / c) + epsilon = (sqrt(v) + epsilon sqrt(c)) / sqrt(c): one pass less over memory.
        rate, beta1, beta2, epsilon, decay = self
        root_correction = math.sqrt(1.0 - beta2**t)
        step = rate * root_correction / (1.0 - beta1**t)
        keep = 1.0 - rate * decay if decay else None
        shifted = epsilon * root_correction
        return Coefficients(beta1, 1.0 - beta1, beta2, 1.0 - beta2, step, shifted, keep)


class Coefficients(NamedTuple):
    """What an update multiplies by and adds, computed in float64."""

    beta1: Any
    new1: Any  # 1 - beta1
    beta2: Any
    new2: Any  # 1 - beta2
    step: Any
    epsilon: Any
    keep: Any  # what weight decay leaves of a weight; None: all

    def as_arrays(self, into: list[Array]) -> list[Any]:
        """Return the numbers as arrays () of a buffer's dtype: NumPy takes those faster.

        Parameters
        ----------
        into : list of ndarray, shape ()
            One a number; overwritten.
        """
        for array, number in zip(into, self, strict=True):
            if number is not None:
                array[()] = number
        return into if self.keep is not None else [*into[:-1], None]


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
    """Set moments below 1e-30 to zero, when it is due after update `t`."""
    if t % flush_interval(beta1) == 0:
        m[np.abs(m) < FLUSH_BELOW] = 0.0
    if t % flush_interval(beta2) == 0:
        v[v < FLUSH_BELOW] = 0.0
