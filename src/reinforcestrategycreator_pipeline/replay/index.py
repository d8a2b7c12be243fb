"""A ring buffer of indices, for tasks whose states can be gathered again.

In an exogenous market a transition is (row, position, action): the row of one feature matrix, the
index of the previous target, the index of the new one. Eight bytes a transition instead of two
state vectors, and no copy of a state until it is sampled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.sampling import distinct_indices
from reinforcestrategycreator_pipeline.replay.store import RingStore

Ints = NDArray[np.int64]
Gather = Callable[[Ints, Ints, Ints], Batch]


class IndexReplay(RingStore):
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
        integers = {"rows": np.int32, "positions": np.int16, "actions": np.int16}
        super().__init__(capacity, {name: ((), dtype) for name, dtype in integers.items()})
        self.rng = rng
        self._gather = gather

    def push_many(self, rows: Ints, positions: Ints, actions: Ints) -> None:
        """Store N triples, shape (N,) each, N <= capacity."""
        n = len(rows)
        if n > self.capacity:
            raise ConfigError(f"{n} transitions at once exceed a replay's capacity {self.capacity}")
        slots = (self._next + np.arange(n)) % self.capacity
        for column, values in zip(self._columns.values(), (rows, positions, actions), strict=True):
            column[slots] = values
        self._advance(n)

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` distinct triples uniformly and gather them.

        Raises
        ------
        ConfigError
            If fewer are stored.
        """
        i = distinct_indices(self.rng, self._size, batch_size)
        return self._gather(*[column.take(i).astype(np.int64) for column in self._columns.values()])
