"""The categorical head: a distribution of the return over fixed atoms.

Bellemare, Dabney & Munos 2017, "A distributional perspective on reinforcement learning",
arXiv:1707.06887.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.checks import require_int, require_number
from reinforcestrategycreator_pipeline.nn.heads.base import HEADS, Outputs, Rows

_LEAST = float(np.finfo(np.float64).tiny)


@lru_cache(maxsize=64)
def _row_starts(rows: int, width: int) -> Ints:
    starts = np.arange(0, rows * width, width, dtype=np.int64)[:, None]
    starts.flags.writeable = False
    return starts


def _shifted(logits: Array) -> Array:
    """Subtract each row's largest logit, so the exponential cannot overflow."""
    return logits - np.maximum.reduce(logits, axis=-1, keepdims=True)


@HEADS.register("c51")
class C51:
    """Categorical head: `n_atoms` logits per action, for the probabilities of the atoms.

        z_i = v_min + i dz,  dz = (v_max - v_min) / (n_atoms - 1)         section 4
        p_i = exp(x_i) / sum_k exp(x_k)                                   section 4
        Q   = sum_i z_i p_i
        m_i = sum_j [1 - |[r_t + discount_t z_j] - z_i| / dz]_0^1 p'_j    eq. 7, [.] clipped to
                                                                          [v_min, v_max]
        loss = -sum_i m_i log p_i,   d loss / d x_i = p_i - m_i           algorithm 1

    p' are the probabilities of the bootstrap. The priority is the Kullback-Leibler divergence of
    m from p, loss - entropy(m), as in Rainbow (Hessel et al. 2018, arXiv:1710.02298).

    Parameters
    ----------
    hyperparameters : object
        Attributes ``n_atoms``, the number of atoms, >= 2; ``v_min`` < ``v_max``, the returns of the
        first and the last atom.

    Notes
    -----
    The loss is computed in float64 and rounded at the end. A return outside [v_min, v_max] counts
    as the nearest atom; an infinite reward is an error, not a large reward, and gives NaN.

    Raises
    ------
    ConfigError
        If a hyperparameter is out of range.
    """

    def __init__(self, hyperparameters: Any) -> None:
        owner = "head 'c51'"
        require_int(owner, "n_atoms", hyperparameters.n_atoms, 2)
        require_number(owner, "v_min", hyperparameters.v_min)
        require_number(owner, "v_max", hyperparameters.v_max, above=hyperparameters.v_min)
        self.n_outputs = int(hyperparameters.n_atoms)
        self._v_min, self._v_max = float(hyperparameters.v_min), float(hyperparameters.v_max)
        self._atoms = np.linspace(self._v_min, self._v_max, self.n_outputs)
        self._per_atom = (self.n_outputs - 1) / (self._v_max - self._v_min)
        self._ones = np.ones(self.n_outputs)
        self._weights: dict[np.dtype[Any], tuple[Array, Array]] = {}

    def values(
        self, outputs: Annotated[Array, "*rows {self.n_outputs}"]
    ) -> Annotated[Array, "*rows"]:
        """Return sum_i z_i p_i, shape (...), of logits (..., n_outputs); see `Head.values`."""
        if outputs.dtype not in self._weights:
            pair = self._atoms.astype(outputs.dtype), np.ones(self.n_outputs, outputs.dtype)
            self._weights[outputs.dtype] = pair
        atoms, ones = self._weights[outputs.dtype]
        e = np.exp(_shifted(outputs))
        # Row by row: the rounding of a matrix product depends on the number of rows.
        values: Array = np.vecdot(e, atoms) / np.vecdot(e, ones)
        return values

    def project(
        self, bootstrap: Outputs, r_t: Rows, discount_t: Rows
    ) -> Annotated[F64, "rows {self.n_outputs}"]:
        """Project the target distribution onto the atoms: m of eq. 7.

        With b = (clipped return - v_min) / dz, the paper's algorithm 1 splits the mass between the
        atoms floor(b) and ceil(b), and loses it if b is an integer. Here the lower atom is
        min(floor(b), n_atoms - 2), and the upper one the next.

        Parameters
        ----------
        bootstrap, r_t, discount_t : ndarray, shapes (M, n_outputs), (M,), (M,)
            As in `Head.loss`.

        Returns
        -------
        ndarray, shape (M, n_outputs), float64
            Probabilities; each row sums to 1. A row with NaN in its inputs contains NaN.
        """
        rows, n = bootstrap.shape
        discount = discount_t.astype(np.float64)[:, None]
        reward = r_t.astype(np.float64)
        reward[~np.isfinite(reward)] = np.nan
        # Where the discount is 0, all logits become 0, whatever a finite bootstrap is; NaN stays.
        p = _shifted(np.multiply(bootstrap, discount != 0.0, dtype=np.float64))
        np.exp(p, out=p)
        p /= (p @ self._ones)[:, None]
        b = discount * self._atoms
        b += reward[:, None]
        b.clip(self._v_min, self._v_max, out=b)
        b -= self._v_min
        b *= self._per_atom
        lower = np.floor(b)
        np.fmin(lower, n - 2, out=lower)  # also replaces NaN, which is not an index
        b -= lower
        b *= p  # the upper atom's share
        p -= b
        places = (lower.astype(np.int64) + _row_starts(rows, n)).ravel()
        m = np.asarray(np.bincount(places, p.ravel(), rows * n), dtype=np.float64)
        m[1:] += np.bincount(places, b.ravel(), rows * n)[:-1]  # the lower atom is never the last
        return m.reshape(rows, n)

    def loss(
        self, predicted: Outputs, bootstrap: Outputs, r_t: Rows, discount_t: Rows
    ) -> tuple[Rows, Outputs, Rows]:
        """Return losses (M,), d_predicted (M, n_outputs), priorities (M,); see `Head.loss`."""
        dtype = predicted.dtype
        m = self.project(bootstrap, r_t, discount_t)
        x = _shifted(predicted.astype(np.float64))
        p = np.exp(x)
        total = (p @ self._ones)[:, None]
        p /= total
        p -= m
        x -= np.log(total)  # log p
        losses = -np.vecdot(m, x)
        # 0 log 0 = 0; `np.maximum` propagates NaN.
        priorities = losses + np.vecdot(m, np.log(np.maximum(m, _LEAST)))
        np.maximum(priorities, 0.0, out=priorities)  # may be below 0 by a rounding error
        return losses.astype(dtype), p.astype(dtype), priorities.astype(dtype)
