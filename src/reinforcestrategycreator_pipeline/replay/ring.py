"""A ring buffer of whole transitions, for any task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.batch import Batch, stored_place
from reinforcestrategycreator_pipeline.replay.sampling import distinct_indices


class RingReplay:
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
        self.capacity = capacity
        self.n_inputs = n_inputs
        self.n_actions = n_actions
        self.rng = rng
        # np.empty: the operating system commits memory only as the ring fills.
        self._s_tm1 = np.empty((capacity, n_inputs), dtype=dtype)
        self._a_tm1 = np.empty(capacity, dtype=np.int64)
        self._r_t = np.empty(capacity, dtype=dtype)
        self._s_t = np.empty((capacity, n_inputs), dtype=dtype)
        self._terminated = np.empty(capacity, dtype=bool)
        self._next = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

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
        i = self._next
        self._s_tm1[i] = s_tm1
        self._a_tm1[i] = action
        self._r_t[i] = reward
        self._s_t[i] = s_t
        self._terminated[i] = terminated
        self._next = (i + 1) % self.capacity
        self._size = min(self._size + 1, self.capacity)

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` distinct transitions uniformly.

        Raises
        ------
        ConfigError
            If fewer are stored.
        """
        i = distinct_indices(self.rng, self._size, batch_size)
        return Batch(
            self._s_tm1.take(i, axis=0),
            self._a_tm1.take(i),
            self._r_t.take(i),
            self._s_t.take(i, axis=0),
            self._terminated.take(i),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the stored transitions by name, for a checkpoint."""
        n = self._size
        return {
            "s_tm1": self._s_tm1[:n],
            "a_tm1": self._a_tm1[:n],
            "r_t": self._r_t[:n],
            "s_t": self._s_t[:n],
            "terminated": self._terminated[:n],
            "next": np.array([self._next]),
        }

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Set the content to what `arrays` returned, of a ring of the same capacity."""
        n = len(arrays["a_tm1"])
        place = stored_place(arrays, n, self.capacity)
        self._s_tm1[:n] = arrays["s_tm1"]
        self._a_tm1[:n] = arrays["a_tm1"]
        self._r_t[:n] = arrays["r_t"]
        self._s_t[:n] = arrays["s_t"]
        self._terminated[:n] = arrays["terminated"]
        self._next = place
        self._size = n
