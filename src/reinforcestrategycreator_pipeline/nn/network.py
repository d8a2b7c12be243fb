"""The Q-network in NumPy: its parameters, and batched forward and backward passes.

Shapes: N rows, widths n_0 (inputs), n_1, ..., A actions, n outputs per action. For hidden layer l

    z_l = a_l W_l + b_l                                              (N, n_{l+1}),  a_0 = x
    y_l = gain_l (z_l - mean) / sqrt(var + 1e-5) + offset_l          with `layer_norm`, else z_l
    a_{l+1} = max(y_l, 0)

and the outputs (N, A n) are linear in the last hidden a: a W + b. With `dueling` the last hidden
layer consists of two streams of its width side by side: the first gives the value V (N, n), the
second the advantages D (N, A, n), and the outputs are V + D - mean over the actions of D.

Every array may have a leading axis of K agents, each with its own weights. NumPy multiplies stacked
matrices one by one with the routine for a single matrix, so an agent's results are bit-identical
whatever the other agents are.

More than half of this file serves speed (buffers, padding, views); `apply` is the same forward pass
in plain form.

Sources: layer normalization: Ba et al. 2016 (arXiv:1607.06450), eq. 4; dueling: Wang et al. 2016
(arXiv:1511.06581), eq. 9; initialization: He et al. 2015 (arXiv:1502.01852), eq. 10; noisy
networks: see `nn.noise`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.nn.tensors import NamedTensors, aligned_zeros

LAYER_NORM_EPSILON = 1e-5
_ALIGN = 16  # numbers; rows start at multiples of 64 bytes, where the matrix product is fastest


@dataclass(frozen=True)
class NetworkSpec:
    """Architecture of a Q-network.

    Attributes
    ----------
    n_inputs : int
        Length of a state vector.
    hidden_layers : tuple of int
        Units of each hidden layer; with `dueling`, the last entry is the width of each stream.
    n_actions : int
        Number of actions.
    n_outputs : int
        Outputs per action: 1, or the number of atoms or quantiles of its distribution.
    dueling, layer_norm, noisy : bool
        Options described in the module's docstring; `noisy` adds a ``sigma_`` to each W and b.
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
        """Widths of the hidden layers as computed: two streams count as one layer."""
        *trunk, last = self.hidden_layers
        return (*trunk, 2 * last if self.dueling else last)

    @cached_property
    def dense(self) -> tuple[tuple[int, int], ...]:
        """Shapes (fan_in, fan_out) of W0, W1, ..."""
        layers = list(itertools.pairwise((self.n_inputs, *self.hidden)))
        last, outputs = self.hidden_layers[-1], self.n_actions * self.n_outputs
        heads = [(last, self.n_outputs), (last, outputs)] if self.dueling else [(last, outputs)]
        return (*layers, *heads)

    @cached_property
    def n_parameters(self) -> int:
        """Total size of all learned tensors."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @cached_property
    def n_dense(self) -> int:
        """Total size of all W and b."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in self.dense)

    @cached_property
    def effective_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors that a forward pass uses, in buffer order."""
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
        """Names and shapes of the trained tensors, in buffer order."""
        shapes = dict(self.effective_shapes)
        if self.noisy:
            for i, (fan_in, fan_out) in enumerate(self.dense):
                shapes[f"sigma_W{i}"] = (fan_in, fan_out)
                shapes[f"sigma_b{i}"] = (fan_out,)
        return shapes


def initialize(
    weights: NamedTensors, spec: NetworkSpec, rng: np.random.Generator, noisy_sigma: float
) -> None:
    """Initialize weights in place.

    W ~ N(0, 2 / fan_in) and b = 0 (He et al. 2015, eq. 10); in a noisy network W and b ~
    U(-1/sqrt(fan_in), 1/sqrt(fan_in)) and every sigma = noisy_sigma / sqrt(fan_in) (Fortunato et
    al. 2018, section 3.2). Gains are 1, offsets 0. Draws are float64, so float32 and float64
    networks with the same seed start from the same numbers.
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


_zero_buffers: dict[np.dtype[Any], Array] = {}


def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    # np.maximum is several times faster with an array than with a scalar. All layers share one
    # buffer, which takes less of the cache than one for each.
    size, zeros = math.prod(shape), _zero_buffers.get(dtype)
    if zeros is None or zeros.size < size:
        zeros = _zero_buffers[dtype] = aligned_zeros((size,), dtype)
        zeros.flags.writeable = False
    return zeros[:size].reshape(shape)


