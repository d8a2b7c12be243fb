"""The feature matrix of one symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.errors import ConfigError, FeatureError
from reinforcestrategycreator_pipeline.features.base import (
    Bars,
    FeatureSpec,
    FloatArray,
    evaluate,
)
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.ohlcv import OHLCV, first_bad


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The features of one symbol, one row per bar.

    Attributes
    ----------
    names : tuple of str
        Names of the F columns, all different.
    values : ndarray of shape (T, F), float64
        Unscaled features, NaN in rows < `lookback`, finite after them.
    lookback : int
        Index of the first row in which all features have a value; T or more if there is none.
    """

    names: tuple[str, ...]
    values: FloatArray
    lookback: int


def bars_of(frame: pd.DataFrame, symbol: str = "") -> Bars:
    """Return the columns of `frame` as read-only float64 arrays, checked.

    Raises
    ------
    FeatureError
        If a column of the bars is missing, or not numeric, or a price is not finite and positive,
        or a volume not finite and >= 0; the message names symbol, column, row and timestamp.
    """
    who = f"{symbol}: " if symbol else ""
    missing = [name for name in OHLCV if name not in frame.columns]
    if missing:
        raise FeatureError(f"{who}the bars have no column {', '.join(missing)}.")
    bars: dict[str, FloatArray] = {}
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise FeatureError(f"{who}column {name!r} must be numeric. Got {frame[name].dtype}.")
        # Contiguous, as the frame's memory layout could change rounding.
        array = np.array(frame[name], dtype=np.float64)
        array.flags.writeable = False
        bars[str(name)] = array
    if bad := first_bad({name: bars[name] for name in OHLCV}):
        raise FeatureError(f"{who}{bad} at row {bad.row} ({frame.index[bad.row]}) instead.")
    return bars


def compute_features(
    frame: pd.DataFrame, specs: Sequence[FeatureSpec], symbol: str = ""
) -> FeatureTable:
    """Compute the features of one symbol.

    Parameters
    ----------
    frame : DataFrame
        Bars by time: open, high, low, close, volume and any side data, adjusted consistently.
    specs : sequence of FeatureSpec
        Specifications of the features, at least one.
    symbol : str
        Symbol for error messages.

    Raises
    ------
    ConfigError
        If `specs` is empty, a name or parameter is invalid, or two columns have the same name.
    FeatureError
        If the bars break a rule, or a feature has a non-finite value after its lookback.
    """
    if not specs:
        raise ConfigError("features must list at least one feature. Got an empty list instead.")
    bars = bars_of(frame, symbol)
    owners: dict[str, str] = {}
    blocks: list[FloatArray] = []
    lookback = 0
    for spec in specs:
        feature = build_feature(spec)
        computed = evaluate(feature, spec.name, bars, symbol, frame.index)
        for column in computed.columns:
            if column in owners:
                raise ConfigError(
                    f"features must have different column names. Got {column!r} from "
                    f"{owners[column]!r} and {spec.name!r}."
                )
            owners[column] = spec.name
        blocks.append(computed.values)
        # The declared lookback even for a shorter series, so callers can report the shortage.
        declared = computed.lookback if feature.lookback is None else feature.lookback
        lookback = max(lookback, declared)
    values = np.empty((len(frame), len(owners)))
    done = 0
    while blocks:  # each is freed once it is copied
        block = blocks.pop(0)
        values[:, done : done + block.shape[1]] = block
        done += block.shape[1]
    values[:lookback] = np.nan
    return FeatureTable(tuple(owners), values, lookback)
