"""P-values by permutation, drawn until the answer is clear, and their combination by windows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64

_NORMAL = NormalDist()
ROUNDING = 1e-10
"""Statistics are equal if they differ by at most this share of the larger one."""


def permutation_p(own: float, drawn: Annotated[F64, "draws"], uniform: float = 1.0) -> float:
    """Return the one-sided p-value of a statistic among its values under the null.

    It is (a + u (1 + e)) / (1 + B) with B draws, of which a are above `own` and e equal to it up to
    `ROUNDING`. The p-value is valid if the observation and the draws are exchangeable under the
    null.

    Parameters
    ----------
    own : float
        Observed statistic, finite; large values speak against the null.
    drawn : ndarray of float64, shape (draws,)
        Statistics of data drawn under the null, finite, at least one.
    uniform : float
        A draw u from the uniform distribution on (0, 1], independent of the data. With it the
        p-value is exactly uniform under the null, however many ties there are. The default of 1
        counts every tie against the observation: the p-value is then (1 + #{drawn >= own}) /
        (1 + B), which is at most as often small as it should be.

    Returns
    -------
    float
        The p-value, in (0, 1].

    Raises
    ------
    ValueError
        If there are no draws, a statistic is not finite, or `uniform` is not in (0, 1].

    References
    ----------
    Phipson and Smyth (2010), Permutation P-values Should Never Be Zero, Statistical Applications in
    Genetics and Molecular Biology 9(1). Vovk, Gammerman and Shafer (2005), Algorithmic
    Learning in a Random World, chapter 2, for ties.
    """
    if not len(drawn) or not (math.isfinite(own) and np.isfinite(drawn).all()):
        raise ValueError("a permutation test needs at least one draw, and finite statistics")
    if not 0.0 < uniform <= 1.0:
        raise ValueError(f"the uniform draw must be in (0, 1], not {uniform}")
    width = ROUNDING * np.maximum(np.abs(drawn), abs(own))
    equal = int((np.abs(drawn - own) <= width).sum())
    above = int((drawn - own > width).sum())
    return (above + uniform * (1 + equal)) / (1 + len(drawn))


class SequentialP(NamedTuple):
    """A p-value whose draws ended when the answer was clear.

    Attributes
    ----------
    p : float
        One-sided p-value, in (0, 1].
    draws : int
        Number of draws that were made.
    exceedances : int
        Number of draws that were at least as large as the observation.
    """

    p: float
    draws: int
    exceedances: int


def sequential_p(
    own: float,
    drawn: Iterable[float],
    exceedances: int,
    most_draws: int,
    rng: np.random.Generator | None = None,
) -> SequentialP:
    """Draw under the null until enough draws reach the observed statistic, and return the p-value.

    It stops at the draw l that is the h-th to reach `own`, with p = h / l, or after B draws, of
    which g < h reached it, with p = (1 + g) / (1 + B). Both are valid p-values, as the one of
    all B draws would be: a hopeless statistic costs a few draws more than h.

    Parameters
    ----------
    own : float
        Observed statistic, finite; large values speak against the null.
    drawn : iterable of float
        Statistics of data drawn under the null, one after the other; no more of them are read than
        are needed.
    exceedances : int
        Number h of draws after which the answer is clear, >= 1. The standard error of a p-value
        that stopped is about p sqrt((1 - p) / h).
    most_draws : int
        Number B of draws after which it stops in any case, >= `exceedances`.
    rng : numpy.random.Generator, optional
        Source of one uniform draw for the observation and one for every tie. With it the p-value is
        exactly uniform under the null. Without it a tie counts as an exceedance, and p is at most
        as often small as it should be.

    Returns
    -------
    SequentialP
        P-value, draws and exceedances.

    Raises
    ------
    ValueError
        If a statistic is not finite, or the iterable ends too early, or 1 <= `exceedances` <=
        `most_draws` does not hold.

    References
    ----------
    Besag and Clifford (1991), Sequential Monte Carlo p-values, Biometrika 78(2). The draw l
    shows that the observation is among the h largest of l values and not among the h largest of
    l + 1: randomized, p is uniform between h / (l + 1) and h / l.
    """
    if not 1 <= exceedances <= most_draws:
        raise ValueError(f"of {most_draws} draws, {exceedances} cannot be the exceedances")
    rank = 0.0 if rng is None else rng.random()
    reached = count = 0
    for value in drawn:
        if not (math.isfinite(own) and math.isfinite(value)):
            raise ValueError("a permutation test needs finite statistics")
        count += 1
        width = ROUNDING * max(abs(value), abs(own))
        if abs(value - own) <= width:
            reached += rng is None or rng.random() >= rank
        else:
            reached += value > own
        if reached == exceedances or count == most_draws:
            break
    if reached < exceedances and count < most_draws:
        raise ValueError(f"there are {count} draws, and {most_draws} may be needed")
    uniform = 1.0 if rng is None else 1.0 - rng.random()
    if reached == exceedances:
        least, most = reached / (count + 1), reached / count
        return SequentialP(least + uniform * (most - least), count, reached)
    return SequentialP((reached + uniform) / (count + 1), count, reached)


def stouffer(p: Annotated[F64, "tests"], weights: Annotated[F64, "tests"] | None = None) -> float:
    """Combine one-sided p-values of independent tests into one.

    The combined p-value is that of Z = sum(w_i z_i) / sqrt(sum(w_i^2)), with the normal quantiles
    z_i of 1 - p_i. If every p_i is uniform under the null, so is the combined one.

    Parameters
    ----------
    p : ndarray of float64, shape (tests,)
        One-sided p-values, in (0, 1], at least one. A p-value of exactly 1 makes the result 1;
        `permutation_p` with a uniform draw returns none.
    weights : ndarray of float64, shape (tests,), optional
        Weights > 0, fixed before the data are seen; equal by default. Power is largest with
        weights in proportion to the expected z_i: the square root of the number of bars, for
        windows of unequal length and equal strength.

    Returns
    -------
    float
        The combined one-sided p-value, in [0, 1].

    Raises
    ------
    ValueError
        If a p-value is not in (0, 1], or a weight is not > 0 and finite.

    References
    ----------
    Stouffer et al. (1949), The American Soldier, volume 1, p. 45. Lipták (1958), On the
    Combination of Independent Tests, Magyar Tudományos Akadémia 3, for the weights.
    """
    if not len(p) or not ((p > 0.0) & (p <= 1.0)).all():
        raise ValueError("p-values must be in (0, 1], and at least one is needed")
    w = np.ones(len(p)) if weights is None else weights
    if not ((w > 0.0) & np.isfinite(w)).all():
        raise ValueError("weights must be > 0 and finite")
    z = np.array([-math.inf if x == 1.0 else -_NORMAL.inv_cdf(x) for x in p.tolist()])
    combined = float((w * z).sum()) / math.sqrt(float((w * w).sum()))
    return 0.5 * math.erfc(combined / math.sqrt(2.0))
