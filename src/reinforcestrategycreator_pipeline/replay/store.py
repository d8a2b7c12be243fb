"""The ring buffer behind every replay: columns of equal length; the oldest row is overwritten."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.checks import require, require_int
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.limits import MAX_STEPS
from reinforcestrategycreator_pipeline.memory import require_memory
from reinforcestrategycreator_pipeline.replay.sampling import Sampler, UniformSampler


class RingStore:
    """The last `capacity` rows of some columns, and the sampler that chooses among them.

    Parameters
    ----------
    capacity : int
        Maximum number of rows, 1 to 1e9.
    columns : mapping of str to (shape, dtype)
        Shape and type of one row's entry in each column.
    rng : numpy.random.Generator
        Generator for sampling.
    sampler : Sampler, optional
        Chooses the rows of a batch; by default uniformly, without replacement.

    Raises
    ------
    ConfigError
        If the capacity is out of range, the columns are estimated to need more memory than is
        available, or the sampler's capacity differs.

    Attributes
    ----------
    n_step : int
        Environment steps that a transition spans.
    """

    n_step = 1
    sampler: Sampler

    def __init__(
        self,
        capacity: int,
        columns: Mapping[str, tuple[tuple[int, ...], DTypeLike]],
        rng: np.random.Generator,
        sampler: Sampler | None = None,
    ) -> None:
        require_int(type(self).__name__, "capacity", capacity, 1, MAX_STEPS)
        sizes = [math.prod(shape) * np.dtype(kind).itemsize for shape, kind in columns.values()]
        require_memory(capacity * sum(sizes), type(self).__name__, "capacity", capacity)
        self.capacity = capacity
        self.rng = rng
        # np.empty: the operating system allocates memory only as the ring fills.
        self._columns: dict[str, Array] = {
            name: np.empty((capacity, *shape), dtype=dtype)
            for name, (shape, dtype) in columns.items()
        }
        self._next = 0
        self._size = 0
        self.draw_by(UniformSampler() if sampler is None else sampler)

    @property
    def columns(self) -> Mapping[str, Array]:
        """The columns, of `capacity` rows each; views."""
        return self._columns

    def draw_by(self, sampler: Sampler) -> None:
        """Set the sampler, which must have the store's capacity; all stored rows are new to it."""
        of_sampler = getattr(sampler, "capacity", self.capacity)
        rule = f"a sampler of the replay's capacity, {self.capacity}"
        require(of_sampler == self.capacity, type(self).__name__, "sampler", rule, of_sampler)
        self.sampler = sampler
        if self._size:
            sampler.added(np.arange(self._size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} of {self.capacity:,} rows)"

    def __len__(self) -> int:
        return self._size

    def _require_room(self, rows: int) -> None:
        """Raise `ConfigError` if `rows` rows added at once would overwrite one another."""
        if rows > self.capacity:
            raise ConfigError(
                f"cannot store {rows} transitions at once: the replay's capacity is {self.capacity}"
            )

    def _append(self, rows: int, values: Iterable[Array]) -> None:
        """Store at most `capacity` rows, given as columns."""
        start, before_end = self._next, min(rows, self.capacity - self._next)
        for column, value in zip(self._columns.values(), values, strict=True):
            column[start : start + before_end] = value[:before_end]
            if before_end < rows:
                column[: rows - before_end] = value[before_end:]
        self._next = (start + rows) % self.capacity
        self._size = min(self._size + rows, self.capacity)
        one = rows == 1
        self.sampler.added(start if one else (start + np.arange(rows)) % self.capacity)

    def update_priorities(self, indices: ArrayLike, priorities: ArrayLike) -> None:
        """Pass the errors of a batch to the sampler; uniform sampling ignores them.

        Parameters
        ----------
        indices : array_like of int, shape (B,)
            The `indices` of a batch; call this before pushing anything else.
        priorities : array_like, shape (B,)
            |delta| of each transition, or another measure >= 0 of how much there is to learn.

        Raises
        ------
        ConfigError, NonFiniteError
            If the sampler rejects a value; nothing is changed then.
        """
        self.sampler.update(indices, priorities)

    def arrays(self) -> dict[str, Array]:
        """Return all content for a checkpoint: columns, the next slot, and the sampler's state.

        The state of the generator is not included. Most arrays are views: write them to a file
        before the next push.
        """
        stored = {name: column[: self._size] for name, column in self._columns.items()}
        sampler = {f"sampler.{name}": array for name, array in self.sampler.arrays().items()}
        return {**stored, "next": np.array([self._next]), **sampler}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Restore content returned by `arrays` of a replay with the same parameters.

        Raises
        ------
        ConfigError
            If the stored replay has another capacity or sampler, or other columns; the rows are
            unchanged then.
        """
        missing = [name for name in (*self._columns, "next") if name not in arrays]
        if missing:
            raise ConfigError(f"the stored transitions have no {', '.join(missing)}")
        n = len(arrays[next(iter(self._columns))])
        place = int(arrays["next"][0])
        if not (place == n < self.capacity or 0 <= place < n == self.capacity):
            raise ConfigError(
                f"{n} stored transitions with the next slot {place} do not fit "
                f"a replay of capacity {self.capacity}"
            )
        for name, column in self._columns.items():
            stored = arrays[name]
            if stored.shape != (n, *column.shape[1:]) or stored.dtype != column.dtype:
                raise ConfigError(
                    f"the stored {name} must be {column.dtype} {(n, *column.shape[1:])}. "
                    f"Got {stored.dtype} {stored.shape} instead."
                )
        of_sampler = part(arrays, "sampler.")
        if len(of_sampler.get("priorities", range(n))) != n:
            raise ConfigError(
                f"{n} stored transitions need {n} priorities. "
                f"Got {len(of_sampler['priorities'])} instead."
            )
        self.sampler.restore(of_sampler)
        for name, column in self._columns.items():
            column[:n] = arrays[name]
        self._next, self._size = place, n


def part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays whose names start with `prefix`, under their names without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
