"""The number of bars that an edge needs to be seen, and the edge that so many bars can show."""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()


def bars_needed(strength: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the number of bars after which an edge of this strength is found with this power.

    It is ((z_{1 - alpha} + z_{power}) / strength)^2, of a one-sided test of the mean of independent
    returns with a known variance.

    Parameters
    ----------
    strength : float
        Mean of the excess return over its standard deviation, both per bar: a Sharpe ratio that is
        not annualized.
    alpha : float
        One-sided level, in (0, 1).
    power : float
        Probability of finding the edge, in (`alpha`, 1).

    Returns
    -------
    float
        Bars, not rounded; infinite if the strength is not > 0.

    Raises
    ------
    ValueError
        If `alpha` and `power` do not satisfy 0 < `alpha` < `power` < 1.
    """
    both = _quantiles(alpha, power)
    return (both / strength) ** 2 if strength > 0.0 else math.inf


def smallest_strength(
    bars: int, alpha: float = 0.05, power: float = 0.8, periods_per_year: float = 1.0
) -> float:
    """Return the smallest strength that a number of bars shows with this power.

    It is (z_{1 - alpha} + z_{power}) / sqrt(bars), the inverse of `bars_needed`.

    Parameters
    ----------
    bars : int
        Number of bars, >= 1.
    alpha, power : float
        Level and power, as in `bars_needed`.
    periods_per_year : float
        Bars per year, > 0, to annualize the strength by their square root. The default of 1 leaves
        it per bar.

    Returns
    -------
    float
        Mean over standard deviation, per bar, or the Sharpe ratio per year.

    Raises
    ------
    ValueError
        If `alpha` and `power` do not satisfy 0 < `alpha` < `power` < 1.
    """
    return _quantiles(alpha, power) * math.sqrt(periods_per_year / bars)


def _quantiles(alpha: float, power: float) -> float:
    if not 0.0 < alpha < power < 1.0:
        raise ValueError(f"0 < alpha < power < 1 must hold, not {alpha} and {power}")
    return _NORMAL.inv_cdf(power) - _NORMAL.inv_cdf(alpha)
