"""The Q-network in NumPy: its parameters, and its forward and backward pass, batched.

Shapes: N rows, widths n_0 (inputs), n_1, ..., A actions, n outputs an action. For hidden layer l

    z_l = a_l W_l + b_l                                              (N, n_{l+1}),  a_0 = x
    y_l = gain_l (z_l - mean) / sqrt(var + 1e-5) + offset_l          with `layer_norm`, else z_l
    a_{l+1} = max(y_l, 0)

and, with the last hidden a, the outputs (N, A n) are linear: a W + b. With `dueling` the last
hidden layer is two streams of its width side by side, the first for the value V (N, n), the second
for the advantages D (N, A, n), and the outputs are V + D - mean over the actions of D.

Every array may have a leading axis of K agents, each with weights of its own: NumPy multiplies
stacks of matrices one by one with the routine that a single matrix gets, so that an agent's bits
do not depend on the company it keeps.

Sources: layer normalisation: Ba et al. 2016 (arXiv:1607.06450), eq. 4; dueling: Wang et al. 2016
(arXiv:1511.06581), eq. 9; initialisation: He et al. 2015 (arXiv:1502.01852), eq. 10; noisy
networks: see `nn.noise`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.nn.tensors import NamedTensors

LAYER_NORM_EPSILON = 1e-5
_ALIGN = 16  # numbers: rows begin at 64 bytes, where the matrix product is fastest


@dataclass(frozen=True)
class NetworkSpec:
    """What a Q-network is made of.

    Attributes
    ----------
    n_inputs : int
        Length of a state vector.
    hidden_layers : tuple of int
        Units of each hidden layer; with `dueling`, the last one is the width of each stream.
    n_actions : int
        Actions.
    n_outputs : int
        Numbers an action: 1, or the atoms or quantiles of its distribution.
    dueling, layer_norm, noisy : bool
        See the module; `noisy` adds a ``sigma_`` to each W and b.
    """

    n_inputs: int
    hidden_layers: tuple[int, ...]
    n_actions: int
    n_outputs: int = 1
    dueling: bool = False
    layer_norm: bool = False
    noisy: bool = False

    @cached_property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers as they are computed: two streams count as one layer."""
        *trunk, last = self.hidden_layers
        return (*trunk, 2 * last if self.dueling else last)

    @cached_property
    def dense(self) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of W0, W1, ..."""
        layers = list(itertools.pairwise((self.n_inputs, *self.hidden)))
        last, outputs = self.hidden_layers[-1], self.n_actions * self.n_outputs
        heads = [(last, self.n_outputs), (last, outputs)] if self.dueling else [(last, outputs)]
        return (*layers, *heads)

    @cached_property
    def n_dense(self) -> int:
        """Numbers in all W and b."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in self.dense)

    @cached_property
    def effective_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what a forward pass uses, in the buffer's order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (fan_in, fan_out) in enumerate(self.dense):
            shapes[f"W{i}"] = (fan_in, fan_out)
            shapes[f"b{i}"] = (fan_out,)
        if self.layer_norm:
            for i, width in enumerate(self.hidden):
                shapes[f"gain{i}"] = shapes[f"offset{i}"] = (width,)
        return shapes

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what is learned, in the buffer's order."""
        shapes = dict(self.effective_shapes)
        if self.noisy:
            for i, (fan_in, fan_out) in enumerate(self.dense):
                shapes[f"sigma_W{i}"] = (fan_in, fan_out)
                shapes[f"sigma_b{i}"] = (fan_out,)
        return shapes


