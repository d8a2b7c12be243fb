"""A ring buffer of indices, for tasks whose states can be recomputed from them.

In an exogenous market a transition is (row, position, action): a row of the feature matrix, the
index of the previous target, and the index of the new one. That takes eight bytes per transition
instead of two state vectors, and states are copied only when sampled.
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
    """A replay of the last `capacity` index triples.

    Parameters
    ----------
    capacity : int
        Maximum number of triples, >= 1; the oldest are overwritten.
    gather : callable
        ``gather(rows, positions, actions) -> Batch``, which computes states and rewards.
    rng : numpy.random.Generator
        Generator for sampling.
    sampler : Sampler, optional
        Chooses the triples of a batch; by default uniformly, without replacement.
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
        """Store N <= capacity triples, given as three arrays of shape (N,)."""
        n = len(rows)
        self._require_room(n)
        self._append(n, (rows, positions, actions))

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` triples and gather their states and rewards.

        The batch has the slots as `indices` and, if the sampler computes importance weights,
        `weights` of the rewards' dtype (float64 if that is an integer type).

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
