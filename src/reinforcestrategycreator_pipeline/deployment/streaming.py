"""Features of bars that arrive one at a time, computed by the code that made the training data.

The stream receives one bar and cannot see a later one. It keeps as many bars as the features
declare, and computes the features over them. A feature depends only on the bars in its window, so
its last row is bit-identical to the batch computation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.features.base import (
    Bars,
    FeatureSpec,
    evaluate,
)
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.ohlcv import OHLCV, first_bad


class FeatureStream:
    """The latest row of features of one symbol.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        Specifications of the features that the policy was trained with.
    columns : iterable of str
        Columns of the bars: open, high, low, close, volume, then any side data.
    symbol : str
        Symbol for error messages.

    Notes
    -----
    A feature that declares no lookback receives all bars since the start of the stream, because
    its window is unknown.
    """

    def __init__(
        self, specs: Sequence[FeatureSpec], columns: Iterable[str], symbol: str = ""
    ) -> None:
        self.symbol = symbol
        self.columns = tuple(str(name) for name in columns)
        self._who = f"{symbol}: " if symbol else ""
        missing = [name for name in OHLCV if name not in self.columns]
        if missing:
            raise DataError(f"{self._who}the bars have no column {', '.join(missing)}.")
        if not specs:
            raise ConfigError("a feature stream needs at least one feature. Got none.")
        self._features = [(spec.name, build_feature(spec)) for spec in specs]
        lookbacks = [feature.lookback for _, feature in self._features]
        self._keep = None if None in lookbacks else 1 + max(n for n in lookbacks if n is not None)
        self._set_store(np.empty((len(self.columns), 4 * (self._keep or 256))))
        self._end = 0  # bars are in _store[:, :_end]
        self.count = 0
        self.time: object = None

    def push(self, bar: Mapping[Any, float], time: object = None) -> None:
        """Add the bar that has just closed.

        Parameters
        ----------
        bar : mapping of str to float
            Value of each column.
        time : object, optional
            Timestamp of the bar, for error messages.

        Raises
        ------
        DataError
            If a column is missing, a price is not finite and > 0, or a volume is not finite and
            >= 0.
        """
        at = f"at bar {self.count}" + ("" if time is None else f" ({time})")
        bad = first_bad({name: bar.get(name, np.nan) for name in OHLCV})
        if bad is not None:
            raise DataError(f"{self._who}{bad} {at} instead.")
        for name in self.columns:
            if name not in bar:
                raise DataError(f"{self._who}the column {name!r} is missing {at}.")
        if self._end == self._store.shape[1]:
            self._make_room()
        self._store[:, self._end] = [bar[name] for name in self.columns]
        self._end += 1
        self.count += 1
        self.time = time

    def _set_store(self, store: F64) -> None:
        view = store.view()
        view.flags.writeable = False  # features may only read
        self._store, self._read_only = store, tuple(zip(self.columns, view, strict=True))

    def _make_room(self) -> None:
        keep = self._end if self._keep is None else self._keep
        kept = self._store[:, self._end - keep : self._end].copy()
        if self._keep is None:
            self._set_store(np.empty((len(self.columns), 2 * self._end)))
        self._store[:, :keep] = kept
        self._end = keep

    def _window(self, bars: int) -> Bars:
        return {name: values[self._end - bars : self._end] for name, values in self._read_only}

    def row(self) -> tuple[tuple[str, ...], F64] | None:
        """Return the features of the latest bar, or None while there are too few bars.

        Returns
        -------
        names : tuple of str
            Names of the F columns.
        values : ndarray of float64, shape (F,)
            Unscaled features of the latest bar.

        Raises
        ------
        FeatureError
            If a value is not finite.
        """
        names: list[str] = []
        values = []
        for name, feature in self._features:
            need = self.count if feature.lookback is None else feature.lookback + 1
            if need == 0 or self.count < need:
                return None
            # Only the latest row of the window has a value; the stamp is for its error message.
            stamps = [self.time] * need
            computed = evaluate(feature, name, self._window(need), self.symbol, stamps)
            if computed.lookback >= need:
                return None
            names += computed.columns
            values.append(computed.values[-1])
        return tuple(names), np.concatenate(values)
