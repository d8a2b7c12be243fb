"""How a replay draws: the interface of samplers, and the uniform one.

Uniform sampling of distinct indices, fast for small batches from large memories.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.errors import ConfigError


class Sampler(Protocol):
    """Chooses the slots of a batch.

    Attributes
    ----------
    beta : float
        Exponent of the importance weights, set by the learner as training goes on.
    """

    beta: float

    def added(self, slots: int | Ints) -> None:
        """Take note that the transitions in `slots` are new."""

    def draw(self, rng: np.random.Generator, size: int, batch_size: int) -> tuple[Ints, F64 | None]:
        """Return `batch_size` slots below `size` and their importance weights."""
        ...

    def update(self, indices: ArrayLike, priorities: ArrayLike) -> None:
        """Set the priorities of the slots `indices`."""

    def arrays(self) -> dict[str, Array]:
        """Return the state, for a checkpoint."""
        ...

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Set the state to what `arrays` returned."""


class UniformSampler:
    """Every transition is as likely; a batch holds none twice. It has no state."""

    beta = 1.0

    def added(self, slots: int | Ints) -> None:
        """Do nothing: nothing distinguishes a new transition."""

    def draw(self, rng: np.random.Generator, size: int, batch_size: int) -> tuple[Ints, None]:
        """Return `batch_size` distinct slots below `size`, shape (batch_size,), and None.

        Raises
        ------
        ConfigError
            If `batch_size` exceeds `size` or is below 1.
        """
        return distinct_indices(rng, size, batch_size), None

    def update(self, indices: ArrayLike, priorities: ArrayLike) -> None:
        """Do nothing: there are no priorities."""

    def arrays(self) -> dict[str, Array]:
        """Return an empty mapping."""
        return {}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Accept what `arrays` returned.

        Raises
        ------
        ConfigError
            If the state is of a sampler that has one.
        """
        if arrays:
            raise ConfigError(
                f"the stored replay drew by {', '.join(sorted(arrays))}; this one draws uniformly"
            )


def require_enough(size: int, count: int) -> None:
    """Raise `ConfigError` unless 1 <= `count` <= `size`."""
    if count < 1:
        raise ConfigError(f"a batch must hold 1 transition or more. Got {count} instead.")
    if count > size:
        raise ConfigError(f"a batch of {count} needs as many transitions; the replay holds {size}")


def distinct_indices(rng: np.random.Generator, size: int, count: int) -> Annotated[Ints, "{count}"]:
    """Draw `count` distinct indices below `size`, uniformly over the sets of that many.

    Where repeats are rare (count^2 <= size), a draw with replacement that has one is thrown away
    as a whole, which leaves the sets without repeats equally likely and costs a third of
    ``Generator.choice``. Order carries no meaning: such draws come sorted.

    Raises
    ------
    ConfigError
        If `count` exceeds `size` or is below 1.
    """
    require_enough(size, count)
    while count * count <= size:
        drawn = (rng.random(count) * size).astype(np.int64)
        drawn.sort()
        if not np.count_nonzero(drawn[1:] == drawn[:-1]):
            return drawn
    return rng.choice(size, size=count, replace=False, shuffle=False)
