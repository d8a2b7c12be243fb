"""A ring buffer of indices, for tasks whose states can be gathered again.

In an exogenous market a transition is (row, position, action): the row of one feature matrix, the
index of the previous target, the index of the new one. Eight bytes a transition instead of two
state vectors, and no copy of a state until it is sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.batch import Batch, stored_place
from reinforcestrategycreator_pipeline.replay.sampling import distinct_indices

Ints = NDArray[np.int64]
Gather = Callable[[Ints, Ints, Ints], Batch]


class IndexReplay:
    """Keeps the last `capacity` index triples; samples without replacement.

    Parameters
    ----------
    capacity : int
        Triples kept; the oldest are overwritten.
    gather : callable
        ``gather(rows, positions, actions) -> Batch``: makes the states and rewards.
    rng : numpy.random.Generator
        Source of the sampling.
    """

    def __init__(self, capacity: int, gather: Gather, rng: np.random.Generator) -> None:
        self.capacity = capacity
        self.rng = rng
        self._gather = gather
        self._rows = np.empty(capacity, dtype=np.int32)
        self._positions = np.empty(capacity, dtype=np.int16)
        self._actions = np.empty(capacity, dtype=np.int16)
        self._next = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push_many(self, rows: Ints, positions: Ints, actions: Ints) -> None:
        """Store N triples, shape (N,) each, N <= capacity."""
        n = len(rows)
        if n > self.capacity:
            raise ConfigError(f"{n} transitions at once exceed a replay's capacity {self.capacity}")
        slots = (self._next + np.arange(n)) % self.capacity
        self._rows[slots] = rows
        self._positions[slots] = positions
        self._actions[slots] = actions
        self._next = (self._next + n) % self.capacity
        self._size = min(self._size + n, self.capacity)

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` distinct triples uniformly and gather them.

        Raises
        ------
        ConfigError
            If fewer are stored.
        """
        i = distinct_indices(self.rng, self._size, batch_size)
        rows = self._rows.take(i).astype(np.int64)
        positions = self._positions.take(i).astype(np.int64)
        return self._gather(rows, positions, self._actions.take(i).astype(np.int64))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the stored triples by name, for a checkpoint."""
        n = self._size
        return {
            "rows": self._rows[:n],
            "positions": self._positions[:n],
            "actions": self._actions[:n],
            "next": np.array([self._next]),
        }

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Set the content to what `arrays` returned, of a ring of the same capacity."""
        n = len(arrays["rows"])
        place = stored_place(arrays, n, self.capacity)
        self._rows[:n] = arrays["rows"]
        self._positions[:n] = arrays["positions"]
        self._actions[:n] = arrays["actions"]
        self._next = place
        self._size = n
