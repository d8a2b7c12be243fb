"""The Sharpe ratio, its standard error, and the ratio above which a result is not believed."""

from __future__ import annotations

import math
from typing import Annotated

from reinforcestrategycreator_pipeline.arrays import F64

NO_DISPERSION = 1e-12
"""Standard deviation of returns up to which they are equal. Float64 rounding of equity gives
constant returns one of about 2e-16; dividing by it would give noise of the order 1e13."""


def sharpe_ratio(returns: Annotated[F64, "n"], periods_per_year: float) -> float | None:
    """Return the annualized Sharpe ratio: mean over sample deviation, times sqrt(bars per year).

    Parameters
    ----------
    returns : ndarray of float64, shape (n,)
        Finite simple returns per bar; the risk-free rate is 0.
    periods_per_year : float
        Bars per year, > 0.

    Returns
    -------
    float or None
        None for fewer than 2 returns, and for equal ones.

    References
    ----------
    Sharpe (1994), The Sharpe Ratio, Journal of Portfolio Management 21(1).
    """
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    if not deviation > NO_DISPERSION:
        return None
    return float(returns.mean()) / deviation * math.sqrt(periods_per_year)


def sharpe_standard_error(sharpe: float, bars: int, periods_per_year: float) -> float:
    """Return the standard error of an annualized Sharpe ratio of `bars` returns.

    The returns are taken as independent and identically distributed. The standard error is
    sqrt((1 + S**2 / 2) / n) times sqrt(bars per year), with S the ratio per bar.

    References
    ----------
    Lo (2002), The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4).
    """
    per_bar = sharpe / math.sqrt(periods_per_year)
    return math.sqrt((1.0 + per_bar**2 / 2.0) / bars * periods_per_year)


_DAILY, _LONGER = 4.0, 3.0
_DAYS = 366.0  # the most daily bars a year
_FEWEST = 150.0  # below that, bars are longer than a day


def incredible_sharpe(periods_per_year: float) -> float:
    """Return the annualized Sharpe ratio above which a backtest is usually wrong.

    It is 4 for daily bars, and 3 for longer ones. Shorter bars allow more independent bets, and the
    best desks that trade within a day do reach more: the limit grows with the fourth root of the
    bars per day, to about 9 for hourly and 25 for minute bars of a market that never closes. This
    is a rule of thumb, not a statistic.
    """
    if periods_per_year < _FEWEST:
        return _LONGER
    return float(_DAILY * max(periods_per_year / _DAYS, 1.0) ** 0.25)
