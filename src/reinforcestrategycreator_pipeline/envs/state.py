"""The layout of a state, shared by the market, the environment, and the policy."""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32, Array


class StateLayout:
    """A state: F scaled features of the bar that just closed, then the previous target, one-hot.

    Parameters
    ----------
    n_features : int
        Number of features F.
    n_positions : int
        Number of target exposures n.
    """

    def __init__(self, n_features: int, n_positions: int) -> None:
        self.n_features, self.n_positions = n_features, n_positions
        self._one_hot = np.eye(n_positions, dtype=np.float32)

    @property
    def n_inputs(self) -> int:
        """Length of a state."""
        return self.n_features + self.n_positions

    def compose(self, features: Array, held: Array | int) -> F32:
        """Return states, shape (..., F + n).

        Parameters
        ----------
        features : ndarray, shape (..., F)
            Scaled features of each bar.
        held : ndarray of int, shape (...), or int
            Indices of the previous targets; broadcast against the leading axes of the features.
        """
        previous = self._one_hot.take(held, axis=0)
        shape = np.broadcast_shapes(features.shape[:-1], previous.shape[:-1])
        states = np.empty((*shape, self.n_inputs), dtype=np.float32)
        states[..., : self.n_features] = features
        states[..., self.n_features :] = previous
        return states
