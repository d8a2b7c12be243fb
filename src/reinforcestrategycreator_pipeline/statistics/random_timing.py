"""A policy's exposures at other times: joint circular shifts, the same for all assets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints

MOVED = 0.5
"""A shift counts if the shifted exposures correlate with the policy's by at most this."""


def joint_shifts(exposures: Sequence[F64], draws: int, rng: np.random.Generator) -> F64:
    """Draw circular shifts that move a policy's exposures, as fractions of the span.

    A shift moves the exposures of all assets by the same fraction of their bars, rounded to whole
    bars. Exposures and holding times stay as they are, turnover but for the seam, and what assets
    of one calendar do at the same time. Shifts after which the exposures still correlate
    with the policy's own by more than `MOVED`, pooled over the assets, are dropped: they hardly
    change when it trades.

    Parameters
    ----------
    exposures : sequence of ndarray, shapes (n_i,)
        Target exposures of each asset, as fractions of equity, over the same time.
    draws : int
        Largest number of shifts, >= 1; all of them are returned if there are no more.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray of float64, shape (k,)
        Increasing fractions in (0, 1), k <= `draws`; see `shift_by`. Empty if no shift moves the
        exposures, as for a policy that never changes them.
    """
    longest = max(len(x) for x in exposures)
    fractions = np.arange(1, longest) / longest
    own = np.zeros(len(fractions))
    total = 0.0
    for x in exposures:
        centered = x - x.mean()
        spectrum = np.fft.rfft(centered)
        agreement = np.fft.irfft(np.abs(spectrum) ** 2, len(x))  # by shift, circular
        total += float(centered @ centered)
        own += agreement[shifts_of(fractions, len(x)) % len(x)]
    if not total > 1e-12 * sum(len(x) for x in exposures):
        return np.empty(0)
    moved = fractions[own <= MOVED * total]
    if len(moved) > draws:
        moved = np.sort(rng.choice(moved, size=draws, replace=False))
    return moved


def shifts_of(fractions: F64, bars: int) -> Ints:
    """Return the shifts of an asset with this number of bars, in bars."""
    return np.rint(fractions * bars).astype(np.int64)


def shift_by(
    exposures: Annotated[F64, "n"], fractions: Annotated[F64, "k"]
) -> Annotated[F64, "k n"]:
    """Return one asset's exposures, shifted around the span by each of the fractions."""
    n = len(exposures)
    rows: F64 = exposures[(np.arange(n) - shifts_of(fractions, n)[:, None]) % n]
    return rows


def percent_below(drawn: Annotated[F64, "draws"], own: float) -> float | None:
    """Return the percentage of the drawn values that are below `own` by more than rounding.

    Returns
    -------
    float or None
        0 to 100; None without draws.
    """
    if not len(drawn):
        return None
    return float((drawn < own * (1.0 - 1e-12)).mean() * 100.0)
