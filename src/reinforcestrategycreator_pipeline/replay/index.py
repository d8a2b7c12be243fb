"""A ring buffer of indices, for tasks whose states can be gathered again.

In an exogenous market a transition is (row, position, action): the row of one feature matrix, the
index of the previous target, the index of the new one. Eight bytes a transition instead of two
state vectors, and no copy of a state until it is sampled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.sampling import Sampler
from reinforcestrategycreator_pipeline.replay.store import RingStore

Gather = Callable[[Ints, Ints, Ints], Batch]


class IndexReplay(RingStore):
    """Keeps the last `capacity` index triples; its sampler draws from them.

    Parameters
    ----------
    capacity : int
        Triples kept; the oldest are overwritten.
    gather : callable
        ``gather(rows, positions, actions) -> Batch``: makes the states and rewards.
    rng : numpy.random.Generator
        Source of the sampling.
    sampler : Sampler, optional
        Uniform without replacement if None.
    """

    def __init__(
        self,
        capacity: int,
        gather: Gather,
        rng: np.random.Generator,
        *,
        sampler: Sampler | None = None,
    ) -> None:
        integers = {"rows": np.int32, "positions": np.int16, "actions": np.int16}
        columns = {name: ((), dtype) for name, dtype in integers.items()}
        super().__init__(capacity, columns, rng, sampler)
        self._gather = gather

    def push_many(self, rows: Ints, positions: Ints, actions: Ints) -> None:
        """Store N triples, shape (N,) each, N <= capacity."""
        n = len(rows)
        self._require_room(n)
        self._append(n, (rows, positions, actions))

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` triples and gather them.

        The batch has the slots as `indices` and, if the sampler weighs, `weights` in the type of
        the rewards (float64 if those are integers).

        Raises
        ------
        ConfigError
            If fewer are stored.
        """
        i, weights = self.sampler.draw(self.rng, self._size, batch_size)
        batch = self._gather(*[x.take(i).astype(np.int64) for x in self._columns.values()])
        if weights is not None and batch.r_t.dtype.kind == "f":
            weights = weights.astype(batch.r_t.dtype, copy=False)
        return batch._replace(weights=weights, indices=i)
