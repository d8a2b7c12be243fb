"""The standard error of a Sharpe ratio."""

from __future__ import annotations

import math


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
