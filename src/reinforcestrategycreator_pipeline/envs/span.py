"""A span of the market: consecutive bars of some assets, their features, and the trading rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Floats, Ints
from reinforcestrategycreator_pipeline.checks import Ge, Le, Len, Strict
from reinforcestrategycreator_pipeline.envs.grid import check_positions
from reinforcestrategycreator_pipeline.envs.rewards import REWARDS, Reward, log_growth
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.execution.accounting import BarPrices, prices_of
from reinforcestrategycreator_pipeline.execution.costs import SECONDS_PER_YEAR, CostConfig
from reinforcestrategycreator_pipeline.execution.schedule import Rebalance
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.limits import Exposure
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.windows import Span
from reinforcestrategycreator_pipeline.nn.components import Component


@dataclass(frozen=True)
class TradingRules(Strict):
    """Allowed positions, their costs, the reward, and the initial equity.

    Attributes
    ----------
    positions : tuple of float
        Target exposures, as fractions of equity, from which an action selects; increasing,
        including 0.
    costs : CostConfig
        Commission, spread, slippage, borrow fees, and margin interest.
    reward : str, mapping, or callable
        A registered reward, ``"module:function"``, or ``{name: ..., **parameters}``.
    initial_equity : float
        Money at the start of a backtest, in [0.001, 1e15]; divided equally among the assets.
    rebalance : "never", "daily", "weekly", "monthly" or int
        When the accounts of a portfolio are made equal again: never, at the first bar that all
        symbols have of a day, week or month (UTC), or every so many of these bars, >= 1.
    """

    positions: Annotated[tuple[Exposure, ...], Len(2, max_length=1_000)] = (0.0, 1.0)
    costs: CostConfig = field(default_factory=CostConfig)
    reward: Annotated[Component[Reward], REWARDS] = log_growth
    initial_equity: Annotated[float, Ge(1e-3), Le(1e15)] = 100_000.0
    rebalance: Rebalance = "never"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positions(self.positions, "trading")


@dataclass(frozen=True, eq=False)
class AssetBars:
    """T consecutive bars of one asset, ready for trading.

    Attributes
    ----------
    symbol : str
        Symbol of the asset.
    times : ndarray of int64, shape (T,)
        Close times, nanoseconds since 1970 UTC, increasing.
    open, close : ndarray of float64, shape (T,)
        Adjusted prices, > 0.
    features : ndarray, shape (T, F)
        Unscaled features, known at each bar's close; finite.
    columns : mapping of str to ndarray of float64, shape (P + T,)
        All columns of the bars, including P bars of history before the span; by default the open
        and the close of the T bars.
    """

    symbol: str
    times: Ints
    open: F64
    close: F64
    features: Floats
    columns: Mapping[str, F64] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("times", "open", "close", "features")
        lengths = {name: len(getattr(self, name)) for name in names}
        if len(set(lengths.values())) > 1:
            parts = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise DataError(f"{self.symbol}: arrays must have equal lengths. Got {parts} instead.")
        if len(self.close) < 2:
            raise DataError(
                f"{self.symbol}: needs at least 2 bars, for a decision and its outcome. "
                f"Got {len(self.close)} instead."
            )
        for name in ("open", "close"):  # the kernel would treat NaN as ruin
            price = getattr(self, name)
            bad = np.flatnonzero(~((price > 0) & (price < np.inf)))
            if bad.size:
                raise DataError(
                    f"{self.symbol}: the {name} of row {bad[0]} must be finite and > 0. "
                    f"Got {price[bad[0]]} instead."
                )
        if self.times.dtype != np.int64:
            raise DataError(
                f"{self.symbol}: times must be int64 nanoseconds. Got {self.times.dtype} instead."
            )
        backwards = np.flatnonzero(np.diff(self.times) <= 0)
        if backwards.size:
            row = backwards[0] + 1
            raise DataError(f"{self.symbol}: close times must increase, but row {row} does not")
        if not np.isfinite(self.features).all():
            row = int(np.argmin(np.isfinite(self.features).all(axis=1)))
            raise DataError(f"{self.symbol}: the features of row {row} are not finite")
        if not self.columns:
            object.__setattr__(self, "columns", {"open": self.open, "close": self.close})

    @property
    def timestamps(self) -> pd.DatetimeIndex:
        """Close times as a UTC index."""
        return pd.DatetimeIndex(self.times, tz="UTC", name="timestamp")

    @property
    def years(self) -> F64:
        """Calendar time between consecutive closes, in years of 365 days, shape (T - 1,)."""
        years: F64 = np.diff(self.times) / 1e9 / SECONDS_PER_YEAR
        return years

    @property
    def prices(self) -> BarPrices:
        """Prices around each of the T - 1 decisions."""
        return prices_of(self.open, self.close, self.years)


@dataclass(frozen=True, eq=False)
class MarketSpan:
    """The assets of one span, with the history before it.

    Attributes
    ----------
    assets : tuple of AssetBars
        One or more assets; their features are unscaled.
    inputs : Inputs
        Description of the features.
    rules : TradingRules
        Rules for trading the assets.
    skipped : tuple of str
        One sentence for each symbol with too few bars in the span.
    """

    assets: tuple[AssetBars, ...]
    inputs: Inputs
    rules: TradingRules
    skipped: tuple[str, ...] = ()

    @classmethod
    def cut(
        cls, data: MarketData, features: FeatureSet, span: Span, rules: TradingRules, name: str
    ) -> MarketSpan:
        """Return the bars of a span that have features.

        Parameters
        ----------
        data : MarketData
            All bars of the market.
        features : FeatureSet
            Features of those bars.
        span : Span
            Start and end of the span.
        rules : TradingRules
            Trading rules of the span.
        name : str
            Name of the span in messages: ``"test"``.

        Raises
        ------
        DataError
            If no symbol has two bars in the span.
        """
        assets, skipped = [], []
        for symbol, table in features.frames.items():
            index = pd.DatetimeIndex(table.index)
            rows = span.rows(index)
            if (count := rows.stop - rows.start) < 2:
                skipped.append(f"{symbol} has {count} bars in the {name} span; skipped")
                continue
            times = index[rows].as_unit("ns").asi8
            frame = data.bars[symbol]
            stop = int(frame.index.searchsorted(index[rows.stop - 1], side="right"))
            columns = {str(c): frame[c].to_numpy(dtype=np.float64)[:stop] for c in frame.columns}
            assets.append(
                AssetBars(
                    symbol=symbol,
                    times=times,
                    open=columns["open"][stop - count :],
                    close=columns["close"][stop - count :],
                    # By rows, which training gathers.
                    features=np.ascontiguousarray(table.to_numpy(dtype=np.float64)[rows]),
                    columns=columns,
                )
            )
        if not assets:
            raise DataError(f"no symbol has two bars in the {name} span; {'; '.join(skipped)}")
        return cls(tuple(assets), features.inputs, rules, tuple(skipped))
