"""The ring under every replay: columns of equal length, the oldest row overwritten first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from reinforcestrategycreator_pipeline.errors import ConfigError


class RingStore:
    """Keeps the last `capacity` rows of some columns.

    Parameters
    ----------
    capacity : int
        Rows kept.
    columns : mapping of str to (shape, dtype)
        Of one row's entry in each column.
    """

    def __init__(
        self, capacity: int, columns: Mapping[str, tuple[tuple[int, ...], DTypeLike]]
    ) -> None:
        self.capacity = capacity
        # np.empty: the operating system commits memory only as the ring fills.
        self._columns: dict[str, NDArray[Any]] = {
            name: np.empty((capacity, *shape), dtype=dtype)
            for name, (shape, dtype) in columns.items()
        }
        self._next = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def _advance(self, rows: int) -> None:
        self._next = (self._next + rows) % self.capacity
        self._size = min(self._size + rows, self.capacity)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the stored rows by column, and the place of the next, for a checkpoint."""
        stored = {name: column[: self._size] for name, column in self._columns.items()}
        return {**stored, "next": np.array([self._next])}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set the content to what `arrays` returned, of a ring of the same capacity.

        Raises
        ------
        ConfigError
            If the ring that was stored had another capacity: its place would not fit this one.
        """
        n = len(arrays[next(iter(self._columns))])
        place = int(arrays["next"][0])
        if not (place == n < self.capacity or 0 <= place < n == self.capacity):
            raise ConfigError(
                f"{n} stored transitions with the next place {place} do not fit "
                f"a replay of capacity {self.capacity}"
            )
        for name, column in self._columns.items():
            column[:n] = arrays[name]
        self._next, self._size = place, n
