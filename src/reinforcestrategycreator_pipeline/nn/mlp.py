"""The multilayer perceptron Dense -> ReLU -> ... -> Dense: forward and backward, batched.

Both are pure functions over arrays that write into buffers given by the caller, so that a
training loop allocates nothing. Shapes: N rows, layers l = 0..L-1 of widths n_1..n_L, inputs n_0.

    z_l = a_l W_l + b_l           (N, n_{l+1})      a_0 = x
    a_{l+1} = max(z_l, 0)         hidden layers;  the output layer is linear
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.nn.tensors import Layer, NamedTensors

Array = NDArray[Any]


def he_initialise(weights: NamedTensors, rng: np.random.Generator) -> None:
    """Draw every W from N(0, 2 / fan_in) and set every b to zero, in place.

    Source: He et al. 2015, arXiv:1502.01852, eq. 10. The draws are float64, so that float32 and
    float64 networks of one seed start from the same numbers.
    """
    for w, b in weights.layers:
        w[...] = rng.standard_normal(w.shape) * np.sqrt(2.0 / w.shape[0])
        b[...] = 0.0


def activation_buffers(layers: Sequence[Layer], rows: int) -> list[Array]:
    """Allocate one (rows, width) array for each layer's output."""
    return [np.empty((rows, w.shape[1]), dtype=w.dtype) for w, _ in layers]


@lru_cache(maxsize=64)
def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    # NumPy's maximum and greater run several times faster against an array than against a scalar.
    zeros = np.zeros(shape, dtype=dtype)
    zeros.flags.writeable = False
    return zeros


@lru_cache(maxsize=64)
def _ones(rows: int, dtype: np.dtype[Any]) -> Array:
    ones = np.ones(rows, dtype=dtype)
    ones.flags.writeable = False
    return ones


def forward(x: Array, layers: Sequence[Layer], out: Sequence[Array]) -> Array:
    """Propagate `x` and keep every layer's output.

    Parameters
    ----------
    x : ndarray, shape (N, n_0)
        Inputs, of the weights' dtype.
    layers : sequence of (W, b)
        W of shape (fan_in, fan_out), b of shape (fan_out,).
    out : sequence of ndarray
        One (N, fan_out) buffer a layer; filled with a_1 ... a_L.

    Returns
    -------
    ndarray, shape (N, n_L)
        ``out[-1]``. NaN in, NaN out: ``np.maximum`` does not hide it.
    """
    last = len(layers) - 1
    a = x
    for i, (w, b) in enumerate(layers):
        z = out[i]
        np.matmul(a, w, out=z)
        z += b
        if i < last:
            np.maximum(z, _zeros(z.shape, z.dtype), out=z)
        a = z
    return a


def forward_rowwise(x: Array, layers: Sequence[Layer]) -> Array:
    """Propagate each row by itself, so that its bits do not depend on the batch around it.

    A matrix product sums in an order that depends on its shape. Decisions that are taken bar by
    bar in production, and all at once in a backtest, must not differ by that.

    Parameters
    ----------
    x : ndarray, shape (N, n_0)
        Inputs.
    layers : sequence of (W, b)
        Weights.

    Returns
    -------
    ndarray, shape (N, n_L)
    """
    a = np.ascontiguousarray(x)[:, None, :]  # a strided row takes another path, with other bits
    last = len(layers) - 1
    for i, (w, b) in enumerate(layers):
        a = np.matmul(a, w) + b
        if i < last:
            a = np.maximum(a, 0)
    return a[:, 0, :]


def backward(
    x: Array,
    activations: Sequence[Array],
    d_output: Array,
    layers: Sequence[Layer],
    gradients: Sequence[Layer],
    deltas: Sequence[Array],
) -> None:
    """Backpropagate the loss gradient w.r.t. the outputs to every W and b.

    With delta_l = dLoss/dz_l and ReLU' = 1 where z > 0, else 0 (a_{l+1} > 0 exactly where z_l > 0):

        dW_l = a_l^T delta_l,   db_l = sum over rows of delta_l,
        delta_{l-1} = (delta_l W_l^T) * ReLU'(z_{l-1})

    Parameters
    ----------
    x : ndarray, shape (N, n_0)
        The inputs of the forward pass.
    activations : sequence of ndarray
        Its outputs a_1 ... a_L; the first N rows are used.
    d_output : ndarray, shape (N, n_L)
        dLoss/dz of the output layer.
    layers, gradients : sequence of (W, b)
        The weights, and the arrays that receive their gradients.
    deltas : sequence of ndarray
        Scratch for the hidden layers' delta: (N, n_{l+1}) for l = 0..L-2.
    """
    rows = x.shape[0]
    ones = _ones(rows, x.dtype)  # a sum over rows is faster as a matrix product
    delta = d_output
    for i in range(len(layers) - 1, -1, -1):
        a = activations[i - 1][:rows] if i else x
        dw, db = gradients[i]
        np.matmul(a.T, delta, out=dw)
        np.matmul(ones, delta, out=db)
        if i:
            previous = deltas[i - 1]
            np.matmul(delta, layers[i][0].T, out=previous)
            previous *= np.greater(a, _zeros(a.shape, a.dtype))
            delta = previous
