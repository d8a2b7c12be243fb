"""Choosing actions while training goes on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.models.learner.networks import QNetworks
from reinforcestrategycreator_pipeline.nn.network import Array
from reinforcestrategycreator_pipeline.nn.normalization import RunningNormalizer


def explore(
    networks: QNetworks,
    states: Array,
    normalizer: RunningNormalizer | None,
    rng: np.random.Generator,
    exploration_rate: float,
) -> NDArray[np.int64]:
    """Return the best action of each state (E, n_inputs), or a random one; see `DQN`.

    Raises
    ------
    NonFiniteError
        If an output of the network is not finite: there is no best action then.
    """
    rows, n_actions = len(states), networks.spec.n_actions
    random = None
    if exploration_rate > 0.0:
        if rows == 1:  # a vector's draws cost several times a number's
            if rng.random() < exploration_rate:
                return np.array([rng.integers(n_actions)])
        else:
            random = rng.random(rows) < exploration_rate
            if random.all():
                return rng.integers(n_actions, size=rows)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        outputs = networks.outputs_for_acting(states, normalizer)
        if not math.isfinite(float(np.vdot(outputs, outputs))):
            _require_finite(outputs)
    actions: NDArray[np.int64] = networks.head.values(outputs).argmax(axis=1)
    if random is not None and random.any():
        actions[random] = rng.integers(n_actions, size=int(random.sum()))
    return actions


def _require_finite(outputs: Array) -> None:
    bad = ~np.isfinite(outputs).all(axis=(1, 2))
    if bad.any():
        row = int(bad.argmax())
        raise NonFiniteError(
            f"the network's outputs {outputs[row].tolist()} for state {row} are not finite"
        )
