"""Prioritized experience replay, proportional variant: Schaul et al. 2016, arXiv:1511.05952.

With the temporal-difference error delta_i of transition i when it was last learnt from:

    p_i = (|delta_i| + epsilon)^alpha      the largest seen for a transition that is new, at first 1
    P(i) = p_i / sum_k p_k                 the chance to be drawn, B times, from B equal strata
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
    """Draws in proportion to priorities, with replacement, stratified.

    Parameters
    ----------
    capacity : int
        Of the replay.
    alpha : float
        From 0, where all are as likely, to 1, where the chance is proportional to the error.
    epsilon : float
        Above 0, at most 1: a transition without an error stays possible.

    Attributes
    ----------
    beta : float
        From 0, no correction of the bias, to 1, the whole of it; the learner raises it.
    max_priority : float
        The largest p seen: of a new transition.

    Raises
    ------
    ConfigError
        If a parameter is out of its range.
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
        """Give the new transitions in `slots`, shape (n,) or one, the largest priority seen."""
        if isinstance(slots, int):
            self._tree.set_one(slots, self.max_priority)
        else:
            self._tree.set(slots, self.max_priority)

    def draw(
        self, rng: np.random.Generator, size: int, batch_size: int
    ) -> tuple[Annotated[Ints, "{batch_size}"], Annotated[F64, "{batch_size}"]]:
        """Return slots in ascending order and their weights, shape (batch_size,) each.

        One slot may come several times. Slots that were never written do not come.

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
        """Set priorities from errors; of a slot that comes twice, the last one counts.

        Parameters
        ----------
        indices : array_like of int, shape (B,)
            Slots as `draw` gave them.
        priorities : array_like, shape (B,)
            |delta|, or what else tells how much there is to learn; alpha and epsilon are applied
            here, in float64.

        Raises
        ------
        ConfigError
            If a priority is negative, their number is not that of the slots, or a slot was never
            written; nothing is changed then.
        NonFiniteError
            If a priority is NaN or infinite; nothing is changed then.
        """
        i = np.asarray(indices, dtype=np.int64)
        errors = np.asarray(priorities, dtype=np.float64)
        if i.ndim != 1 or i.shape != errors.shape:
            raise ConfigError(
                f"update needs one priority for each index. Got the shapes {errors.shape} of "
                f"priorities and {i.shape} of indices instead."
            )
        if not i.size:
            return
        require_values(errors)
        p = (errors + self.epsilon) ** self.alpha
        self._tree.set(i, p, known=True)
        self.max_priority = max(self.max_priority, float(np.maximum.reduce(p)))

    def arrays(self) -> dict[str, Array]:
        """Return priorities up to the last slot written, the largest seen, and beta."""
        written = self._tree.values.nonzero()[0]
        return {
            "priorities": self._tree.values[: written[-1] + 1 if written.size else 0],
            "max_priority": np.array([self.max_priority]),
            "beta": np.array([float(self.beta)]),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Set the state to what `arrays` returned; the sums are computed anew, to the same bits.

        Raises
        ------
        ConfigError
            If the state is of another sampler, or its priorities do not fit the capacity or are
            not above 0; nothing is changed then.
        NonFiniteError
            If a priority is NaN or infinite; nothing is changed then.
        """
        if set(arrays) != {"priorities", "max_priority", "beta"}:
            got = ", ".join(sorted(arrays)) or "no priorities"
            raise ConfigError(f"the stored replay has {got}; this one draws by priority")
        priorities, largest = arrays["priorities"], arrays["max_priority"]
        require_values(largest)
        if not (priorities.all() and largest.all()):
            raise ConfigError("a stored priority must be above 0. Got 0 instead.")
        self._tree.fill(priorities)
        self.max_priority = float(largest[0])
        self.beta = float(arrays["beta"][0])
