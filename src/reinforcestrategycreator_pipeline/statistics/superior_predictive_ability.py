"""Hansen's test of whether the best of many trials is better than the benchmark."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.statistics.combine import ROUNDING


class SuperiorAbility(NamedTuple):
    """The test of superior predictive ability.

    Attributes
    ----------
    statistic : float
        Largest studentized mean excess of a trial, or 0.
    best : int
        Index of the trial that has it, even if its mean is negative; -1 if none has any dispersion.
    lower, consistent, upper : float
        P-values, in (0, 1]. `consistent` is the one to report. `lower` takes trials worse than the
        benchmark out of the null and is too small in small samples; `upper`, the studentized
        reality check, takes all of them to be as good as the benchmark, and is too large.
    """

    statistic: float
    best: int
    lower: float
    consistent: float
    upper: float


def superior_predictive_ability(
    excess: Annotated[F64, "n m"], counts: Annotated[F64, "draws n"]
) -> SuperiorAbility:
    """Test the null that no trial has a mean excess return above 0.

    A trial's t is its mean over the standard deviation of its bootstrapped means, and the statistic
    is max(0, max t). In each draw it is that of the means less a center: the trial's own mean, and
    for the consistent p-value 0 if t < -sqrt(2 log log n). p = (1 + #{drawn >= statistic}) /
    (1 + draws).

    Parameters
    ----------
    excess : ndarray of float64, shape (n, m)
        Excess returns per bar of m trials over the benchmark, finite, in order of time, n >= 3.
        Trials without dispersion are not among the maxima.
    counts : ndarray of float64, shape (draws, n)
        How often each time is in each draw, the same for all trials: `counts_of`. At least two
        draws.

    Returns
    -------
    SuperiorAbility
        Statistic and p-values.

    Raises
    ------
    ValueError
        If the shape cannot be right (fewer than 3 bars, no trial, or fewer than two draws), or a
        return is not finite.

    References
    ----------
    Hansen (2005), A Test for Superior Predictive Ability, Journal of Business and Economic
    Statistics 23(4). White (2000), A Reality Check for Data Snooping,
    Econometrica 68(5), does not studentize: its maximum is that of the most volatile trial, and so
    is that of ``arch.bootstrap.SPA`` 8.0.0 whatever its flag says.
    """
    n, m = excess.shape
    draws = len(counts)
    if n < 3 or m < 1 or draws < 2 or not np.isfinite(excess).all():
        raise ValueError(
            f"{n} bars of {m} trials and {draws} draws: 3, 1 and 2 are needed, and finite returns"
        )
    means = excess.mean(axis=0)
    centered = excess - means
    moved = counts @ centered / n
    error = moved.std(axis=0, ddof=1)
    alive = np.flatnonzero(error > ROUNDING * np.abs(excess).max(axis=0))
    if not len(alive):
        return SuperiorAbility(0.0, -1, 1.0, 1.0, 1.0)
    t = means[alive] / error[alive]
    z = moved[:, alive] / error[alive]
    statistic = max(0.0, float(t.max()))
    bound = -math.sqrt(2.0 * math.log(math.log(n)))
    # The center of a trial, in units of its error: what is not taken out of its mean stays.
    kept = {
        "lower": np.minimum(t, 0.0),
        "consistent": np.where(t < bound, t, 0.0),
        "upper": 0.0 * t,
    }
    p = {}
    for name, rest in kept.items():
        drawn = np.maximum((z + rest).max(axis=1), 0.0)
        p[name] = (1 + int((drawn >= statistic * (1.0 - ROUNDING)).sum())) / (1 + draws)
    return SuperiorAbility(statistic, int(alive[t.argmax()]), **p)
