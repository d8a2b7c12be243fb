"""Differences that rounding explains.

A sum over more numbers, a Fourier transform of another length, a matrix product of another shape
rounds differently, though no bar after the row enters it. How much, the feature itself shows: it
is computed again from bars that differ in their last bits alone. Differences far beyond that
spread, in the same row, have another cause. A fixed tolerance would accuse the one feature and let
the other pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Bools, Ints
from reinforcestrategycreator_pipeline.features.base import Bars
from reinforcestrategycreator_pipeline.features.fresh import Computing
from reinforcestrategycreator_pipeline.features.variants import jittered

SETTLED_SHARE = 1e-7
"""Change of a user feature by bars before its lookback, in typical deviations, that counts as none:
float32 keeps no more of a scaled input."""
JITTERS = 6
_SPREADS = 64.0
"""Allowed multiple of the spread: transforms of some lengths round ten times worse than others."""
_FLOOR = 2.0**-42
"""Allowed fraction (2e-13) of a value or of the column's median size: where last bits are lost, as
by `round`, jitter shows no spread."""


@dataclass(frozen=True, eq=False)
class Tolerance:
    """The difference that two computations of the same rows may have.

    Attributes
    ----------
    allowed : ndarray of shape (T, k)
        Allowed difference of each value; 0 where the bits must be equal.
    scale : ndarray of shape (k,)
        Typical deviation of a column: the median absolute one, or the standard deviation if more
        than half of the values are equal.
    """

    allowed: F64
    scale: F64

    @classmethod
    def exact(cls, values: F64, every: int = 1) -> Tolerance:
        """Return the tolerance for a feature whose every bit must agree.

        Parameters
        ----------
        values : ndarray of shape (T, k)
            Values of the feature.
        every : int
            Distance of the rows that show how far they deviate.
        """
        return cls(np.zeros_like(values), deviation(values[::every]))

    @classmethod
    def of(cls, values: F64, others: Iterator[F64]) -> Tolerance:
        """Return the tolerance of a feature, given its values from jittered bars."""
        return cls(allowed(values, others), deviation(values))


def jitters(bars: Bars, rng: np.random.Generator, count: int = JITTERS) -> Iterator[Bars]:
    """Yield the bars with other last bits, `count` times."""
    for _ in range(count):
        yield jittered(bars, rng)


def allowed(values: F64, others: Iterator[F64]) -> F64:
    """Return the allowed difference of each value; `others` are from jittered bars."""
    spread = np.zeros_like(values)
    for other in others:
        spread = np.fmax(spread, np.abs(other - values))
    size = np.abs(values)
    with np.errstate(all="ignore"):
        typical = np.nan_to_num(_median(size))
    floor: F64 = _FLOOR * np.fmax(size, typical)
    return _SPREADS * np.nan_to_num(spread) + np.nan_to_num(floor)


def unexplained(
    computing: Computing,
    all_bars: Bars,
    part: Bars,
    places: tuple[Ints, Ints],
    least: F64,
    rng: np.random.Generator,
) -> Bools:
    """Return the columns in which rounding does not explain a difference between the same rows.

    Both computations are repeated on many more jittered bars: a value at a jump, such as the sign
    of a difference that is zero up to rounding, changes only in some.

    Parameters
    ----------
    computing : Computing
        Place where the feature is computed.
    all_bars, part : mapping of str to ndarray
        All bars, and the modified ones.
    places : tuple of two ndarray
        The rows to compare, counted in all bars and in the modified ones.
    least : ndarray of shape (k,)
        Difference that is allowed in any case.
    rng : Generator
        Source of the jitter.

    Returns
    -------
    ndarray of bool, shape (k,)
        Whether a column differs by more than rounding does.
    """
    count = 4 * JITTERS
    # The part first: a process that has seen all bars may remember them.
    other, *others = computing.compute([part, *jitters(part, rng, count)])
    truth, *truths = computing.compute([all_bars, *jitters(all_bars, rng, count)])
    rows, at = places
    limit = np.fmax(allowed(truth, iter(truths))[rows], allowed(other, iter(others))[at])
    return np.asarray(exceeds(truth[rows], other[at], np.fmax(limit, least)).any(axis=0))


def exceeds(one: F64, other: F64, limit: F64) -> Bools:
    """Return where two arrays differ by more than `limit`; NaN equals NaN alone."""
    same = (one.view(np.int64) == other.view(np.int64)) | (np.isnan(one) & np.isnan(other))
    if not same.all():
        with np.errstate(invalid="ignore"):
            # The limit 0 asks for equal bits: 0 differs from -0.
            same = same | ((np.abs(one - other) <= limit) & (limit > 0))
    return np.asarray(np.logical_not(same))


def deviation(values: F64) -> F64:
    """Return the typical deviation of each column, NaN left out; 0 for a constant column."""
    with np.errstate(all="ignore"):
        middle = np.nan_to_num(_median(np.abs(values - _median(values))))
        return np.where(middle > 0, middle, np.nan_to_num(_std(values)))


def _median(values: F64) -> F64:
    kept = values[~np.isnan(values).any(axis=1)]
    return np.median(kept, axis=0) if len(kept) else np.zeros(values.shape[1])


def _std(values: F64) -> F64:
    kept = values[~np.isnan(values).any(axis=1)]
    return np.asarray(kept.std(axis=0)) if len(kept) else np.zeros(values.shape[1])