def initialise(
    weights: NamedTensors, spec: NetworkSpec, rng: np.random.Generator, noisy_sigma: float
) -> None:
    """Set the first weights, in place.

    W from N(0, 2 / fan_in) and b = 0 (He et al. 2015, eq. 10); with noise W and b from
    U(-1/sqrt(fan_in), 1/sqrt(fan_in)) and every sigma noisy_sigma / sqrt(fan_in) (Fortunato et al.
    2018, section 3.2). Gains are 1, offsets 0. The draws are float64, so that float32 and float64
    networks of one seed start from the same numbers.
    """
    for i, (fan_in, _) in enumerate(spec.dense):
        w, b = weights.layers[i]
        if spec.noisy:
            bound = 1 / math.sqrt(fan_in)
            w[...] = rng.uniform(-bound, bound, w.shape)
            b[...] = rng.uniform(-bound, bound, b.shape)
            weights[f"sigma_W{i}"] = np.full(w.shape, noisy_sigma * bound)
            weights[f"sigma_b{i}"] = np.full(b.shape, noisy_sigma * bound)
        else:
            w[...] = rng.standard_normal(w.shape) * np.sqrt(2.0 / fan_in)
            b[...] = 0.0
    if spec.layer_norm:
        for i, width in enumerate(spec.hidden):
            weights[f"gain{i}"], weights[f"offset{i}"] = np.ones(width), np.zeros(width)


@lru_cache(maxsize=256)
def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    # NumPy's maximum and greater run several times faster against an array than against a scalar.
    zeros = np.zeros(shape, dtype=dtype)
    zeros.flags.writeable = False
    return zeros


class Views:
    """A flat buffer of one or K networks, cut into layers.

    Parameters
    ----------
    flat : ndarray, shape (P,) or (K, P)
        Weights or gradients, in the order of ``spec.effective_shapes``.
    spec : NetworkSpec
        The network.

    Attributes
    ----------
    folded : list of ndarray, shape (..., fan_in + 1, fan_out)
        W with b as its last row: they lie side by side, so that one matrix product with a column
        of ones does both, in the forward pass and for the gradients.
    w, b : list of ndarray, shape (..., fan_in, fan_out) and (..., 1, fan_out)
    gain, offset : list of ndarray, shape (..., 1, width)
        Empty without layer normalisation.
    """

    def __init__(self, flat: Array, spec: NetworkSpec) -> None:
        lead, place = flat.shape[:-1], 0
        self.folded: list[Array] = []
        self.gain: list[Array] = []
        self.offset: list[Array] = []

        def cut(rows: int, columns: int) -> Array:
            nonlocal place
            part = flat[..., place : place + rows * columns]
            place += rows * columns
            view = part.reshape(*lead, rows, columns)
            assert np.shares_memory(view, flat)
            return view

        for fan_in, fan_out in spec.dense:
            self.folded.append(cut(fan_in + 1, fan_out))
        if spec.layer_norm:
            for width in spec.hidden:
                self.gain.append(cut(1, width))
                self.offset.append(cut(1, width))
        self.w = [both[..., :-1, :] for both in self.folded]
        self.b = [both[..., -1:, :] for both in self.folded]


