"""P-values of several trials at once, adjusted for the choice among them."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Bools
from reinforcestrategycreator_pipeline.statistics.combine import ROUNDING


def adjusted_p_values(
    own: Annotated[F64, "m"], drawn: Annotated[F64, "draws m"], studentize: bool = True
) -> Annotated[F64, "m"]:
    """Return Romano and Wolf's stepdown p-values, adjusted for the family of all m statistics.

    In decreasing order of the statistics, each is compared with the maximum, in every draw, of
    itself and all lower ones: p = (1 + #{maximum >= own}) / (1 + B), and never below the p of a
    higher statistic. To call all trials with p <= alpha an edge is wrong about one or more of them
    with a probability of at most alpha, whatever the dependence between the trials, if a draw
    holds the statistics of all trials on the same data.

    Parameters
    ----------
    own : ndarray of float64, shape (m,)
        Observed statistics, finite; large values speak against the null.
    drawn : ndarray of float64, shape (draws, m)
        Statistics under the null, finite: of permuted data, or of bootstrapped data less their
        center. At least one draw.
    studentize : bool
        Whether each statistic is first centered by its mean and divided by its standard deviation
        (ddof 0) over the draws and the observation. Trials of unequal volatility then count
        alike. The observation is among them because all 1 + B rows are treated alike: under the
        null the p-value of a permutation test stays exact.

    Returns
    -------
    ndarray of float64, shape (m,)
        Adjusted p-values, in (0, 1]. The smallest one is that of the single-step test by the
        maximum. With `studentize`, a trial whose statistic is the same in all draws and in the
        data has p = 1, and is not among the maxima.

    Raises
    ------
    ValueError
        If there are no draws, or a statistic is not finite.

    References
    ----------
    Romano and Wolf (2005), Stepwise Multiple Testing as Formalized Data Snooping, Econometrica
    73(4). Romano and Wolf (2016), Efficient Computation of Adjusted
    P-values for Resampling-based Stepdown Multiple Testing, Statistics and Probability Letters
    113.
    """
    if not len(drawn) or not (np.isfinite(own).all() and np.isfinite(drawn).all()):
        raise ValueError("a stepdown test needs at least one draw, and finite statistics")
    adjusted = np.ones(len(own))
    rows = np.concatenate([own[None], drawn])
    if studentize:
        rows, alive = _studentized(rows)
    else:
        alive = np.ones(len(own), dtype=np.bool_)
    kept = np.flatnonzero(alive)
    if not len(kept):
        return adjusted
    order = kept[np.argsort(-rows[0, kept], kind="stable")]
    ranked = rows[:, order]
    # The maximum of each statistic and all lower ones, from the right.
    maxima = np.maximum.accumulate(ranked[1:, ::-1], axis=1)[:, ::-1]
    reached = maxima >= ranked[0] - ROUNDING * np.abs(ranked[0])
    p = (1.0 + reached.sum(axis=0)) / (1.0 + len(drawn))
    adjusted[order] = np.maximum.accumulate(p)
    return adjusted


def _studentized(rows: F64) -> tuple[F64, Bools]:
    """Return the studentized columns, and which of them have any dispersion."""
    deviations = rows - rows.mean(axis=0)
    scale = np.sqrt((deviations**2).mean(axis=0))
    alive: Bools = scale > ROUNDING * np.abs(rows).max(axis=0)
    return deviations / np.where(alive, scale, 1.0), alive
