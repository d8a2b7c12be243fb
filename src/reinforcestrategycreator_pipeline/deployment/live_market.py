"""Live bars of several symbols, completed by the features that need all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.deployment.live_bars import LiveBar
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.joining import values_of
from reinforcestrategycreator_pipeline.features.market_features import is_of_market


class LiveMarket:
    """The newest bars of all symbols, and the columns that features of the market join to them.

    A trader of one symbol sees the bars of that symbol alone. So the bars of one time go through
    here first; the columns that they get have the bits that they have in the data of a run.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        Specifications of the policy's features: ``policy.inputs.parsed()``.
    history : mapping of str to DataFrame
        Bars of all symbols of the universe, by close time (UTC), before the first live one. All
        are kept.
    """

    def __init__(self, specs: Sequence[FeatureSpec], history: Mapping[str, pd.DataFrame]) -> None:
        built = [(spec.name, build_feature(spec)) for spec in specs]
        self._features = [(name, f) for name, f in built if is_of_market(f)]
        own = {column for _, f in self._features for column in f.columns}
        self._bars = {
            symbol: frame[[name for name in frame.columns if name not in own]]
            for symbol, frame in history.items()
        }
        self._lookback = max((f.lookback for _, f in self._features), default=0)

    def complete(self, bars: Sequence[LiveBar]) -> list[LiveBar]:
        """Return the bars of one time with the joined columns, and remember them.

        Parameters
        ----------
        bars : sequence of LiveBar
            The bars of all symbols that have one that closes at this time; a symbol whose market is
            closed has none.

        Raises
        ------
        DataError
            If the bars are of different times or of an unknown symbol, or not later than those
            before; nothing has changed.
        FeatureError
            If a feature cannot be computed; nothing has changed.
        """
        if not bars:
            return []
        time = pd.Timestamp(bars[0].time).tz_convert("UTC").as_unit("ns")
        longer = dict(self._bars)
        for bar in bars:
            before = self._bars.get(bar.symbol)
            if before is None:
                raise DataError(f"{bar.symbol}: the market has no history of this symbol.")
            if pd.Timestamp(bar.time) != time:
                raise DataError(
                    f"{bar.symbol}: the bars of a market must be of one time, {time}. "
                    f"Got one of {bar.time}."
                )
            if len(before) and time <= before.index[-1]:
                raise DataError(f"{bar.symbol}, bar of {time}: the last was of {before.index[-1]}.")
            row = pd.DataFrame(
                {name: [float(bar.values[name])] for name in before.columns},
                index=pd.DatetimeIndex([time], name=before.index.name),
            )
            longer[bar.symbol] = pd.concat([before, row])
        columns = self._columns(longer, [bar.symbol for bar in bars])
        self._bars = longer
        return [bar._replace(values={**bar.values, **columns[bar.symbol]}) for bar in bars]

    def _columns(
        self, market: Mapping[str, pd.DataFrame], symbols: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Return the newest values of the joined columns."""
        # The bars of every symbol at the times of those that these symbols need, and the lookback
        # before them.
        needed = self._lookback
        start = min(market[s].index[max(0, len(market[s]) - 1 - needed)] for s in symbols)
        recent = {
            symbol: frame.iloc[max(0, int(frame.index.searchsorted(start)) - needed) :]
            for symbol, frame in market.items()
        }
        recent = {symbol: frame for symbol, frame in recent.items() if len(frame)}
        found: dict[str, dict[str, float]] = {symbol: {} for symbol in symbols}
        for name, feature in self._features:
            values = values_of(feature, name, recent, symbols)
            for symbol in symbols:
                row = values[symbol][-1]
                if len(recent[symbol]) <= feature.lookback:
                    row = np.zeros_like(row)
                found[symbol].update(zip(feature.columns, row.tolist(), strict=True))
        return found
