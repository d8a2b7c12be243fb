"""The quantile head: the return's distribution by its quantiles.

Dabney, Rowland, Bellemare & Munos 2018, "Distributional reinforcement learning with quantile
regression", arXiv:1710.10044.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.checks import require_int, require_number
from reinforcestrategycreator_pipeline.nn.heads.base import HEADS, Outputs, Rows

# Size of one (m, n, n) array, chosen such that several fit in the processor's cache.
BLOCK = 100_000


@HEADS.register("qr")
class QR:
    """Quantile head: `n_atoms` outputs per action, the quantiles at tau_i = (2i + 1) / (2n).

        Q     = sum_i theta_i / n
        y_j   = r_t + discount_t theta'_j,    u_ij = y_j - theta_i
        loss  = sum_i mean_j |tau_i - 1{u_ij < 0}| L(u_ij) / kappa               eq. 10, alg. 1
        L(u)  = u^2 / 2 if |u| <= kappa, else kappa (|u| - kappa / 2)            eq. 9
        d loss / d theta_i = -mean_j |tau_i - 1{u_ij < 0}| clip(u_ij, -kappa, kappa) / kappa

    theta' are the quantiles of the bootstrap, and i starts at 0. Divided by kappa, the loss tends
    to the quantile regression loss as kappa goes to 0 (as in Dabney et al. 2018, arXiv:1806.06923,
    eq. 3). The priority is the loss.

    Parameters
    ----------
    hyperparameters : object
        Attributes ``n_atoms``, the number of quantiles, >= 1, and ``huber_delta``, kappa, > 0.

    Notes
    -----
    Not thread-safe: the (m, n, n) arrays are kept between calls.

    Raises
    ------
    ConfigError
        If a hyperparameter is out of range.
    """

    def __init__(self, hyperparameters: Any) -> None:
        require_int("head 'qr'", "n_atoms", hyperparameters.n_atoms, 1)
        require_number("head 'qr'", "huber_delta", hyperparameters.huber_delta, above=0.0)
        self.n_outputs = int(hyperparameters.n_atoms)
        self._kappa = float(hyperparameters.huber_delta)
        self._scratch: tuple[Array, ...] = ()

    def values(
        self, outputs: Annotated[Array, "*rows {self.n_outputs}"]
    ) -> Annotated[Array, "*rows"]:
        """Return the mean of the quantiles, shape (...); see `Head.values`."""
        values: Array = np.add.reduce(outputs, axis=-1)
        values /= self.n_outputs
        return values

    def _buffers(self, dtype: np.dtype[Any]) -> tuple[Array, ...]:
        """Return [1, -theta] (m, n, 2), [y; 1] (m, 2, n), tau - 1/2 (n, n), 1 (n,), 3 (m, n, n)."""
        if not self._scratch or self._scratch[0].dtype != dtype:
            n = self.n_outputs
            m = max(BLOCK // (n * n), 1)
            tau = (2.0 * np.arange(n)[:, None] + 1.0) / (2.0 * n)
            centered = np.repeat(tau - 0.5, n, axis=1).astype(dtype)
            ones = (np.ones(shape, dtype) for shape in ((m, n, 2), (m, 2, n)))
            tables = (np.empty((m, n, n), dtype) for _ in range(3))
            self._scratch = (*ones, centered, np.ones(n, dtype), *tables)
        return self._scratch

    def loss(
        self, predicted: Outputs, bootstrap: Outputs, r_t: Rows, discount_t: Rows
    ) -> tuple[Rows, Outputs, Rows]:
        """Return losses (M,), d_predicted (M, n_outputs), priorities (M,); see `Head.loss`."""
        rows, n = predicted.shape
        y = bootstrap * discount_t[:, None]
        y += r_t[:, None]
        losses, d_predicted = np.empty(rows, predicted.dtype), np.empty((rows, n), predicted.dtype)
        step = len(self._buffers(predicted.dtype)[0])
        for start in range(0, rows, step):
            block = slice(start, start + step)
            self._loss(predicted[block], y[block], losses[block], d_predicted[block])
        scale = 1.0 / (n * self._kappa)
        losses *= scale
        d_predicted *= -scale
        return losses, d_predicted, losses.copy()

    def _loss(
        self,
        theta: Annotated[Array, "rows n"],
        y: Annotated[Array, "rows n"],
        losses: Annotated[Array, "rows"],
        gradients: Annotated[Array, "rows n"],
    ) -> None:
        """Write n kappa times the losses of a block of rows, and -n kappa times the gradients."""
        rows, n = theta.shape
        left, right, centered, ones, *tables = self._buffers(theta.dtype)
        u, c, a = (table[:rows] for table in tables)
        left, right = left[:rows], right[:rows]
        right[:, 0] = y
        np.negative(theta, out=left[:, :, 1])
        # [1, -theta] [y; 1] = y - theta, rounded once: a matrix product is faster here than a
        # broadcast subtraction.
        np.matmul(left, right, out=u)
        np.clip(u, -self._kappa, self._kappa, out=c)
        # |tau - 1{c < 0}| c = c / 2 + (tau - 1/2) |c|, without a mask.
        np.abs(c, out=a)
        a *= centered
        c *= 0.5
        a += c
        u -= c  # L(u) = c (u - c / 2)
        np.vecdot(a.reshape(rows, n * n), u.reshape(rows, n * n), out=losses)
        np.matmul(a, ones, out=gradients)
