"""A feature's values on the training bars, and what they measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.table import FeatureTable
from reinforcestrategycreator_pipeline.statistics.information import (
    autocorrelations,
    rank_correlation,
)
from reinforcestrategycreator_pipeline.statistics.newey_west import Estimate

LAGS = (1, 5, 20)
"""Lags of the autocorrelations, in bars."""


@dataclass(frozen=True)
class Measure:
    """One column of a feature on the training bars of one symbol.

    Attributes
    ----------
    symbol, column : str
        Symbol and column.
    bars : int
        Number of training bars of the symbol.
    missing : float
        Share of them without a value, the warm-up, 0 to 1.
    mean, deviation, low, high : float
        Mean, population standard deviation, lowest and highest value.
    autocorrelation : tuple of float
        Autocorrelation at each of `LAGS`; NaN where it is not defined.
    information : Estimate or None
        Spearman's rank correlation with the log return of the next bar, with Newey and West's
        standard error; None if the column does not vary.
    """

    symbol: str
    column: str
    bars: int
    missing: float
    mean: float
    deviation: float
    low: float
    high: float
    autocorrelation: tuple[float, ...]
    information: Estimate | None


@dataclass(frozen=True, eq=False)
class FeatureView:
    """A feature on the training bars of some symbols.

    Attributes
    ----------
    spec : FeatureSpec
        Specification of the feature.
    frames : mapping of str to DataFrame
        Training bars by symbol, by close time (UTC).
    values : mapping of str to DataFrame
        The feature's columns at these bars, NaN in the warm-up.
    lookback : int
        Bars before the first value, the most of all symbols.
    end : Timestamp
        Close of the last training bar.
    measures : tuple of Measure
        Measures of every column of every symbol.
    """

    spec: FeatureSpec
    frames: Mapping[str, pd.DataFrame]
    values: Mapping[str, pd.DataFrame]
    lookback: int
    end: pd.Timestamp
    measures: tuple[Measure, ...]

    @property
    def span(self) -> str:
        """The training span in words."""
        start = min(frame.index[0] for frame in self.frames.values())
        return f"{start:%Y-%m-%d} to {self.end:%Y-%m-%d}"


def view_of(
    spec: FeatureSpec,
    frames: Mapping[str, pd.DataFrame],
    tables: Mapping[str, FeatureTable],
    end: pd.Timestamp,
) -> FeatureView:
    """Return the view of a feature.

    Parameters
    ----------
    spec : FeatureSpec
        Specification of the feature.
    frames : mapping of str to DataFrame
        Training bars by symbol.
    tables : mapping of str to FeatureTable
        Values at these bars, and at later ones, which are dropped.
    end : Timestamp
        Close of the last training bar.
    """
    values, measures = {}, list[Measure]()
    for symbol, frame in frames.items():
        table = tables[symbol]
        own = table.values[: len(frame)]
        values[symbol] = pd.DataFrame(own, index=frame.index, columns=list(table.names))
        close = frame["close"].to_numpy(np.float64)
        following = np.log(close[1:] / close[:-1])
        for c, column in enumerate(table.names):
            measures.append(_measure(symbol, column, own[:, c], following))
    lookback = max(table.lookback for table in tables.values())
    return FeatureView(spec, frames, values, lookback, end, tuple(measures))


def _measure(symbol: str, column: str, values: F64, following: F64) -> Measure:
    known = np.isfinite(values)
    x = values[known]
    paired = known[:-1]
    return Measure(
        symbol,
        column,
        len(values),
        float(1.0 - known.mean()),
        float(x.mean()),
        float(x.std()),
        float(x.min()),
        float(x.max()),
        tuple(autocorrelations(x, LAGS)),
        rank_correlation(values[:-1][paired], following[paired]),
    )
