"""Metrics of anybody's returns, by the definitions of the report.

>>> round(sharpe([0.01, -0.005, 0.02, 0.0], periods_per_year=252), 2)
8.95
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.metrics import equity
from reinforcestrategycreator_pipeline.backtesting.metrics.base import (
    Performance,
    UndefinedMetricError,
)
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.backtesting.run import trades_frame
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, NonFiniteError

__all__ = [
    "ReturnMetric",
    "UndefinedMetricError",
    "annual_return",
    "calmar",
    "expected_shortfall",
    "log_growth",
    "longest_drawdown_bars",
    "max_drawdown",
    "max_drawdown_bars",
    "sharpe",
    "sortino",
    "total_return",
    "value_at_risk",
    "volatility",
]


LARGE = 0.5
"""Returns all above this are no returns."""


class ReturnMetric:
    """A metric as a function of returns.

    Parameters
    ----------
    function : callable
        The metric of a `Performance`, as the report computes it.
    annual : bool
        Whether the value depends on the number of bars per year.
    """

    def __init__(self, function: Callable[[Performance], float], annual: bool = False) -> None:
        self._function, self._annual = function, annual
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __repr__(self) -> str:
        return f"<metric {self.__name__}(returns, periods_per_year=None)>"

    def __call__(
        self, returns: ArrayLike | pd.Series, periods_per_year: float | None = None
    ) -> float:
        """Compute the metric.

        Parameters
        ----------
        returns : array_like of float, shape (n,)
            Simple return of each bar, net of costs: 0.01 is 1%.
        periods_per_year : float, optional
            Bars per year, > 0. By default inferred from a Series' DatetimeIndex, which holds the
            closes.

        Returns
        -------
        float
            Finite; percentages are fractions.

        Raises
        ------
        UndefinedMetricError
            If the metric has no value for these returns, for example without any dispersion.
        NonFiniteError
            If a return is NaN or infinite.
        DataError
            If the returns have more than one dimension, or look like prices.
        ConfigError
            If the number of bars per year is needed and neither given nor to be inferred.
        """
        values = np.asarray(returns, dtype=np.float64)
        if values.ndim != 1:
            raise DataError(f"returns must have one dimension. Got the shape {values.shape}.")
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            hint = " pct_change() leaves it there: add .dropna()." if list(bad) == [0] else ""
            raise NonFiniteError(
                f"returns must be finite. Got {values[bad[0]]} at index {bad[0]}.{hint}"
            )
        if values.size > 1 and values.min() > LARGE:
            raise DataError(
                f"returns must be fractions such as 0.01. Got {values[0]:g} and more, all above "
                f"{LARGE}, which looks like prices or equity: use .pct_change().dropna()."
            )
        if periods_per_year is None:
            periods_per_year = self._periods_per_year(returns) if self._annual else 1.0
        curve: F64 = np.concatenate([[1.0], 1.0 + values]).cumprod()
        return self._function(performance_of(curve, periods_per_year))

    def _periods_per_year(self, returns: object) -> float:
        index = returns.index if isinstance(returns, pd.Series) else None
        if not isinstance(index, pd.DatetimeIndex) or len(index) < 2:
            raise ConfigError(
                f"{self.__name__} needs periods_per_year, or a Series with a DatetimeIndex of the "
                f"closes."
            )
        return infer_periods_per_year(index)


def performance_of(
    curve: F64,
    periods_per_year: float,
    stamps: pd.DatetimeIndex | None = None,
    name: str = "equity",
) -> Performance:
    """Return what a metric of the equity curve reads; exposures and costs are unknown, so 0.

    Parameters
    ----------
    curve : ndarray of float64, shape (n + 1,)
        Equity at each close, net of costs.
    periods_per_year : float
        Bars per year, > 0.
    stamps : DatetimeIndex, optional
        The closes; by default days from 1970 on, which no metric of the curve reads.
    name : str
        What messages call the curve.
    """
    if stamps is None:
        stamps = pd.DatetimeIndex(np.arange(len(curve)) * 86_400_000_000_000, tz="UTC")
    nothing = np.zeros(len(curve) - 1)
    result = StrategyResult(name, "", stamps, curve, nothing, nothing, nothing, trades_frame([]))
    return Performance(result, periods_per_year)


total_return = ReturnMetric(equity.total_return)
annual_return = ReturnMetric(equity.annual_return, annual=True)
log_growth = ReturnMetric(equity.log_growth)
volatility = ReturnMetric(equity.volatility, annual=True)
max_drawdown = ReturnMetric(equity.max_drawdown)
max_drawdown_bars = ReturnMetric(equity.max_drawdown_bars)
longest_drawdown_bars = ReturnMetric(equity.longest_drawdown_bars)
value_at_risk = ReturnMetric(equity.value_at_risk)
expected_shortfall = ReturnMetric(equity.expected_shortfall)
sharpe = ReturnMetric(equity.sharpe, annual=True)
sortino = ReturnMetric(equity.sortino, annual=True)
calmar = ReturnMetric(equity.calmar, annual=True)


def __dir__() -> list[str]:
    return sorted(__all__)
