"""What a training step tells about learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reinforcestrategycreator_pipeline.models.learner.guards import warn
from reinforcestrategycreator_pipeline.models.learner.training_step import StepResult
from reinforcestrategycreator_pipeline.nn.network import Array

if TYPE_CHECKING:
    from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

DEAD_SHARE_WARNED = 0.5


def diagnose(
    dqn: DQN, t: int, before: Array, gradient_norm: float, result: StepResult
) -> dict[str, float]:
    """Return the row of update `t`, and warn when most of the network has died since the last.

    Parameters
    ----------
    dqn : DQN
        After the update.
    t : int
        Its number.
    before : ndarray, shape (P,)
        The weights before it; overwritten.
    gradient_norm : float
        Before clipping.
    result : StepResult
        Of the update.
    """
    after = dqn.q_network["weights"].flat
    weight_norm = float(np.linalg.norm(before))
    before -= after
    q = result.action_values()[: result.rows]
    dead = dead_share(result.hidden)
    if dead > DEAD_SHARE_WARNED >= dqn.diagnostics.get("dead_units", 0.0):
        warn(
            f"training step {t}: {100 * dead:.0f}% of the hidden units are dead (their output is 0 "
            f"for the whole batch); a lower learning_rate or layer_norm may help"
        )
    return {
        "step": t,
        "loss": result.loss(),
        "grad_norm": gradient_norm,
        "update_norm": float(np.linalg.norm(before)) / max(weight_norm, 1e-30),
        "q_mean": float(q.mean()),
        "q_max": float(q.max()),
        "dead_units": dead,
        "learning_rate": dqn.learning_rate * dqn.learning_rate_scale,
    }


def dead_share(hidden: Sequence[Array]) -> float:
    """Return the share of hidden units (..., N, n_l) that none of the N rows woke."""
    dead = sum(int(np.count_nonzero(~(a > 0).any(axis=-2))) for a in hidden)
    units: int = sum(a.shape[-1] for a in hidden)
    return dead / units
