"""Estimates of the memory that a learner needs, compared with what there is before it is made."""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.memory import require_memory
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec

# Counted with tracemalloc, test_memory holds the estimates to within a factor of two. Weights,
# target, gradients and both moments are five copies; initial weights and snapshots come and go.
_COPIES_OF_WEIGHTS = 8
_COPIES_OF_ROWS = 9  # of all layers: three passes, masks, and the gradients of the backward pass


def network_bytes(spec: NetworkSpec, dtype: np.dtype) -> int:
    """Return the bytes of everything that has the size of the weights."""
    return _COPIES_OF_WEIGHTS * spec.n_parameters * dtype.itemsize


def batch_bytes(spec: NetworkSpec, dtype: np.dtype, rows: int) -> int:
    """Return the bytes of everything that has a row per state of a batch."""
    width = spec.n_inputs + sum(spec.hidden) + spec.n_actions * spec.n_outputs
    return _COPIES_OF_ROWS * rows * width * dtype.itemsize


def replay_bytes(n_inputs: int, dtype: np.dtype, rows: int) -> int:
    """Return the bytes of a ring of transitions: two states, and five numbers."""
    return rows * ((2 * n_inputs + 1) * dtype.itemsize + 4 * 8)


def require_network_memory(
    spec: NetworkSpec, dtype: np.dtype, rows: int, batch_size: int, agents: int = 1
) -> None:
    """Require that the learners of a DQN, or of a population, fit into the memory.

    Parameters
    ----------
    spec : NetworkSpec
        Shapes of the network; at configuration time, the smallest that there can be.
    dtype : dtype
        Type of the weights.
    rows : int
        States per batch, at least `batch_size`.
    batch_size : int
        Transitions per batch, as configured.
    agents : int
        Number of learners.

    Raises
    ------
    ConfigError
        If they do not fit; the message names what weighs most, and has both figures.
    """
    weights, batch = network_bytes(spec, dtype) * agents, batch_bytes(spec, dtype, rows) * agents
    if agents > 1 and max(weights, batch) / agents < (weights + batch) / 4:
        require_memory(weights + batch, "Population", "configs", f"{agents} agents")
    elif weights >= batch:
        require_memory(weights + batch, "DQN", "hidden_layers", list(spec.hidden_layers))
    else:
        require_memory(weights + batch, "DQN", "batch_size", batch_size)
