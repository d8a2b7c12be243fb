"""A symbol among all others: rank, distance to the mean, and beta to the whole universe."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.checks import Ge, Le
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES,
    FloatArray,
    evaluate,
)
from reinforcestrategycreator_pipeline.features.inner import Of, OfAnother, name_of
from reinforcestrategycreator_pipeline.features.market_features import FromMarket, Market, times_of
from reinforcestrategycreator_pipeline.features.windows import over_windows, stack, sum_rows
from reinforcestrategycreator_pipeline.limits import MAX_PERIOD

_FLAT = 1e-24  # variance of log returns of rounding alone


def _returns_20() -> dict[str, Any]:
    return {"name": "returns", "horizons": [20]}


@dataclass(frozen=True)
class _Among(OfAnother, FromMarket):
    """Base of features that compare the values of another feature among all symbols."""

    of: Of = field(default_factory=_returns_20)

    @property
    def lookback(self) -> int:
        return self._feature.lookback or 0

    def _values(self, market: Market) -> dict[str, FloatArray]:
        values = {}
        for symbol, frame in market.items():
            # Contiguous, as the frame's memory layout could change rounding.
            bars = {str(name): np.array(frame[name], dtype=np.float64) for name in frame.columns}
            values[symbol] = evaluate(self._feature, name_of(self.of), bars, symbol).values
        return values

    def _compared(
        self, market: Market, compare: Callable[[FloatArray], FloatArray]
    ) -> dict[str, FloatArray]:
        values = self._values(market)
        k = len(self._feature.columns)
        columns, rows = [], dict[str, Ints]()
        for c in range(k):
            grid, rows = aligned(market, {symbol: x[:, c] for symbol, x in values.items()})
            columns.append(compare(grid))
        return {
            symbol: stack([grid[i, at] for grid in columns])
            for i, (symbol, at) in enumerate(rows.items())
        }


def aligned(market: Market, values: Mapping[str, FloatArray]) -> tuple[FloatArray, dict[str, Ints]]:
    """Return the values of all symbols on one axis of time.

    Parameters
    ----------
    market : mapping of str to DataFrame
        Bars by symbol, whose times count.
    values : mapping of str to ndarray of shape (T,)
        A value for each bar.

    Returns
    -------
    grid : ndarray of shape (symbols, times)
        Values by symbol and time, NaN where a symbol has no bar.
    rows : dict of str to ndarray of int
        Position of each bar of a symbol among the times.
    """
    times = {symbol: times_of(frame) for symbol, frame in market.items()}
    axis = np.unique(np.concatenate(list(times.values())))
    rows = {symbol: np.searchsorted(axis, own) for symbol, own in times.items()}
    grid = np.full((len(market), len(axis)), np.nan)
    for i, (symbol, at) in enumerate(rows.items()):
        grid[i, at] = values[symbol]
    return grid, rows


def _mean(grid: FloatArray) -> FloatArray:
    """Return the mean over the symbols that have a value, correctly rounded, shape (times,).

    A sum in any order of the symbols, and of those that are absent, gives the same bits.
    """
    known = np.isfinite(grid)
    sums = [math.fsum(column) for column in np.where(known, grid, 0.0).T.tolist()]
    count = known.sum(axis=0)
    mean: FloatArray = np.full(len(count), np.nan)
    np.divide(sums, count, out=mean, where=count > 0)
    return mean


@FEATURES.register("universe_rank")
@dataclass(frozen=True)
class UniverseRank(_Among):
    """Rank of a symbol among all symbols by another feature, from -1, lowest, to 1.

    Of n symbols with a value at that time, the one above m others has (2 m + 1) / n - 1; equal
    values share the mean of their ranks. A symbol alone has 0.

    Parameters
    ----------
    of : str or mapping
        The other feature, by name and parameters.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{name}_rank" for name in self._feature.columns)

    def of_market(self, market: Market) -> dict[str, FloatArray]:
        """Return the values of each symbol, shape (T, k)."""
        return self._compared(market, _ranks)


def _ranks(grid: FloatArray) -> FloatArray:
    known = np.isfinite(grid).sum(axis=0)
    ranks = np.full_like(grid, np.nan)
    with np.errstate(invalid="ignore"):
        for own, out in zip(grid, ranks, strict=True):
            below, equal = (grid < own).sum(axis=0), (grid == own).sum(axis=0)
            np.divide(2.0 * below + equal, known, out=out, where=np.isfinite(own))
            out -= 1.0
    return ranks


