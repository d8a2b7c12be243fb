"""A sum tree: draws in proportion to values that change, in logarithmic time.

Schaul et al. 2016 (arXiv:1511.05952), appendix B.2.1, with up to 32 children a node in the place
of two: NumPy's time is per call, and a level costs the same few calls for the whole batch.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError

MAX_FANOUT = 32
"""Children of a node. Of 2 to 128, 32 was the fastest for batches of 32 and of 256."""

LARGEST = 1e290
"""Of a value: no sum over any memory can overflow."""


class SumTree:
    """Values >= 0 by index, and their sums over ever longer ranges.

    A node is the sum of its `fanout` children, always recomputed from them: no error accumulates,
    and the same values give the same bits, however they came about.

    Parameters
    ----------
    capacity : int
        Values kept, all 0 at first.

    Raises
    ------
    ConfigError
        If `capacity` is not an integer >= 1.
    """

    def __init__(self, capacity: int) -> None:
        require_int("SumTree", "capacity", capacity, 1)
        self.capacity = capacity
        levels = 1
        while MAX_FANOUT**levels < capacity:
            levels += 1
        # The fewest children that need no further level.
        self.fanout = next(f for f in range(1, MAX_FANOUT + 1) if f**levels >= capacity)
        rows = [-(-capacity // self.fanout)]
        while len(rows) < levels:
            rows.insert(0, -(-rows[0] // self.fanout))
        # One flat array, the root first. Node k of a level has row k of the next as its children.
        flat = np.zeros(sum(rows) * self.fanout)
        ends = np.cumsum(rows) * self.fanout
        self._levels: list[F64] = [
            part.reshape(-1, self.fanout) for part in np.split(flat, ends[:-1].tolist())
        ]

    @property
    def values(self) -> F64:
        """The values, shape (capacity,): a view, to be changed by `set` alone."""
        return self._levels[-1].reshape(-1)[: self.capacity]

    @property
    def total(self) -> float:
        """The sum of all values, up to rounding."""
        return float(np.add.reduce(self._levels[0][0]))

    def set(self, indices: ArrayLike, values: ArrayLike, *, known: bool = False) -> None:
        """Set the values at `indices`; of an index that comes twice, the last value counts.

        Parameters
        ----------
        indices : array_like of int, shape (B,) or ()
        values : array_like, shape (B,) or ()
            One value for all, or one each.
        known : bool
            Refuse an index whose value is 0.

        Raises
        ------
        ConfigError
            If an index is out of range or not known, or a value negative; nothing is changed then.
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
            # NumPy does not promise which of several values at one index stays.
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
            raise ConfigError(f"an index must be that of a stored transition. Got {empty} instead.")
        leaves[i] = x
        for parents, children in zip(self._levels[-2::-1], self._levels[:0:-1], strict=True):
            i = i // self.fanout
            parents.reshape(-1)[i] = np.add.reduce(children.take(i, axis=0), axis=1)

    def set_one(self, index: int, value: float) -> None:
        """Do the same for one valid index and value, a third of the time."""
        assert 0 <= index < self.capacity
        assert 0 <= value <= LARGEST
        row, place = divmod(index, self.fanout)
        self._levels[-1][row, place] = value
        for parents, children in zip(self._levels[-2::-1], self._levels[:0:-1], strict=True):
            child = row
            row, place = divmod(child, self.fanout)
            parents[row, place] = np.add.reduce(children[child])

    def fill(self, values: Annotated[F64, "n"]) -> None:
        """Set the first values, shape (n,), and all others to 0; raises as `set` does."""
        if len(values) > self.capacity:
            raise ConfigError(f"{len(values)} values exceed a sum tree's capacity {self.capacity}")
        require_values(values)
        self.values[: len(values)] = values
        self.values[len(values) :] = 0.0
        for parents, children in zip(self._levels[-2::-1], self._levels[:0:-1], strict=True):
            parents.reshape(-1)[: len(children)] = np.add.reduce(children, axis=1)

    def find(self, masses: Annotated[F64, "n"]) -> Annotated[Ints, "n"]:
        """Return, for each mass, the first index up to which the values sum to more.

        Parameters
        ----------
        masses : ndarray of float64, shape (B,)
            From 0 to `total`.

        Returns
        -------
        ndarray of int64, shape (B,)
            Never an index whose value is 0: where rounding leads beyond the last child, the last
            one above 0 is taken.
        """
        sums = np.zeros(self.fanout + 1)
        np.add.accumulate(self._levels[0][0], out=sums[1:])
        assert sums[-1] > 0, "a sum tree of zeros has nothing to find"
        # Below the largest sum, the first sum above `left` is one that its own child has raised.
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
    """Raise unless every value is a number from 0 to `LARGEST`."""
    if not values.size:
        return
    if np.minimum.reduce(values, None) >= 0 and np.maximum.reduce(values, None) <= LARGEST:
        return  # a NaN does not come here
    wrong = values[~((values >= 0) & (values <= LARGEST))]
    text = f"Got {float(wrong[0])!r} ({wrong.size} of {values.size} are wrong) instead."
    if (wrong < 0).all() and np.isfinite(wrong).all():
        raise ConfigError(f"a priority must be a number >= 0. {text}")
    raise NonFiniteError(f"a priority must be a finite number <= {LARGEST}. {text}")
