"""The plain head: one output per action, its expected return."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.checks import require_number
from reinforcestrategycreator_pipeline.nn.heads.base import HEADS, Outputs, Rows
from reinforcestrategycreator_pipeline.nn.losses import LOSSES


@HEADS.register("expected")
class Expected:
    """Plain head: one output per action, Q(s, a).

        y = r_t + discount_t * bootstrap,    error = predicted - y,    loss = loss(error, delta)

    Sources: Mnih et al. 2015, doi:10.1038/nature14236; with the action chosen by the online
    network it is double DQN, van Hasselt et al. 2016, arXiv:1509.06461, eq. 4. The priority is
    |error|, Schaul et al. 2016, arXiv:1511.05952, section 3.3.

    Parameters
    ----------
    hyperparameters : object
        Attributes ``loss``, a name in `LOSSES` or another `Component`, and ``huber_delta``, its
        delta, > 0.

    Raises
    ------
    ConfigError
        If there is no such loss, or delta is out of range.
    """

    def __init__(self, hyperparameters: Any) -> None:
        require_number("head 'expected'", "huber_delta", hyperparameters.huber_delta, above=0.0)
        self.n_outputs = 1
        self._loss = LOSSES.build(hyperparameters.loss)
        self._delta = float(hyperparameters.huber_delta)

    def values(
        self, outputs: Annotated[Array, "*rows {self.n_outputs}"]
    ) -> Annotated[Array, "*rows"]:
        """Return ``outputs[..., 0]``, a view."""
        return outputs[..., 0]

    def loss(
        self, predicted: Outputs, bootstrap: Outputs, r_t: Rows, discount_t: Rows
    ) -> tuple[Rows, Outputs, Rows]:
        """Return losses (M,), d_predicted (M, 1) and priorities (M,); see `Head.loss`."""
        error: Array = bootstrap[:, 0] * discount_t
        error += r_t
        np.subtract(predicted[:, 0], error, out=error)
        values, derivatives = self._loss(error, self._delta)
        return values, derivatives[:, None], np.abs(error)