@FEATURES.register("universe_residual")
@dataclass(frozen=True)
class UniverseResidual(_Among):
    """Another feature less its mean over all symbols that have a value at that time.

    Of log returns, it is the return beyond that of the universe with equal weights. A symbol alone
    has 0.

    Parameters
    ----------
    of : str or mapping
        The other feature, by name and parameters.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{name}_residual" for name in self._feature.columns)

    def of_market(self, market: Market) -> dict[str, FloatArray]:
        """Return the values of each symbol, shape (T, k), in the units of the feature."""
        return self._compared(market, lambda grid: grid - _mean(grid))


def beta_and_alpha(window: int, own: FloatArray, other: FloatArray) -> list[FloatArray]:
    """Return what least squares says of two series of log returns in moving windows.

    Parameters
    ----------
    window : int
        Number of returns, >= 3.
    own, other : ndarray of shape (T,)
        Log returns of the same bars.

    Returns
    -------
    list of ndarray of shape (T,)
        Beta, the slope of `own` on `other`, 0 where that does not move; and alpha, the sum of `own`
        less beta times that of `other`. NaN in the first ``window - 1`` rows.
    """

    def beta(x: FloatArray, y: FloatArray) -> FloatArray:
        xy, _, yy = _covariances(x, y)
        return np.divide(xy, yy, out=np.zeros(len(xy)), where=yy > _FLAT)

    def total(x: FloatArray) -> FloatArray:
        return sum_rows(x)

    slope = over_windows(beta, window, own, other)
    sums = [over_windows(total, window, x) for x in (own, other)]
    return [slope, sums[0] - slope * sums[1]]


def correlation_of(window: int, own: FloatArray, other: FloatArray) -> FloatArray:
    """Return Pearson's correlation of two series in moving windows.

    Parameters
    ----------
    window, own, other
        As in `beta_and_alpha`.

    Returns
    -------
    ndarray of shape (T,)
        From -1 to 1, 0 where one of them does not move, NaN in the first ``window - 1`` rows.
    """

    def correlation(x: FloatArray, y: FloatArray) -> FloatArray:
        xy, xx, yy = _covariances(x, y)
        moves = (xx > _FLAT) & (yy > _FLAT)
        found: FloatArray = np.zeros(len(xy))
        np.divide(xy, np.sqrt(xx * yy), out=found, where=moves)
        return np.clip(found, -1.0, 1.0)

    return over_windows(correlation, window, own, other)


def _covariances(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return covariance and variances over the first axis; the arrays are overwritten."""
    n = len(x)
    x -= sum_rows(x) / n
    y -= sum_rows(y) / n
    return sum_rows(x * y) / n, sum_rows(np.square(x)) / n, sum_rows(np.square(y)) / n


@FEATURES.register("universe_beta")
@dataclass(frozen=True)
class UniverseBeta(FromMarket):
    """Beta of a symbol to the universe with equal weights, and what it earned beyond that.

    The universe's return at a time is the mean of the one-bar log returns of all symbols with a bar
    then, the symbol itself included. Two columns: the slope of the symbol's returns on it over the
    symbol's last bars; and the sum of its returns less beta times that of the universe's. On a flat
    market both are 0.

    Parameters
    ----------
    period : int
        Number of returns, >= 3.
    """

    period: Annotated[int, Ge(3), Le(MAX_PERIOD)] = 60

    @property
    def lookback(self) -> int:
        return self.period

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"universe_beta_{self.period}", f"universe_alpha_{self.period}")

    def of_market(self, market: Market) -> dict[str, FloatArray]:
        """Return the values of each symbol, shape (T, 2); alpha as a log return."""
        returns = {}
        for symbol, frame in market.items():
            close = frame["close"].to_numpy(np.float64)
            returns[symbol] = np.concatenate([[np.nan], np.log(close[1:] / close[:-1])])
        grid, rows = aligned(market, returns)
        universe, out = _mean(grid), {}
        for symbol, own in returns.items():
            parts = beta_and_alpha(self.period, own[1:], universe[rows[symbol]][1:])
            found = np.full((len(own), 2), np.nan)
            found[1:] = stack(parts)
            out[symbol] = found
        return out
