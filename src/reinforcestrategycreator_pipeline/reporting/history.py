"""Rolling Sharpe ratio and largest drawdowns of an equity curve."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.statistics.sharpe import NO_DISPERSION

LONGEST_WINDOW = 126
"""Bars of the rolling window, half a year of days; a quarter of shorter spans."""
_FEWEST = 20
_AT_ONCE = 4_000_000  # returns in windows, to limit memory


def rolling_window(bars: int) -> int | None:
    """Return the bars of the rolling window of a span: 126, or a quarter of it if that is less.

    Returns
    -------
    int or None
        None if the window would have fewer than 20 bars.
    """
    window = min(LONGEST_WINDOW, bars // 4)
    return window if window >= _FEWEST else None


def rolling_sharpe(
    returns: Annotated[F64, "n"], window: int, periods_per_year: float
) -> Annotated[F64, "n"]:
    """Return the annualized Sharpe ratio of the last `window` returns at each bar.

    Parameters
    ----------
    returns : ndarray of float64, shape (n,)
        Simple returns per bar, net of costs.
    window : int
        Number of returns, >= 2.
    periods_per_year : float
        Bars per year.

    Returns
    -------
    ndarray of float64, shape (n,)
        Mean over sample standard deviation (ddof = 1), times the root of the bars per year; the
        risk-free rate is 0. NaN for the first ``window - 1`` bars, and where the returns of the
        window are all equal or not all finite.
    """
    found: F64 = np.full(len(returns), np.nan)
    if len(returns) < window:
        return found
    parts = np.lib.stride_tricks.sliding_window_view(returns, window)
    at_once = max(1, _AT_ONCE // window)
    for start in range(0, len(parts), at_once):
        some = parts[start : start + at_once]
        with np.errstate(invalid="ignore"):
            mean, sd = some.mean(axis=1), some.std(axis=1, ddof=1)
        ratio = np.full(len(some), np.nan)
        np.divide(mean, sd, out=ratio, where=sd > NO_DISPERSION)
        found[start + window - 1 :][: len(some)] = ratio * math.sqrt(periods_per_year)
    return found


class Drawdown(NamedTuple):
    """A fall of equity below an earlier high, by indices of the equity's values.

    Attributes
    ----------
    start, trough : int
        The last high before it, and its lowest value.
    end : int or None
        First value that is no lower than the high; None if there is none.
    depth : float
        Lowest value over the high, minus 1; < 0.
    """

    start: int
    trough: int
    end: int | None
    depth: float


def largest_drawdowns(equity: Annotated[F64, "n"], count: int = 5) -> list[Drawdown]:
    """Return the deepest drawdowns, which do not overlap, the deepest first.

    Parameters
    ----------
    equity : ndarray of float64, shape (n,)
        Equity, >= 0, the first value above 0.
    count : int
        Largest number of them.
    """
    high = np.maximum.accumulate(equity)
    below = np.concatenate([[False], equity < high, [False]])
    edges = np.flatnonzero(np.diff(below.astype(np.int8)))
    found = []
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        trough = first + int(np.argmin(equity[first:after]))
        end = after if after < len(equity) else None
        depth = float(equity[trough] / high[trough] - 1.0)
        found.append(Drawdown(first - 1, trough, end, depth))
    return sorted(found, key=lambda drawdown: drawdown.depth)[:count]
