"""A symbol against another one, such as an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Le, Len
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.features.base import FEATURES, FloatArray, Periods
from reinforcestrategycreator_pipeline.features.market_features import FromMarket, Market, times_of
from reinforcestrategycreator_pipeline.features.universe import beta_and_alpha, correlation_of
from reinforcestrategycreator_pipeline.features.windows import stack
from reinforcestrategycreator_pipeline.limits import MAX_PERIOD


@FEATURES.register("benchmark")
@dataclass(frozen=True)
class Benchmark(FromMarket):
    """Return of a symbol beyond that of another one, its beta and its correlation to it.

    The other symbol's close at a bar is its last one at or before that time: where it has no bar,
    it has not moved. No symbol may begin before it. The benchmark itself has the relative return 0,
    beta 1 and correlation 1.

    Parameters
    ----------
    symbol : str
        The other symbol, which must be among the data's.
    horizons : tuple of int
        Horizons of the relative log returns, in bars, >= 1.
    period : int
        Number of one-bar log returns for beta and correlation, >= 3.
    """

    symbol: Annotated[str, Len(1)]
    horizons: Periods = (1, 20)
    period: Annotated[int, Ge(3), Le(MAX_PERIOD)] = 60

    @property
    def lookback(self) -> int:
        return max(*self.horizons, self.period)

    @property
    def columns(self) -> tuple[str, ...]:
        relative = (f"relative_return_{h}_{self.symbol}" for h in self.horizons)
        return (*relative, *(f"{k}_{self.period}_{self.symbol}" for k in ("beta", "correlation")))

    @property
    def absence_advice(self) -> str:
        """Advice on values that are missing, for the message."""
        return (
            f"Does the benchmark {self.symbol} begin later? Set the data's parameter 'start', or "
            "leave the symbol out."
        )

    def of_market(self, market: Market) -> dict[str, FloatArray]:
        """Return the values of each symbol, shape (T, k); returns as log returns."""
        if self.symbol not in market:
            hint = nearest(self.symbol, market)
            raise ConfigError(f"the data have no symbol {self.symbol!r}.{hint}")
        times, other = times_of(market[self.symbol]), market[self.symbol]["close"].to_numpy()
        out = {}
        for symbol, frame in market.items():
            close = frame["close"].to_numpy(np.float64)
            at = np.searchsorted(times, times_of(frame), side="right") - 1
            bench = np.where(at >= 0, other[np.maximum(at, 0)], np.nan)
            relative = np.log(close / bench)
            columns = []
            for h in self.horizons:
                column = np.full(len(close), np.nan)
                column[h:] = relative[h:] - relative[:-h]
                columns.append(column)
            own, its = (np.log(x[1:] / x[:-1]) for x in (close, bench))
            beta, _ = beta_and_alpha(self.period, own, its)
            moves = beta, correlation_of(self.period, own, its)
            columns += [np.concatenate([[np.nan], x]) for x in moves]
            out[symbol] = stack(columns)
        return out
