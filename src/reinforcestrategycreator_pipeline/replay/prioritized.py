"""Prioritized experience replay, proportional variant: Schaul et al. 2016, arXiv:1511.05952.

With the temporal-difference error delta_i from the last time transition i was used for training:

    p_i = (|delta_i| + epsilon)^alpha      for a new transition the largest p seen, initially 1
    P(i) = p_i / sum_k p_k                 probability; B draws, one from each of B equal strata
    w_i = (N P(i))^-beta / max_j w_j       over the batch; N and the sum cancel
        = (min_j p_j / p_i)^beta
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.checks import require_number
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.sampling import require_enough
from reinforcestrategycreator_pipeline.replay.sum_tree import SumTree, require_values


class PrioritizedSampler:
    """Stratified sampling in proportion to priorities, with replacement.

    Parameters
    ----------
    capacity : int
        Capacity of the replay.
    alpha : float
        Exponent of the priorities, in [0, 1]: 0 samples uniformly, 1 in proportion to the error.
    epsilon : float
        Added to each error, in (0, 1], so a transition with zero error can still be drawn.

    Attributes
    ----------
    beta : float
        Exponent of the importance weights, in [0, 1]: 0 leaves the bias of sampling, 1 corrects it
        fully. The learner increases it during training.
    max_priority : float
        Largest p seen, which new transitions get.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    def __init__(self, capacity: int, alpha: float = 0.6, epsilon: float = 1e-6) -> None:
        require_number("PrioritizedSampler", "alpha", alpha, low=0, high=1)
        require_number("PrioritizedSampler", "epsilon", epsilon, above=0, high=1)
        self._tree = SumTree(capacity)
        self.capacity = capacity
        self.alpha = float(alpha)
        self.epsilon = float(epsilon)
        self.beta = 0.4
        self.max_priority = 1.0

    def added(self, slots: int | Ints) -> None:
        """Give new transitions, in one slot or slots (n,), the largest priority seen."""
        if isinstance(slots, int):
            self._tree.set_one(slots, self.max_priority)
        else:
            self._tree.set(slots, self.max_priority)

    def draw(
        self, rng: np.random.Generator, size: int, batch_size: int
    ) -> tuple[Annotated[Ints, "{batch_size}"], Annotated[F64, "{batch_size}"]]:
        """Return slots in ascending order, and their importance weights, shape (batch_size,) each.

        A slot may occur several times. Slots never written do not occur.

        Raises
        ------
        ConfigError
            If `batch_size` exceeds `size` or is below 1.
        """
        require_enough(size, batch_size)
        strata = np.arange(batch_size) + rng.random(batch_size)
        i = self._tree.find(strata * (self._tree.total / batch_size))
        p = self._tree.values.take(i)
        return i, (np.minimum.reduce(p) / p) ** self.beta

    def update(self, indices: ArrayLike, priorities: ArrayLike) -> None:
        """Set priorities from errors; if a slot occurs twice, the last error counts.

        Parameters
        ----------
        indices : array_like of int, shape (B,)
            Slots returned by `draw`.
        priorities : array_like, shape (B,)
            |delta|, or another measure >= 0 of how much there is to learn. alpha and epsilon are
            applied here, in float64.

        Raises
        ------
        ConfigError
            If a priority is negative, the two lengths differ, or a slot was never written; nothing
            is changed then.
        NonFiniteError
            If a priority is NaN or infinite; nothing is changed then.
        """
        i = np.asarray(indices, dtype=np.int64)
        errors = np.asarray(priorities, dtype=np.float64)
        if i.ndim != 1 or i.shape != errors.shape:
            raise ConfigError(
                f"update needs one priority per index. Got priorities of shape {errors.shape} "
                f"and indices of shape {i.shape} instead."
            )
        if not i.size:
            return
        require_values(errors)
        p = (errors + self.epsilon) ** self.alpha
        self._tree.set(i, p, known=True)
        self.max_priority = max(self.max_priority, float(np.maximum.reduce(p)))

    def arrays(self) -> dict[str, Array]:
        """Return the priorities up to the last slot written, the largest seen, and beta."""
        written = self._tree.values.nonzero()[0]
        return {
            "priorities": self._tree.values[: written[-1] + 1 if written.size else 0],
            "max_priority": np.array([self.max_priority]),
            "beta": np.array([float(self.beta)]),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Restore a state returned by `arrays`; recomputed sums are bit-identical.

        Raises
        ------
        ConfigError
            If the state belongs to another sampler, or its priorities exceed the capacity or are
            not above 0; nothing is changed then.
        NonFiniteError
            If a priority is NaN or infinite; nothing is changed then.
        """
        if set(arrays) != {"priorities", "max_priority", "beta"}:
            got = ", ".join(sorted(arrays)) or "no priorities"
            raise ConfigError(f"the stored replay has {got}; this one samples by priority")
        priorities, largest = arrays["priorities"], arrays["max_priority"]
        require_values(largest)
        if not (priorities.all() and largest.all()):
            raise ConfigError("a stored priority must be > 0. Got 0 instead.")
        self._tree.fill(priorities)
        self.max_priority = float(largest[0])
        self.beta = float(arrays["beta"][0])
