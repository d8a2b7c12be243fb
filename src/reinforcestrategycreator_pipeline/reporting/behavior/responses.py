"""The decisions of a policy by the values of each feature."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.reporting.behavior.found import Bin

BINS = 10


def response(
    values: Annotated[F64, "n"],
    exposure: Annotated[F64, "n"],
    advantage_bps: Annotated[F64, "n"] | None = None,
) -> tuple[Bin, ...]:
    """Return the mean decision in each tenth of a feature's values, from low to high.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Value of the feature at each decision, finite.
    exposure : ndarray of float64, shape (n,)
        Target that was chosen.
    advantage_bps : ndarray of float64, shape (n,), optional
        Advantage over staying, in bps; NaN where it is unknown.

    Returns
    -------
    tuple of Bin
        Equal values share a bin, so there may be fewer than ten.
    """
    if not len(values):
        return ()
    inner = np.quantile(values, np.arange(1, BINS) / BINS)
    place = np.searchsorted(np.unique(inner), values, side="right")
    found = []
    for number in np.unique(place):
        inside = place == number
        told = None if advantage_bps is None else advantage_bps[inside]
        known = np.empty(0) if told is None else told[np.isfinite(told)]
        found.append(
            Bin(
                float(values[inside].mean()),
                int(inside.sum()),
                float(exposure[inside].mean()),
                float(known.mean()) if len(known) else None,
            )
        )
    return tuple(found)
