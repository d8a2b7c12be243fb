"""Factorized Gaussian noise on the weights (Fortunato et al. 2018, arXiv:1706.10295).

The effective weights are W + sigma_W * e_W and b + sigma_b * e_b with (eq. 10 and 11)

    e_W[i, j] = f(e_i) f(e_j),   e_b[j] = f(e_j),   f(x) = sgn(x) sqrt(|x|)

and standard normal e_i, e_j: one draw per input and output of a layer instead of one per weight.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec, Views


class Noise:
    """Noise of one network, and its effective weights.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of a noisy network.
    learned : ndarray, shape (P,)
        Trained weights, in the order of ``spec.shapes``.
    effective : ndarray, shape (P',)
        Receives the weights with noise, in the order of ``spec.effective_shapes``.
    rng : numpy.random.Generator
        Generator of the noise.

    Attributes
    ----------
    epsilon : ndarray, shape (n_dense,)
        e_W and e_b of all layers, in buffer order.
    """

    def __init__(
        self, spec: NetworkSpec, learned: Array, effective: Array, rng: np.random.Generator
    ) -> None:
        n = spec.n_dense
        self._rng = rng
        self._sizes = [(fan_in, fan_out) for fan_in, fan_out in spec.dense]
        self._draws = sum(fan_in + fan_out for fan_in, fan_out in spec.dense)
        self.epsilon = np.zeros_like(effective)
        self._views = Views(self.epsilon, spec).folded
        self.epsilon = self.epsilon[:n]
        self._mean, self._sigma, self._rest = learned[:n], learned[-n:], learned[n:-n]
        self._effective, self._effective_rest = effective[:n], effective[n:]

    def named(self) -> dict[str, Array]:
        """Return e_W and e_b, under the names of their weights."""
        named = {}
        for i, view in enumerate(self._views):
            named[f"W{i}"], named[f"b{i}"] = view[:-1], view[-1]
        return named

    def resample(self) -> None:
        """Draw new noise."""
        draws = self._rng.standard_normal(self._draws)
        draws = np.copysign(np.sqrt(np.abs(draws)), draws)
        place = 0
        for (fan_in, fan_out), view in zip(self._sizes, self._views, strict=True):
            of_inputs, of_outputs = np.split(draws[place : place + fan_in + fan_out], [fan_in])
            np.multiply(of_inputs[:, None], of_outputs, out=view[:-1], casting="same_kind")
            view[-1] = of_outputs
            place += fan_in + fan_out

    def apply(self) -> None:
        """Compute the effective weights from the current weights and noise."""
        np.multiply(self._sigma, self.epsilon, out=self._effective)
        self._effective += self._mean
        self._effective_rest[...] = self._rest

    def add_to(self, weights: Array) -> None:
        """Add the current noise to other weights of the network, flat, by their own sigmas."""
        n = len(self.epsilon)
        weights[:n] += weights[-n:] * self.epsilon

    def sigma_gradient(
        self, d_effective: Annotated[Array, "dense"], out: Annotated[Array, "dense"]
    ) -> None:
        """Write dLoss/dsigma = dLoss/d(effective) * e, both of shape (n_dense,)."""
        np.multiply(d_effective, self.epsilon, out=out)