class Views:
    """Views of each layer in the flat buffer of one network, or of K.

    Parameters
    ----------
    flat : ndarray, shape (P,) or (K, P)
        Weights or gradients, in the order of ``spec.effective_shapes``.
    spec : NetworkSpec
        Architecture of the network.

    Attributes
    ----------
    folded : list of ndarray, shape (..., fan_in + 1, fan_out)
        W with b as its last row. They are adjacent in the buffer, so one matrix product with a
        column of ones covers both, in the forward pass and in the gradients.
    w, b : list of ndarray, shape (..., fan_in, fan_out) and (..., 1, fan_out)
        The two parts of each entry of `folded`.
    gain, offset : list of ndarray, shape (..., 1, width)
        Parameters of layer normalization; empty without it.
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
    """The input of a dense layer, (..., N, width), followed by a column of ones and padding."""

    def __init__(self, full: Array, width: int) -> None:
        self.full = full
        self.full[..., width] = 1.0
        self.plain = self.full[..., :width]
        self.ones = self.full[..., : width + 1]
        self.zeros = _zeros(self.full.shape, self.full.dtype)

    @staticmethod
    def padded(width: int) -> int:
        """Return the length of a row."""
        return -(-(width + 1) // _ALIGN) * _ALIGN

    def rectify(self) -> None:
        # The column of ones and the zero padding are unaffected. NaN stays NaN.
        np.maximum(self.full, self.zeros, out=self.full)


class Pass:
    """Forward pass of N rows through one network (or K), with all its buffers.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : Views
        Views of the effective weights; read at every call.
    rows : int
        Number of rows N.
    inputs : ndarray, shape (..., N, n_inputs + 1), optional
        Inputs with their column of ones, shared with another pass. By default the pass has its own
        buffer, and the caller fills `x` before each call.

    Attributes
    ----------
    x, inputs : ndarray, shape (..., N, n_inputs) and (..., N, n_inputs + 1)
        The inputs, without and with their column of ones.
    outputs : ndarray, shape (..., N, A n)
        Result of the latest `forward`.
    ends : ndarray, one axis
        All outputs and, unless they are shared, all inputs: adjacent, so one dot product checks
        whether all are finite.
    hidden : list of ndarray, shape (..., N, n_l)
        Outputs of the hidden layers.
    """

    def __init__(
        self, spec: NetworkSpec, weights: Views, rows: int, inputs: Array | None = None
    ) -> None:
        self.spec, self.weights, self.rows = spec, weights, rows
        lead, dtype = weights.w[0].shape[:-2], weights.w[0].dtype
        shape, n_outputs = (*lead, rows), spec.n_actions * spec.n_outputs
        layers = [
            _Rows(aligned_zeros((*shape, _Rows.padded(width)), dtype), width)
            for width in spec.hidden
        ]
        length = _Rows.padded(spec.n_inputs) if inputs is None else 0
        own = math.prod(shape) * length
        self.ends = aligned_zeros((own + math.prod(shape) * n_outputs,), dtype)
        if inputs is None:
            inputs = _Rows(self.ends[:own].reshape(*shape, length), spec.n_inputs).ones
        self.inputs, self.x = inputs, inputs[..., :-1]
        self._inputs = [inputs, *(layer.ones for layer in layers)]
        self._layers = layers
        self.hidden = [layer.plain for layer in layers]
        self._normal = [np.empty((*shape, w), dtype) for w in spec.hidden if spec.layer_norm]
        self._spread: list[Array] = []
        self.outputs = self.ends[own:].reshape(*shape, n_outputs)
        if spec.dueling:
            self._value = np.empty((*shape, spec.n_outputs), dtype)
            self._advantage = np.empty_like(self.outputs)
        self._plan = list(zip(self._inputs, weights.folded, layers, strict=False))

    def forward(
        self,
    ) -> Annotated[Array, "*agents {self.rows} {self.spec.n_actions*self.spec.n_outputs}"]:
        """Compute `outputs` from `x`. NaN in, NaN out: ``np.maximum`` propagates it."""
        if self.spec.layer_norm:
            self._spread.clear()
            for i, (x, w, layer) in enumerate(self._plan):
                self._normalize(i, np.matmul(x, w, out=self._normal[i]), layer.plain)
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

    def _normalize(
        self, i: int, z: Annotated[Array, "*rows units"], out: Annotated[Array, "*rows units"]
    ) -> None:
        """Write gain * (z - mean) / sqrt(var + epsilon) + offset; keep values for `Backward`."""
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
        """Return the parts of layer `i` that are normalized separately."""
        if self.spec.dueling and i == len(self.spec.hidden) - 1:
            width = self.spec.hidden_layers[-1]
            return [z[..., :width], z[..., width:]]
        return [z]


class Backward:
    """Backpropagation through the first N rows of a `Pass`.

    With delta_l = dLoss/dz_l and ReLU' = 1 where y > 0, else 0 (a > 0 exactly where y > 0):

        dW_l = a_l^T delta_l,   db_l = sum over rows of delta_l   (one product: [a_l 1]^T delta_l)
        d a_l = delta_l W_l^T,  delta_{l-1} = d a_l * ReLU'

    and through layer normalization, with u = (z - mean) / s and s = sqrt(var + epsilon),

        d gain = sum over rows of dy * u,   d offset = sum over rows of dy,
        dz = (du - mean(du) - u mean(du * u)) / s,   du = dy * gain

    Parameters
    ----------
    forward : Pass
        The pass whose latest `forward` is differentiated.
    rows : int
        Number of rows N, at most that of the pass.
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
        # Deltas are padded like the activations, so masking is one contiguous pass.
        padded = [
            aligned_zeros((*lead, rows, layer.full.shape[-1]), dtype) for layer in forward._layers
        ]
        self._deltas = [d[..., :width] for d, width in zip(padded, spec.hidden, strict=True)]
        bits = np.dtype(f"u{dtype.itemsize}")
        self._masked = [
            (layer.full[..., :rows, :].view(bits), np.empty_like(d, bits), d)
            for layer, d in zip(forward._layers, (d.view(bits) for d in padded), strict=True)
        ]

    def run(
        self,
        d_outputs: Annotated[
            Array, "*agents {self._rows} {self._spec.n_actions*self._spec.n_outputs}"
        ],
    ) -> None:
        """Compute the gradients from dLoss/d outputs, shape (..., N, A n)."""
        folded, top = self._gradients.folded, len(self._spec.hidden)
        if self._spec.dueling:
            delta = self._dueling(d_outputs)
        else:
            np.matmul(self._transposed[top], d_outputs, out=folded[top])
            delta = np.matmul(d_outputs, self._weights[top], out=self._deltas[-1])
        for i in range(top - 1, -1, -1):
            # ReLU' is the sign of a's bits as an unsigned integer: 1 for a > 0, and 0 for a = 0.
            # Times the bits of delta it keeps them or gives 0. A mask of booleans needs a cast,
            # which makes both passes take half as long again.
            active, mask, padded = self._masked[i]
            np.sign(active, out=mask)
            padded *= mask
            if self._spec.layer_norm:
                self._through_normalization(i, delta)
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

    def _through_normalization(self, i: int, delta: Array) -> None:
        """Convert dLoss/dy of hidden layer `i` to dLoss/dz, in place."""
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