class _Rows:
    """The (..., N, width) input of a dense layer, with a column of ones beside it."""

    def __init__(self, lead: tuple[int, ...], rows: int, width: int, dtype: Any) -> None:
        padded = -(-(width + 1) // _ALIGN) * _ALIGN
        self.full = np.zeros((*lead, rows, padded), dtype=dtype)
        self.full[..., width] = 1.0
        self.plain = self.full[..., :width]
        self.ones = self.full[..., : width + 1]
        self.zeros = _zeros(self.full.shape, self.full.dtype)

    def rectify(self) -> None:
        # The column of ones and the zeros behind it stay as they are. NaN stays NaN.
        np.maximum(self.full, self.zeros, out=self.full)


class Pass:
    """The forward pass of N rows through one network (or K), with all its buffers.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    weights : Views
        Of the effective weights; read at every call.
    rows : int
        N.
    inputs : ndarray, optional
        Where the inputs with their column of ones are, (..., N, n_inputs + 1), if another pass
        holds them; else `x` is to be filled before each call.

    Attributes
    ----------
    x, inputs : ndarray, shape (..., N, n_inputs) and (..., N, n_inputs + 1)
        The inputs, and the same with their column of ones.
    outputs : ndarray, shape (..., N, A n)
        The result of the newest `forward`.
    hidden : list of ndarray, shape (..., N, n_l)
        The outputs of the hidden layers.
    """

    def __init__(
        self, spec: NetworkSpec, weights: Views, rows: int, inputs: Array | None = None
    ) -> None:
        self.spec, self.weights, self.rows = spec, weights, rows
        lead, dtype = weights.w[0].shape[:-2], weights.w[0].dtype
        layers = [_Rows(lead, rows, width, dtype) for width in spec.hidden]
        if inputs is None:
            first = _Rows(lead, rows, spec.n_inputs, dtype)
            self.input_buffer, inputs = first.full, first.ones
        self.inputs, self.x = inputs, inputs[..., :-1]
        self._inputs = [inputs, *(layer.ones for layer in layers)]
        self._layers = layers
        self.hidden = [layer.plain for layer in layers]
        shape = (*lead, rows)
        self._normal = [np.empty((*shape, w), dtype) for w in spec.hidden if spec.layer_norm]
        self._spread: list[Array] = []
        self.outputs = np.empty((*shape, spec.n_actions * spec.n_outputs), dtype)
        if spec.dueling:
            self._value = np.empty((*shape, spec.n_outputs), dtype)
            self._advantage = np.empty_like(self.outputs)
        self._plan = list(zip(self._inputs, weights.folded, layers, strict=False))

    def forward(
        self,
    ) -> Annotated[Array, "*agents {self.rows} {self.spec.n_actions*self.spec.n_outputs}"]:
        """Compute `outputs` of `x`. NaN in, NaN out: ``np.maximum`` does not hide it."""
        if self.spec.layer_norm:
            self._spread.clear()
            for i, (x, w, layer) in enumerate(self._plan):
                self._normalise(i, np.matmul(x, w, out=self._normal[i]), layer.plain)
                layer.rectify()
        else:
            for x, w, layer in self._plan:
                np.matmul(x, w, out=layer.plain)
                np.maximum(layer.full, layer.zeros, out=layer.full)
        if not self.spec.dueling:
            return np.matmul(self._inputs[-1], self.weights.folded[-1], out=self.outputs)
        width, n = self.spec.hidden_layers[-1], self.spec.n_outputs
        last = self._inputs[-1]
        np.matmul(last[..., :width], self.weights.w[-2], out=self._value)
        self._value += self.weights.b[-2]
        np.matmul(last[..., width:], self.weights.folded[-1], out=self._advantage)
        by_action = (*self.outputs.shape[:-1], self.spec.n_actions, n)
        advantage, outputs = self._advantage.reshape(by_action), self.outputs.reshape(by_action)
        mean = np.add.reduce(advantage, axis=-2, keepdims=True)
        mean /= self.spec.n_actions
        np.subtract(self._value[..., None, :], mean, out=mean)
        np.add(advantage, mean, out=outputs)
        return self.outputs

    def _normalise(
        self, i: int, z: Annotated[Array, "*rows units"], out: Annotated[Array, "*rows units"]
    ) -> None:
        """Write gain * (z - mean) / sqrt(var + epsilon) + offset; keep what backward needs."""
        for stream in self._streams(z, i):
            stream -= stream.mean(axis=-1, keepdims=True)
            spread = np.einsum("...j,...j->...", stream, stream)[..., None]
            spread /= stream.shape[-1]
            spread += LAYER_NORM_EPSILON
            np.sqrt(spread, out=spread)
            stream /= spread
            self._spread.append(spread)
        np.multiply(z, self.weights.gain[i], out=out)
        out += self.weights.offset[i]

    def _streams(self, z: Array, i: int) -> list[Array]:
        """Return the parts of layer `i` that are normalised by themselves."""
        if self.spec.dueling and i == len(self.spec.hidden) - 1:
            width = self.spec.hidden_layers[-1]
            return [z[..., :width], z[..., width:]]
        return [z]


class Backward:
    """Backpropagation through the first N rows of a `Pass`.

    With delta_l = dLoss/dz_l and ReLU' = 1 where y > 0, else 0 (a > 0 exactly where y > 0):

        dW_l = a_l^T delta_l,   db_l = sum over rows of delta_l   (one product: [a_l 1]^T delta_l)
        d a_l = delta_l W_l^T,  delta_{l-1} = d a_l * ReLU'

    and, with u = (z - mean) / s and s = sqrt(var + epsilon), through layer normalisation

        d gain = sum over rows of dy * u,   d offset = sum over rows of dy,
        dz = (du - mean(du) - u mean(du * u)) / s,   du = dy * gain

    Parameters
    ----------
    forward : Pass
        Whose newest `forward` is differentiated.
    rows : int
        N, at most the pass's.
    gradients : Views
        Receives dLoss/dW, dLoss/db, ...
    """

    def __init__(self, forward: Pass, rows: int, gradients: Views) -> None:
        self._pass, self._gradients = forward, gradients
        spec = self._spec = forward.spec
        lead, dtype = forward.outputs.shape[:-2], forward.outputs.dtype
        self._transposed = [x[..., :rows, :].swapaxes(-1, -2) for x in forward._inputs]
        self._weights = [w.swapaxes(-1, -2) for w in forward.weights.w]
        self._normal = [u[..., :rows, :] for u in forward._normal]
        self._rows = rows
        # The deltas are padded as the activations are, so that the mask is one contiguous pass.
        padded = [np.zeros((*lead, rows, layer.full.shape[-1]), dtype) for layer in forward._layers]
        self._deltas = [d[..., :width] for d, width in zip(padded, spec.hidden, strict=True)]
        self._masked = [
            (layer.full[..., :rows, :], _zeros(d.shape, d.dtype), np.empty(d.shape, bool), d)
            for layer, d in zip(forward._layers, padded, strict=True)
        ]

    def run(
        self,
        d_outputs: Annotated[
            Array, "*agents {self._rows} {self._spec.n_actions*self._spec.n_outputs}"
        ],
    ) -> None:
        """Fill the gradients from dLoss/d outputs, shape (..., N, A n)."""
        folded, top = self._gradients.folded, len(self._spec.hidden)
        if self._spec.dueling:
            delta = self._dueling(d_outputs)
        else:
            np.matmul(self._transposed[top], d_outputs, out=folded[top])
            delta = np.matmul(d_outputs, self._weights[top], out=self._deltas[-1])
        for i in range(top - 1, -1, -1):
            active, zeros, mask, padded = self._masked[i]
            np.greater(active, zeros, out=mask)
            padded *= mask
            if self._spec.layer_norm:
                self._through_normalisation(i, delta)
            np.matmul(self._transposed[i], delta, out=folded[i])
            if i:
                delta = np.matmul(delta, self._weights[i], out=self._deltas[i - 1])

    def _dueling(self, d_outputs: Array) -> Array:
        """Backpropagate through outputs = V + D - mean(D), and both heads."""
        spec, gradients = self._spec, self._gradients
        width = spec.hidden_layers[-1]
        d = d_outputs.reshape(*d_outputs.shape[:-1], spec.n_actions, spec.n_outputs)
        d_value = np.add.reduce(d, axis=-2)
        d_advantage = (d - d_value[..., None, :] / spec.n_actions).reshape(d_outputs.shape)
        last, delta = self._transposed[-1], self._deltas[-1]
        np.matmul(last[..., :width, :], d_value, out=gradients.w[-2])
        np.add.reduce(d_value, axis=-2, keepdims=True, out=gradients.b[-2])
        np.matmul(last[..., width:, :], d_advantage, out=gradients.folded[-1])
        np.matmul(d_value, self._weights[-2], out=delta[..., :width])
        np.matmul(d_advantage, self._weights[-1], out=delta[..., width:])
        return delta

    def _through_normalisation(self, i: int, delta: Array) -> None:
        """Turn dLoss/dy of hidden layer `i` into dLoss/dz, in place."""
        normal = self._normal[i]
        np.einsum("...ij,...ij->...j", delta, normal, out=self._gradients.gain[i][..., 0, :])
        np.add.reduce(delta, axis=-2, keepdims=True, out=self._gradients.offset[i])
        delta *= self._pass.weights.gain[i]
        streams = zip(self._pass._streams(delta, i), self._pass._streams(normal, i), strict=True)
        for k, (d, u) in enumerate(streams):
            projection = np.einsum("...j,...j->...", d, u)[..., None]
            projection /= d.shape[-1]
            d -= d.mean(axis=-1, keepdims=True)
            d -= u * projection
            d /= self._pass._spread[i + k][..., : self._rows, :]


# Whether a product of infinities warns depends on the processor's BLAS kernel; callers check.
@np.errstate(over="ignore", invalid="ignore")
def apply(
    spec: NetworkSpec, weights: Mapping[str, Array], x: Annotated[Array, "*rows {spec.n_inputs}"]
) -> Annotated[Array, "*rows {spec.n_actions} {spec.n_outputs}"]:
    """Return the outputs of any weights by name, in fresh arrays.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    weights : mapping of str to ndarray
        ``W0, b0, ...``, and ``gain0, offset0, ...`` with layer normalisation. ``sigma_`` is not
        read: this is the network without noise.
    x : ndarray, shape (..., N, n_inputs)
        States.

    Returns
    -------
    ndarray, shape (..., N, A, n)
        NaN in, NaN out.
    """
    a, width = x, spec.hidden_layers[-1]
    top = len(spec.hidden)
    for i in range(top):
        a = np.matmul(a, weights[f"W{i}"])
        a += weights[f"b{i}"]
        if spec.layer_norm:
            parts = [a[..., :width], a[..., width:]] if spec.dueling and i == top - 1 else [a]
            for part in parts:
                part -= part.mean(axis=-1, keepdims=True)
                part /= np.sqrt((part * part).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
            a *= weights[f"gain{i}"]
            a += weights[f"offset{i}"]
        a = np.maximum(a, 0)
    if not spec.dueling:
        outputs: Array = np.matmul(a, weights[f"W{top}"]) + weights[f"b{top}"]
        return outputs.reshape(*outputs.shape[:-1], spec.n_actions, spec.n_outputs)
    value = np.matmul(a[..., :width], weights[f"W{top}"]) + weights[f"b{top}"]
    z: Array = np.matmul(a[..., width:], weights[f"W{top + 1}"]) + weights[f"b{top + 1}"]
    z = z.reshape(*z.shape[:-1], spec.n_actions, spec.n_outputs)
    z += value[..., None, :] - z.mean(axis=-2, keepdims=True)
    return z


def apply_rowwise(
    spec: NetworkSpec, weights: Mapping[str, Array], x: Annotated[Array, "rows {spec.n_inputs}"]
) -> Annotated[Array, "rows {spec.n_actions} {spec.n_outputs}"]:
    """Return `apply` of each row by itself, so that its bits do not depend on the batch around it.

    A matrix product sums in an order that depends on its shape. Decisions that are taken bar by
    bar in production, and all at once in a backtest, must not differ by that.

    Parameters
    ----------
    x : ndarray, shape (N, n_inputs)
        States.

    Returns
    -------
    ndarray, shape (N, A, n)
    """
    rows = np.ascontiguousarray(x)[:, None, :]  # a strided row takes another path, with other bits
    return apply(spec, weights, rows)[:, 0]
