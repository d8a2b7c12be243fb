"""Metrics of the equity curve: return, risk, and risk-adjusted return.

Conventions: simple returns per bar, net of costs; risk-free rate 0; sample standard deviation
(ddof = 1). The metrics agree with empyrical-reloaded.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.metrics.base import (
    Performance,
    UndefinedMetricError,
    metric,
)
from reinforcestrategycreator_pipeline.statistics.sharpe import NO_DISPERSION, sharpe_ratio

_TAIL = 0.05
_MIN_TAIL_BARS = 20  # below that, 5% of the bars is less than one bar


@metric("total_return", "Total return", unit="percent", group="Return", higher_is_better=True)
def total_return(p: Performance) -> float:
    """Last equity over first equity, minus 1, net of all costs."""
    p.need_bars(1)
    return float(p.equity[-1] / p.equity[0] - 1.0)


@metric("annual_return", "Annual return", unit="percent", group="Return", higher_is_better=True)
def annual_return(p: Performance) -> float:
    """Compound annual growth rate: (last equity / first equity) ** (1 / years) - 1.

    Years are bars / bars per year. After ruin it is -100%.
    """
    p.need_bars(1)
    if p.ruined:
        return -1.0
    growth = math.log(p.equity[-1] / p.equity[0]) * p.periods_per_year / len(p.returns)
    if growth > math.log(1e300):
        raise UndefinedMetricError("too short to annualize: the rate overflows")
    return math.expm1(growth)


@metric("log_growth", "Log growth", unit="ratio", group="Return", higher_is_better=True)
def log_growth(p: Performance) -> float:
    """Natural logarithm of last equity over first equity: the sum of the rewards.

    It is additive over time, so a share of the oracle's log growth is meaningful.
    """
    p.need_bars(1)
    p.need_solvency()
    return math.log(p.equity[-1] / p.equity[0])


@metric("volatility", "Volatility", unit="percent", group="Risk", higher_is_better=False)
def volatility(p: Performance) -> float:
    """Sample standard deviation of the returns per bar, times sqrt(bars per year)."""
    p.need_bars(2)
    p.need_solvency()
    return float(np.std(p.returns, ddof=1)) * math.sqrt(p.periods_per_year)


@metric("max_drawdown", "Max drawdown", unit="percent", group="Risk", higher_is_better=True)
def max_drawdown(p: Performance) -> float:
    """Largest fall of equity below its highest close so far, as a negative fraction."""
    p.need_bars(1)
    return float(drawdown(p.equity).min())


@metric(
    "max_drawdown_bars",
    "Max drawdown, bars",
    unit="bars",
    group="Risk",
    higher_is_better=False,
)
def max_drawdown_bars(p: Performance) -> float:
    """Length of the deepest drawdown in bars, from its peak to its recovery, or to the end."""
    p.need_bars(1)
    falls = drawdown(p.equity)
    trough = int(falls.argmin())
    peaks = np.flatnonzero(falls == 0.0)
    before = peaks[peaks <= trough][-1]
    after = peaks[peaks > trough]
    if before == trough:  # no drawdown
        return 0.0
    return float((after[0] if after.size else len(falls) - 1) - before)


@metric(
    "longest_drawdown_bars",
    "Longest drawdown, bars",
    unit="bars",
    group="Risk",
    higher_is_better=False,
)
def longest_drawdown_bars(p: Performance) -> float:
    """Length of the longest drawdown in bars, from its peak to its recovery, or to the end.

    It need not be the deepest drawdown.
    """
    p.need_bars(1)
    falls = drawdown(p.equity)
    peaks = np.flatnonzero(falls == 0.0)
    stays = np.diff(peaks)
    longest = int(stays.max(initial=0))
    longest = longest if longest > 1 else 0  # no drawdown between adjacent peaks
    return float(max(longest, len(falls) - 1 - int(peaks[-1])))


@metric("value_at_risk", "VaR 95% per bar", unit="percent", group="Risk", higher_is_better=True)
def value_at_risk(p: Performance) -> float:
    """Historical value at risk per bar: the 5% quantile of the returns, interpolated linearly.

    It is a return, so a loss is negative; one bar in twenty was worse.
    """
    p.need_bars(_MIN_TAIL_BARS)
    p.need_solvency()
    return float(np.quantile(p.returns, _TAIL))


@metric(
    "expected_shortfall", "CVaR 95% per bar", unit="percent", group="Risk", higher_is_better=True
)
def expected_shortfall(p: Performance) -> float:
    """Historical conditional value at risk per bar: the mean of the worst 5% of the returns.

    The mean is over the floor(0.05 (n - 1)) + 1 lowest of n returns.
    """
    p.need_bars(_MIN_TAIL_BARS)
    p.need_solvency()
    last = int((len(p.returns) - 1) * _TAIL)
    return float(np.partition(p.returns, last)[: last + 1].mean())


@metric("sharpe", "Sharpe ratio", unit="ratio", group="Return for risk", higher_is_better=True)
def sharpe(p: Performance) -> float:
    """Mean return per bar over its sample standard deviation, times sqrt(bars per year).

    The risk-free rate is 0. Undefined without dispersion.

    References
    ----------
    Sharpe (1994), The Sharpe Ratio, Journal of Portfolio Management 21(1).
    """
    p.need_bars(2)
    p.need_solvency()
    ratio = sharpe_ratio(p.returns, p.periods_per_year)
    if ratio is None:
        raise UndefinedMetricError("zero variance")
    return ratio


@metric("sortino", "Sortino ratio", unit="ratio", group="Return for risk", higher_is_better=True)
def sortino(p: Performance) -> float:
    """Mean return per bar over its downside deviation, times sqrt(bars per year).

    The downside deviation is sqrt(mean(min(return, 0) ** 2)) over all bars; the target is 0.

    References
    ----------
    Sortino and Price (1994), Performance Measurement in a Downside Risk Framework.
    """
    p.need_bars(2)
    p.need_solvency()
    downside = math.sqrt(float(np.mean(np.minimum(p.returns, 0.0) ** 2)))
    if not downside > NO_DISPERSION:
        raise UndefinedMetricError("no losing bars")
    return float(p.returns.mean()) / downside * math.sqrt(p.periods_per_year)


@metric("calmar", "Calmar ratio", unit="ratio", group="Return for risk", higher_is_better=True)
def calmar(p: Performance) -> float:
    """Annual return over the size of the max drawdown, both over the whole span.

    References
    ----------
    Young (1991), Calmar Ratio: A Smoother Tool, Futures 20(1), which uses 36 months.
    """
    p.need_bars(1)
    p.need_solvency()
    deepest = max_drawdown(p)
    if not deepest < -NO_DISPERSION:
        raise UndefinedMetricError("no drawdown")
    return annual_return(p) / -deepest


def drawdown(equity: Annotated[F64, "bars"]) -> Annotated[F64, "bars"]:
    """Return equity over its running maximum, minus 1: 0 at a peak, negative below it.

    Parameters
    ----------
    equity : ndarray of float64, shape (n,)
        Equity in money; the first element is > 0.

    Returns
    -------
    ndarray of float64, shape (n,)
        Drawdown as a fraction, exactly 0.0 at a peak.
    """
    return np.asarray(equity / np.maximum.accumulate(equity) - 1.0, dtype=np.float64)