# Whether a product with infinities warns depends on the BLAS kernel; callers check the values.
@np.errstate(over="ignore", invalid="ignore")
def apply(
    spec: NetworkSpec, weights: Mapping[str, Array], x: Annotated[Array, "*rows {spec.n_inputs}"]
) -> Annotated[Array, "*rows {spec.n_actions} {spec.n_outputs}"]:
    """Return the outputs of a network with the given weights, in new arrays.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        ``W0, b0, ...``, and with layer normalization ``gain0, offset0, ...``. Any ``sigma_`` is
        ignored: the pass is without noise.
    x : ndarray, shape (..., N, n_inputs)
        Input states, one row each.

    Returns
    -------
    ndarray, shape (..., N, A, n)
        The outputs. NaN in, NaN out.
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
        # NumPy is several times faster with an array of zeros than with the number.
        np.maximum(a, np.zeros(a.shape, a.dtype), out=a)
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
    """Apply the network to each row separately; results are bit-identical for any batch size.

    The order of summation in a matrix product depends on its shape. Decisions made bar by bar in
    production must nevertheless equal those made all at once in a backtest.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Weights as in `apply`.
    x : ndarray, shape (N, n_inputs)
        Input states, one row each.

    Returns
    -------
    ndarray, shape (N, A, n)
        The outputs. NaN in, NaN out.
    """
    rows = np.ascontiguousarray(x)[:, None, :]  # strided rows are summed in another order
    return apply(spec, weights, rows)[:, 0]
