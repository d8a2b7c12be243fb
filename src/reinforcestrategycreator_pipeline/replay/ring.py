"""A ring buffer of whole transitions, for any task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.sampling import distinct_indices
from reinforcestrategycreator_pipeline.replay.store import RingStore


class RingReplay(RingStore):
    """Keeps the last `capacity` transitions; samples without replacement.

    Parameters
    ----------
    capacity : int
        Transitions kept; the oldest is overwritten.
    n_inputs : int
        Length of a state vector.
    rng : numpy.random.Generator
        Source of the sampling.
    dtype : dtype
        Of states and rewards.
    n_actions : int, optional
        Actions from 0 to n_actions - 1 are taken; without it, any.
    """

    def __init__(
        self,
        capacity: int,
        n_inputs: int,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        n_actions: int | None = None,
    ) -> None:
        columns = {
            "s_tm1": ((n_inputs,), dtype),
            "a_tm1": ((), np.int64),
            "r_t": ((), dtype),
            "s_t": ((n_inputs,), dtype),
            "terminated": ((), bool),
        }
        assert tuple(columns) == Batch._fields
        super().__init__(capacity, columns)
        self.n_inputs = n_inputs
        self.n_actions = n_actions
        self.rng = rng

    def push(
        self,
        state: ArrayLike,
        action: int,
        reward: float,
        next_state: ArrayLike,
        terminated: bool,
    ) -> None:
        """Store one transition.

        Parameters
        ----------
        state, next_state : array_like
            State vectors; any shape with `n_inputs` elements.
        action : int
            Index of the action taken.
        reward : float
            Reward received.
        next_state : array_like
            The state that followed.
        terminated : bool
            True where the task ended; False where an episode was only cut off.

        Raises
        ------
        ConfigError
            If a state has another length or there is no such action; nothing is stored then.
        """
        s_tm1, s_t = np.ravel(state), np.ravel(next_state)
        if not s_tm1.size == s_t.size == self.n_inputs:
            raise ConfigError(
                f"a state must hold {self.n_inputs} numbers. "
                f"Got {s_tm1.size} and, for the next state, {s_t.size} instead."
            )
        if self.n_actions is not None and not 0 <= action < self.n_actions:
            raise ConfigError(
                f"an action must be an integer from 0 to {self.n_actions - 1}. "
                f"Got {action!r} instead."
            )
        row = (s_tm1, action, reward, s_t, terminated)
        for column, value in zip(self._columns.values(), row, strict=True):
            column[self._next] = value
        self._advance(1)

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` distinct transitions uniformly.

        Raises
        ------
        ConfigError
            If fewer are stored.
        """
        i = distinct_indices(self.rng, self._size, batch_size)
        return Batch(*[column.take(i, axis=0) for column in self._columns.values()])
