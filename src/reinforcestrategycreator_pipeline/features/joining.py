"""The columns of features of the market, computed from all bars and joined to each symbol's."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from reinforcestrategycreator_pipeline.errors import ConfigError, FeatureError, blamed
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, FloatArray
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.market_features import (
    Market,
    MarketFeature,
    is_of_market,
)


def joined(market: Market, specs: Sequence[FeatureSpec]) -> Market:
    """Return bars with the columns of all features of the market; the same if there are none.

    Parameters
    ----------
    market : mapping of str to DataFrame
        Bars of all symbols by close time (UTC), without these columns.
    specs : sequence of FeatureSpec
        Specifications of features; those that are not of the market are passed over.

    Returns
    -------
    mapping of str to DataFrame
        The bars with further columns; 0 in the rows before the feature's lookback, which have no
        value.

    Raises
    ------
    ConfigError
        If the bars have a column of that name already, or a symbol is unknown.
    FeatureError
        If a feature fails, or gives a wrong shape or a value that is not finite.
    """
    features = [(spec.name, build_feature(spec)) for spec in specs]
    added: dict[str, dict[str, FloatArray]] = {symbol: {} for symbol in market}
    for name, feature in features:
        if not is_of_market(feature):
            continue
        for symbol, values in values_of(feature, name, market).items():
            for column, x in zip(feature.columns, values.T, strict=True):
                if column in market[symbol] or column in added[symbol]:
                    raise ConfigError(
                        f"{symbol}: the bars have a column {column!r} already. The feature "
                        f"{name!r} would replace it."
                    )
                x = x.copy()
                x[: feature.lookback] = 0.0
                added[symbol][column] = x
    if not any(added.values()):
        return market
    return {symbol: frame.assign(**added[symbol]) for symbol, frame in market.items()}


def values_of(
    feature: MarketFeature, name: str, market: Market, newest_of: Collection[str] | None = None
) -> dict[str, FloatArray]:
    """Return the checked values of a feature of the market, shape (T, k) by symbol.

    Parameters
    ----------
    feature : MarketFeature
        Feature to compute.
    name : str
        Name of the feature in the configuration, for messages.
    market : mapping of str to DataFrame
        Bars of all symbols by close time (UTC).
    newest_of : collection of str, optional
        Symbols of which the newest value must be finite, and no others; by default, all values must
        be.

    Raises
    ------
    FeatureError
        If the feature fails, or gives a wrong shape or, from its lookback on, a value that is not
        finite.
    """
    where = f"feature {name!r}"
    with blamed(where, FeatureError):
        try:
            found = feature.of_market(market)
        except (ConfigError, FeatureError) as error:
            raise type(error)(f"{where}: {error}") from error
    out, k = {}, len(feature.columns)
    for symbol, frame in market.items():
        values = np.asarray(found.get(symbol), dtype=np.float64)
        if values.shape != (len(frame), k):
            raise FeatureError(
                f"{symbol}: {where} must have values of shape ({len(frame)}, {k}). "
                f"Got {values.shape} instead."
            )
        bad = ~np.isfinite(values)
        bad[: feature.lookback] = False
        if newest_of is not None:
            bad[: len(frame) - (symbol in newest_of)] = False
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            raise FeatureError(
                f"{symbol}: {where}: column {feature.columns[column]!r} must be finite from row "
                f"{feature.lookback} on. Got {values[row, column]} at row {row} "
                f"({frame.index[row]}) instead. {getattr(feature, 'absence_advice', '')}".rstrip()
            )
        out[symbol] = values
    return out
