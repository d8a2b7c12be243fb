"""The two networks of a deep Q-learner, with gradients and moments, in one buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.models.copies import NoCopies
from reinforcestrategycreator_pipeline.models.learner.training_step import (
    MOST_BUFFERS,
    TrainingStep,
)
from reinforcestrategycreator_pipeline.nn.adam import (
    BLOCK,
    CoefficientArrays,
    Coefficients,
    adam_step,
)
from reinforcestrategycreator_pipeline.nn.heads.base import Head
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec, Pass, Views
from reinforcestrategycreator_pipeline.nn.noise import Noise
from reinforcestrategycreator_pipeline.nn.normalization import RunningNormalizer
from reinforcestrategycreator_pipeline.nn.tensors import (
    ALIGNMENT,
    NamedTensors,
    NetworkState,
    aligned_zeros,
    iter_tensors,
)


def buffers_for(spec: NetworkSpec, dtype: np.dtype, agents: int | None = None) -> Array:
    """Return zeros for all arrays of `QNetworks`: (5, P), or (5, K, P) for K agents.

    P is the number of parameters, padded so that every row is aligned as the first one is: an
    agent of several gets the bits that it gets alone: the order in which some kernels sum a dot
    product depends on the address modulo 16.
    """
    step = ALIGNMENT // dtype.itemsize
    padded = math.ceil(spec.n_parameters / step) * step
    return aligned_zeros((5, padded) if agents is None else (5, agents, padded), dtype)


class QNetworks(NoCopies):
    """Online and target network, gradients, Adam's moments, and noise.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of both networks.
    head : Head
        Meaning of their outputs.
    double_dqn : bool
        Whether the online network chooses the next action; see `TrainingStep`.
    buffers : ndarray, shape (5, P)
        Weights, target weights, gradients, and both moments: the result of `buffers_for`, or the
        rows of one agent in it.
    noise, target_noise : numpy.random.Generator
        Generators of the noise of the online and the target network.
    noisy_buffers : ndarray, shape (2, P'), optional
        Buffers for the effective weights of noisy networks; by default new ones.

    Attributes
    ----------
    weights, target_weights, gradients, m, v : NamedTensors
        Views into `buffers`.
    online, target : NetworkState
        ``{"weights", "optimizer_state": {"t", "m", "v"}}`` and ``{"weights"}`` with these tensors.
    noises : list of Noise
        Noise of the online and the target network; empty if they are not noisy.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        head: Head,
        double_dqn: bool,
        buffers: Array,
        noise: np.random.Generator,
        target_noise: np.random.Generator,
        noisy_buffers: Array | None = None,
    ) -> None:
        self.spec, self.head = spec, head
        rows = buffers[:, : spec.n_parameters]
        named = [NamedTensors(spec.shapes, buffers.dtype, row) for row in rows]
        self.weights, self.target_weights, self.gradients, self.m, self.v = named
        self._optimizer_state = NetworkState(t=0, m=self.m, v=self.v)
        self.online = NetworkState(weights=self.weights, optimizer_state=self._optimizer_state)
        self.target = NetworkState(weights=self.target_weights)
        self.noises: list[Noise] = []
        effective = [self.weights.flat, self.target_weights.flat]
        if spec.noisy:
            learned = effective
            if noisy_buffers is None:
                noisy_buffers = np.empty((2, learned[0].size - spec.n_dense), buffers.dtype)
            effective = list(noisy_buffers)
            rngs = (noise, target_noise)
            self.noises = [
                Noise(spec, *args) for args in zip(learned, effective, rngs, strict=True)
            ]
        views = [Views(flat, spec) for flat in (*effective, self.gradients.flat)]
        self._views = views[0]
        self.step = TrainingStep(spec, head, double_dqn, *views)
        self._coefficients = CoefficientArrays(buffers.dtype)
        self._scratch = np.empty(min(BLOCK, buffers.shape[-1]), dtype=buffers.dtype)
        self._acting: dict[int, Pass] = {}

    @property
    def t(self) -> int:
        """Number of updates done, ``t`` of the optimizer state."""
        return int(self._optimizer_state["t"])

    @t.setter
    def t(self, value: int) -> None:
        dict.__setitem__(self._optimizer_state, "t", value)

    def update(self, numbers: Coefficients) -> None:
        """Apply one update of Adam to the weights."""
        parts = (self.weights.flat, self.gradients.flat, self.m.flat, self.v.flat)
        adam_step(*parts, self._scratch, self._coefficients.of(numbers))

    def update_target(self, tau: float) -> None:
        """Move the target weights by the fraction `tau` toward the online weights (1: copy)."""
        target, online = self.target_weights.flat, self.weights.flat
        if tau == 1.0:
            target[:] = online
        else:
            target += tau * (online - target)

    def resample_noise(self) -> None:
        """Draw new noise for both networks."""
        for noise in self.noises:
            noise.resample()

    def take_noise(self, other: QNetworks) -> None:
        """Take the current noise of networks of the same architecture."""
        for noise, drawn in zip(self.noises, other.noises, strict=True):
            noise.epsilon[...] = drawn.epsilon

    def apply_noise(self) -> None:
        """Compute the effective weights of both networks from current weights and noise."""
        for noise in self.noises:
            noise.apply()

    def outputs_for_acting(
        self,
        states: Annotated[Array, "rows {self.spec.n_inputs}"],
        normalizer: RunningNormalizer | None,
    ) -> Annotated[Array, "rows {self.spec.n_actions} {self.spec.n_outputs}"]:
        """Return the online outputs (E, A, n) for states (E, n_inputs), with new noise if noisy.

        The next call overwrites the result.
        """
        rows = len(states)
        acting = self._acting.get(rows)
        if acting is None:
            if len(self._acting) > MOST_BUFFERS:
                self._acting.clear()
            acting = self._acting[rows] = Pass(self.spec, self._views, rows)
        if normalizer is None:
            acting.x[...] = states
        else:
            normalizer.apply(states, out=acting.x)
        if self.noises:
            self.noises[0].resample()
            self.noises[0].apply()
        outputs = acting.forward()
        return outputs.reshape(rows, self.spec.n_actions, self.spec.n_outputs)

    def add_sigma_gradient(self) -> None:
        """Complete the gradients of a noisy network: dLoss/dsigma = dLoss/d(effective) * noise."""
        if self.noises:
            n, gradient = self.spec.n_dense, self.gradients.flat
            self.noises[0].sigma_gradient(gradient[:n], out=gradient[-n:])

    def tensors(self) -> dict[str, Array]:
        """Return ``q.W0``, ``target.W0``, ``m.W0``, ``v.W0``, ...; views, not copies."""
        parts = self._parts().items()
        return {name: array for prefix, part in parts for name, array in iter_tensors(prefix, part)}

    def restore(self, tensors: Mapping[str, Array]) -> None:
        """Restore tensors returned by `tensors`, bit for bit.

        Raises
        ------
        CheckpointError
            If they belong to a network of another shape.
        """
        for prefix, part in self._parts().items():
            for name, view in part.items():
                saved = tensors.get(f"{prefix}.{name}")
                if saved is None or saved.shape != view.shape or saved.dtype != view.dtype:
                    got = "nothing" if saved is None else f"{saved.dtype} {saved.shape}"
                    raise CheckpointError(
                        f"the saved state does not fit this network: {prefix}.{name} "
                        f"must be {view.dtype} {view.shape}. Got {got} instead."
                    )
                view[...] = saved

    def _parts(self) -> dict[str, NamedTensors]:
        return {"q": self.weights, "target": self.target_weights, "m": self.m, "v": self.v}
