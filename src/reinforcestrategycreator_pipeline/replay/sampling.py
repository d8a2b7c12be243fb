"""Uniform sampling of distinct indices, fast for small batches from large memories."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import ConfigError


def distinct_indices(rng: np.random.Generator, size: int, count: int) -> NDArray[np.int64]:
    """Draw `count` distinct indices below `size`, uniformly over the sets of that many.

    Where repeats are rare (count^2 <= size), a draw with replacement that has one is thrown away
    as a whole, which leaves the sets without repeats equally likely and costs a third of
    ``Generator.choice``. Order carries no meaning: such draws come sorted.

    Raises
    ------
    ConfigError
        If `count` exceeds `size` or is below 1.
    """
    if count < 1:
        raise ConfigError(f"a batch must hold 1 transition or more. Got {count} instead.")
    if count > size:
        raise ConfigError(f"a batch of {count} needs as many transitions; the replay holds {size}")
    while count * count <= size:
        drawn = (rng.random(count) * size).astype(np.int64)
        drawn.sort()
        if (drawn[1:] != drawn[:-1]).all():
            return drawn
    return rng.choice(size, size=count, replace=False, shuffle=False)
