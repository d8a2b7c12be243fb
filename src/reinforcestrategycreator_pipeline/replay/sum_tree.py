"""A sum tree: sampling in proportion to changing values, in logarithmic time.

Schaul et al. 2016 (arXiv:1511.05952), appendix B.2.1, but with up to 32 children per node instead
of two: the cost in NumPy is per call, and a level takes the same few calls for a whole batch.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.limits import MAX_STEPS
from reinforcestrategycreator_pipeline.memory import require_memory

MAX_FANOUT = 32
"""Maximum children per node; of 2 to 128, 32 was fastest for batches of 32 and of 256."""

LARGEST = 1e290
"""Largest allowed value, such that no sum can overflow."""


class SumTree:
    """Values >= 0 by index, with sums over ranges of increasing length.

    A node is the sum of its `fanout` children and is always recomputed from them, so errors do not
    accumulate, and equal values give bit-identical sums, whatever the order of updates.

    Parameters
    ----------
    capacity : int
        Number of values, >= 1; all are initially 0.

    Raises
    ------
    ConfigError
        If `capacity` is not an integer from 1 to 1e9, or needs more memory than is available.
    """

    def __init__(self, capacity: int) -> None:
        require_int("SumTree", "capacity", capacity, 1, MAX_STEPS)
        require_memory(capacity * 9, "SumTree", "capacity", capacity)
        self.capacity = capacity
        levels = 1
        while MAX_FANOUT**levels < capacity:
            levels += 1
        # The smallest fanout that needs no further level.
        self.fanout = next(f for f in range(1, MAX_FANOUT + 1) if f**levels >= capacity)
        rows = [-(-capacity // self.fanout)]
        while len(rows) < levels:
            rows.insert(0, -(-rows[0] // self.fanout))
        # One flat array, root first. The children of node k of a level are row k of the next.
        flat = np.zeros(sum(rows) * self.fanout)
        ends = np.cumsum(rows) * self.fanout
        self._levels: list[F64] = [
            part.reshape(-1, self.fanout) for part in np.split(flat, ends[:-1].tolist())
        ]

    @property
    def values(self) -> F64:
        """The values, shape (capacity,): a view; change it only with `set`."""
        return self._levels[-1].reshape(-1)[: self.capacity]

    @property
    def total(self) -> float:
        """Sum of all values, up to rounding."""
        return float(np.add.reduce(self._levels[0][0]))

    def set(self, indices: ArrayLike, values: ArrayLike, *, known: bool = False) -> None:
        """Set the values at `indices`; if an index occurs twice, the last value counts.

        Parameters
        ----------
        indices : array_like of int, shape (B,) or ()
            Indices in [0, capacity).
        values : array_like, shape (B,) or ()
            One value for all indices or one for each, in [0, `LARGEST`].
        known : bool
            Raise for an index whose current value is 0.

        Raises
        ------
        ConfigError
            If an index is out of range or not known, or a value is negative; nothing is changed
            then.
        NonFiniteError
            If a value is NaN or above `LARGEST`; nothing is changed then.
        """
        i = np.asarray(indices, dtype=np.int64).reshape(-1)
        x = np.asarray(values, dtype=np.float64)
        require_values(x)
        if not i.size:
            return
        if x.shape != i.shape:
            x = np.broadcast_to(x, i.shape)
        if not np.logical_and.reduce(i[1:] > i[:-1]):
            # NumPy does not define which of several values at the same index is kept.
            order = i.argsort(kind="stable")
            i = i[order]
            last = np.append(i[1:] != i[:-1], True)
            i, x = i[last], x[order][last]
        if not 0 <= i[0] <= i[-1] < self.capacity:
            raise ConfigError(
                f"an index must be an integer from 0 to {self.capacity - 1}. "
                f"Got {i[0]} to {i[-1]} instead."
            )
        leaves = self._levels[-1].reshape(-1)
        if known and not np.logical_and.reduce(leaves.take(i)):
            empty = i[leaves[i] == 0].tolist()
            raise ConfigError(f"an index must refer to a stored transition. Got {empty} instead.")
        leaves[i] = x
        for parents, children in zip(self._levels[-2::-1], self._levels[:0:-1], strict=True):
            i = i // self.fanout
            parents.reshape(-1)[i] = np.add.reduce(children.take(i, axis=0), axis=1)

    def set_one(self, index: int, value: float) -> None:
        """Set one value, with index and value known to be valid; a third of the time of `set`."""
        assert 0 <= index < self.capacity
        assert 0 <= value <= LARGEST
        row, place = divmod(index, self.fanout)
        self._levels[-1][row, place] = value
        for parents, children in zip(self._levels[-2::-1], self._levels[:0:-1], strict=True):
            child = row
            row, place = divmod(child, self.fanout)
            parents[row, place] = np.add.reduce(children[child])

    def fill(self, values: Annotated[F64, "n"]) -> None:
        """Set the first n values, shape (n,), and all others to 0; raises like `set`."""
        if len(values) > self.capacity:
            raise ConfigError(f"{len(values)} values exceed a sum tree's capacity {self.capacity}")
        require_values(values)
        self.values[: len(values)] = values
        self.values[len(values) :] = 0.0
        for parents, children in zip(self._levels[-2::-1], self._levels[:0:-1], strict=True):
            parents.reshape(-1)[: len(children)] = np.add.reduce(children, axis=1)

    def find(self, masses: Annotated[F64, "n"]) -> Annotated[Ints, "n"]:
        """Return, for each mass, the first index at which the cumulative sum exceeds it.

        Parameters
        ----------
        masses : ndarray of float64, shape (B,)
            Masses in [0, `total`].

        Returns
        -------
        ndarray of int64, shape (B,)
            Indices, never of a value that is 0: if rounding leads beyond the last child, the last
            one above 0 is used.
        """
        sums = np.zeros(self.fanout + 1)
        np.add.accumulate(self._levels[0][0], out=sums[1:])
        assert sums[-1] > 0, "all values of the sum tree are 0"
        # Below the largest sum, the first sum above `left` belongs to a child above 0.
        left = np.minimum(masses, np.nextafter(sums[-1], 0.0))
        node: Ints = sums[1:].searchsorted(left, side="right")
        left -= sums[node]
        sums = np.zeros((len(left), self.fanout + 1))
        ends = sums[:, 1:]
        before = np.arange(0, sums.size, self.fanout + 1)
        for level in self._levels[1:]:
            np.add.accumulate(level.take(node, axis=0), axis=1, out=ends)
            np.minimum(left, np.nextafter(sums[:, -1], 0.0), out=left)
            child = (ends > left[:, None]).argmax(axis=1)
            left -= sums.reshape(-1).take(before + child)
            node *= self.fanout
            node += child
        return node


def require_values(values: F64) -> None:
    """Raise unless every value is a number in [0, `LARGEST`]."""
    if not values.size:
        return
    if np.minimum.reduce(values, None) >= 0 and np.maximum.reduce(values, None) <= LARGEST:
        return  # comparisons with NaN are false
    wrong = values[~((values >= 0) & (values <= LARGEST))]
    text = f"Got {float(wrong[0])!r} ({wrong.size} of {values.size} are invalid) instead."
    if (wrong < 0).all() and np.isfinite(wrong).all():
        raise ConfigError(f"a priority must be a number >= 0. {text}")
    raise NonFiniteError(f"a priority must be a finite number <= {LARGEST}. {text}")
