"""Several ring replays with shared storage, sampled together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.action_masks import unpacked
from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.sampling import UniformSampler, distinct_indices


class StackedRings:
    """K ring replays that store each column in one shared array.

    Every ring keeps its own generator, content, and interface; only the storage is shared, so
    sampling all of them takes one gather per column. Each ring draws what it would draw alone.

    Parameters
    ----------
    rings : sequence of RingReplay
        Rings of the same form (see `fits`); their columns are moved.
    """

    def __init__(self, rings: Sequence[RingReplay]) -> None:
        assert self.fits(rings)
        self.rings = list(rings)
        self._capacity = rings[0].capacity
        self._n_step = rings[0].n_step
        self._columns: dict[str, Array] = {}
        self._first = np.arange(len(rings))[:, None] * self._capacity
        self._share(len(rings))
        self._uniform: F64 = np.empty((0, 0))

    def _share(self, places: int) -> None:
        """Move the columns of the rings that are not shared yet."""
        for name, column in self.rings[0]._columns.items():
            if name in self._columns:
                continue
            together = np.empty((places, *column.shape), dtype=column.dtype)
            for ring, first in zip(self.rings, self._first[:, 0].tolist(), strict=True):
                place = together[first // self._capacity]
                place[: len(ring)] = ring._columns[name][: len(ring)]
                ring._columns[name] = place
            self._columns[name] = together.reshape(-1, *column.shape[1:])

    @staticmethod
    def fits(replays: Sequence[Any]) -> bool:
        """Tell whether all replays are rings of the same form that sample uniformly."""

        def form(ring: Any) -> Any:
            columns = [(n, c.shape, c.dtype) for n, c in ring._columns.items()]
            return ring.capacity, ring.n_step, columns

        alike = all(
            isinstance(r, RingReplay) and isinstance(r.sampler, UniformSampler) for r in replays
        )
        return alike and all(form(r) == form(replays[0]) for r in replays)

    def drop(self, k: int) -> None:
        """Draw no more for ring `k`; its content stays where it is."""
        del self.rings[k]
        self._first = np.delete(self._first, k, axis=0)
        self._uniform = np.empty((0, 0))

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions from each ring; arrays have a leading axis of length K.

        Raises
        ------
        ConfigError
            If a ring holds fewer, or some rings store action masks and others do not.
        """
        masked = self._masked()
        slots = self._draw(batch_size)
        slots += self._first
        fields: list[Any] = [column.take(slots, axis=0) for column in self._columns.values()]
        if masked:
            n_actions = self.rings[0].n_actions
            assert n_actions is not None
            return Batch(*fields[:-1])._replace(mask_t=unpacked(fields[-1], n_actions))
        return Batch(*fields)

    def _masked(self) -> bool:
        """Tell whether the rings store action masks, which they may have begun to do."""
        masked = [ring.masked for ring in self.rings]
        require_same_masks(masked)
        if len(self._columns) < len(self.rings[0]._columns):
            self._share(len(self._columns["r_t"]) // self._capacity)
        return masked[0]

    def _draw(self, count: int) -> Ints:
        """Return the `distinct_indices` of each ring, shape (K, count)."""
        sizes = [len(ring) for ring in self.rings]
        if count < 1 or count * count > min(sizes):
            return np.stack(
                [distinct_indices(r.rng, n, count) for r, n in zip(self.rings, sizes, strict=True)]
            )
        if self._uniform.shape[1] != count:
            self._uniform = np.empty((len(self.rings), count))
        for ring, row in zip(self.rings, self._uniform, strict=True):
            ring.rng.random(out=row)
        drawn: Ints = (self._uniform * np.array(sizes)[:, None]).astype(np.int64)
        drawn.sort(axis=1)
        repeated = (drawn[:, 1:] == drawn[:, :-1]).any(axis=1)
        for k in repeated.nonzero()[0].tolist():
            drawn[k] = distinct_indices(self.rings[k].rng, sizes[k], count)
        return drawn


def require_same_masks(masked: Sequence[bool]) -> None:
    """Raise `ConfigError` if some agents of a population have action masks and others do not."""
    if any(masked) and not all(masked):
        have, lack = masked.index(True), masked.index(False)
        raise ConfigError(
            f"the agents of a population must all have action masks, or none. "
            f"Got masks for agent {have} and none for agent {lack}."
        )
