"""Features of bars that arrive one at a time, computed by the code that made the training data.

The stream receives one bar and cannot see a later one. It keeps as many bars as the features
declare, and computes the features over them. A feature depends only on the bars in its window, so
its last row is bit-identical to the batch computation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.deployment.live_bars import (
    NO_BAR,
    BarRules,
    LiveBar,
    split_ratio,
)
from reinforcestrategycreator_pipeline.deployment.state_files import (
    read_state,
    require_same,
    restoring,
    stamp_of,
)
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import (
    Bars,
    FeatureSpec,
    evaluate,
)
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.market_features import is_of_times
from reinforcestrategycreator_pipeline.ohlcv import PRICES
from reinforcestrategycreator_pipeline.storage.tensor_files import write_tensors

FORMAT = "feature-stream/1"


class RecordedBars(NamedTuple):
    """Consecutive bars of one symbol as arrays.

    Attributes
    ----------
    times : ndarray of int64, shape (n,)
        Closes, nanoseconds since 1970 UTC.
    rows : ndarray of float64, shape (C, n)
        Values by column.
    """

    times: Ints
    rows: F64

    @classmethod
    def of(cls, frame: pd.DataFrame, columns: Sequence[str]) -> RecordedBars | None:
        """Return a frame's bars; None if a column, a time or the time zone is missing."""
        index = pd.DatetimeIndex(frame.index)
        if index.tz is None or index.hasnans or not set(columns) <= set(frame.columns):
            return None
        times = index.tz_convert("UTC").as_unit("ns").asi8
        rows = [frame[name].to_numpy(np.float64) for name in columns]
        return cls(times, np.stack(rows))

    def part(self, start: int, stop: int) -> RecordedBars:
        """Return the bars from `start` to before `stop`."""
        return RecordedBars(self.times[start:stop], self.rows[:, start:stop])

    def live(self, symbol: str, columns: Sequence[str]) -> Iterator[LiveBar]:
        """Yield the bars as live ones, their values by these columns."""
        stamps = pd.DatetimeIndex(self.times, tz="UTC")
        for time, row in zip(stamps, self.rows.T.tolist(), strict=True):
            yield LiveBar(symbol, time, dict(zip(columns, row, strict=True)))


class FeatureStream:
    """The latest row of features of one symbol.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        Specifications of the features that the policy was trained with.
    rules : BarRules
        Symbol, columns, and what the bars must be like: ``schema.rules_of(symbol)`` of a package,
        or `BarRules.of` a history.
    history : int
        Number of latest bars that `latest` can return; the features may need more.

    Attributes
    ----------
    count : int
        Number of bars so far.
    time : Timestamp or None
        Close of the latest bar, UTC.

    Notes
    -----
    A feature that declares no lookback receives all bars since the start of the stream, because
    its window is unknown.
    """

    def __init__(self, specs: Sequence[FeatureSpec], rules: BarRules, history: int = 0) -> None:
        if not specs:
            raise ConfigError("a feature stream needs at least one feature. Got none.")
        if not isinstance(rules, BarRules):
            raise ConfigError(
                "the rules of a feature stream must be BarRules, as from read_schema(package)"
                f".rules_of(symbol) or BarRules.of(bars, symbol). Got a {type(rules).__name__}."
            )
        self.rules = rules
        self.specs = tuple(specs)
        self._features = [(spec.name, build_feature(spec)) for spec in specs]
        self._of_times = [feature for _, feature in self._features if is_of_times(feature)]
        lookbacks = [feature.lookback for _, feature in self._features]
        known = [1 + n for n in lookbacks if n is not None]
        self._keep = None if None in lookbacks else max(*known, history, 1)
        self._store = np.empty((len(rules.columns), 4 * (self._keep or 256)))
        self._end = 0  # bars are in _store[:, :_end]
        self.count = 0
        self.time: pd.Timestamp | None = None

    @property
    def symbol(self) -> str:
        """Symbol of the bars."""
        return self.rules.symbol

    def check(
        self, bar: LiveBar, *, confirmed: bool = False, now: pd.Timestamp | None = None
    ) -> tuple[pd.Timestamp, dict[str, float]]:
        """Return time and values of a bar that may come next; nothing changes.

        Parameters
        ----------
        bar : LiveBar
            Bar that has just closed.
        confirmed : bool
            Whether the caller knows that the bar is real, however unlike the history it is: after
            a holiday, or a crash.
        now : Timestamp, optional
            Current time; by default, the system's.

        Raises
        ------
        LiveBarError
            If the bar breaks a rule.
        """
        last = None
        if self.time is not None:
            newest = self._store[:, self._end - 1].tolist()
            last = self.time, dict(zip(self.rules.columns, newest, strict=True))
        return self.rules.check(self._dated(bar), last, confirmed=confirmed, now=now)

    def push(
        self, bar: LiveBar, *, confirmed: bool = False, now: pd.Timestamp | None = None
    ) -> None:
        """Add the bar that has just closed; see `check`.

        Raises
        ------
        LiveBarError
            If the bar breaks a rule; nothing has changed.
        """
        self.accept(*self.check(bar, confirmed=confirmed, now=now))

    def accept(self, time: pd.Timestamp, values: Mapping[str, float]) -> None:
        """Add a bar that `check` returned."""
        if self._end == self._store.shape[1]:
            self._make_room()
        self._store[:, self._end] = [values[name] for name in self.rules.columns]
        self._end += 1
        self.count += 1
        self.time = time

    def split(self, new: int, old: int = 1) -> None:
        """Adjust the bars so far for a stock split, before the first bar after it.

        Prices are divided, and volumes multiplied, by new shares per old share.

        Parameters
        ----------
        new, old : int
            Number of new shares for this number of old shares, >= 1.
        """
        ratio = split_ratio(new, old)
        rows = self._store[:, : self._end]
        for i, name in enumerate(self.rules.columns):
            if name in PRICES:
                rows[i] /= ratio
            elif name == "volume":
                rows[i] *= ratio

    def warm_up(self, frame: pd.DataFrame) -> None:
        """Add recorded bars, by close time; gaps and jumps in them are taken as real.

        Raises
        ------
        LiveBarError
            If a bar breaks a rule that no real bar breaks; no bar was added.
        """
        bars = RecordedBars.of(frame, self.rules.columns)
        if bars is not None and self.obvious(bars):
            self.extend(bars)
            return
        tensors, header = self.to_parts()
        try:
            for bar in recorded(frame, self.symbol, self.rules.columns):
                self.push(bar, confirmed=True, now=bar.time)
        except BaseException:
            self.restore(tensors, header, "the state before")
            raise

    def obvious(self, bars: RecordedBars) -> bool:
        """Return whether bars may come next, one after the other, as confirmed ones."""
        last = NO_BAR if self.time is None else self.time.value
        return self.rules.obvious(bars.times, bars.rows, last)

    def extend(self, bars: RecordedBars) -> None:
        """Add bars of which `obvious` is true."""
        n = len(bars.times)
        if not n:
            return
        keep = self._end + n if self._keep is None else self._keep
        kept = np.concatenate([self._store[:, max(0, self._end - keep) : self._end], bars.rows], 1)
        kept = kept[:, -keep:]
        if kept.shape[1] > self._store.shape[1]:
            self._store = np.empty((len(self.rules.columns), 2 * kept.shape[1]))
        self._end = kept.shape[1]
        self._store[:, : self._end] = kept
        self.count += n
        self.time = pd.Timestamp(int(bars.times[-1]), tz="UTC")

    def rows(self, bars: RecordedBars) -> tuple[tuple[str, ...], F64] | None:
        """Return the features of bars that may come next, as `row` will one by one.

        They are computed from these bars and as many before them as the features declare.

        Returns
        -------
        names : tuple of str
            Names of the F columns.
        values : ndarray of float64, shape (n, F)
            Unscaled features of each bar. Instead of both, None if there are too few bars before
            the first one.

        Raises
        ------
        FeatureError
            If a value is not finite.
        """
        names: list[str] = []
        values = []
        for name, feature in self._features:
            before = self.count if feature.lookback is None else feature.lookback
            if self.count < before:
                return None
            past = self._store[:, self._end - before : self._end]
            window = np.concatenate([past, bars.rows], axis=1)
            window.flags.writeable = False
            columns = dict(zip(self.rules.columns, window, strict=True))
            times = np.concatenate([np.full(before, NO_BAR), bars.times])
            stamps = pd.DatetimeIndex(times, tz="UTC")
            computed = evaluate(feature, name, columns, self.symbol, stamps)
            if computed.lookback > before:
                return None
            names += computed.columns
            values.append(computed.values[before:])
        return tuple(names), np.concatenate(values, axis=1)

    def latest(self, bars: int) -> Bars:
        """Return the latest bars by column, oldest first; fewer if there were fewer."""
        return self._window(min(bars, self._end))

    def save(self, path: str | Path) -> None:
        """Write the state to one sealed file, atomically."""
        tensors, header = self.to_parts()
        write_tensors(path, tensors, {"format": FORMAT, **header})

    @classmethod
    def load(
        cls, path: str | Path, specs: Sequence[FeatureSpec], rules: BarRules, history: int = 0
    ) -> FeatureStream:
        """Return a stream that goes on from a saved state, to the bit.

        Parameters
        ----------
        path : path
            File that `save` wrote.
        specs, rules, history
            Arguments that made the stream; the file names no code that would be loaded.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, of another format, or of a stream that was made with
            other arguments.
        """
        tensors, header = read_state(path, FORMAT)
        stream = cls(specs, rules, history)
        with restoring(path):
            stream.restore(tensors, header, str(path))
        return stream

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the tensors and the JSON-serializable header for `restore`."""
        kept = self._end if self._keep is None else min(self._end, self._keep)
        header = {
            "stream": {
                "rules": {"symbol": self.symbol, **self.rules.to_json()},
                "features": [spec.to_mapping() for spec in self.specs],
                "keep": self._keep,
            },
            "count": self.count,
            "time": None if self.time is None else self.time.value,
        }
        return {"bars": self._store[:, self._end - kept : self._end]}, header

    def restore(self, tensors: Mapping[str, Array], header: Mapping[str, Any], place: str) -> None:
        """Take over the result of `to_parts`; `place` is for error messages.

        Raises
        ------
        CheckpointError
            If it is of a stream that was made with other arguments.
        KeyError, TypeError, ValueError
            If it is not such a result.
        """
        _, expected = self.to_parts()
        require_same(place, "", header["stream"], expected["stream"])
        bars, count = tensors["bars"], header["count"]
        kept = count if self._keep is None else min(count, self._keep)
        if bars.dtype != np.float64 or bars.shape != (len(self.rules.columns), kept):
            raise ValueError(f"{kept} bars are needed. Got {bars.dtype} of shape {bars.shape}")
        if not np.isfinite(bars).all():
            raise ValueError("bars must be finite")
        if self._keep is None and kept > self._store.shape[1]:
            self._store = np.empty((len(bars), 2 * kept))
        self._store[:, :kept] = bars
        self._end, self.count = kept, count
        self.time = stamp_of(header["time"])
        if (self.time is None) != (count == 0):
            raise ValueError(f"the time {self.time} after {count} bars")

    def undo(self, time: pd.Timestamp | None) -> None:
        """Remove the bar that was pushed last; `time` is that of the bar before."""
        self._end -= 1
        self.count -= 1
        self.time = time

    def _dated(self, bar: LiveBar) -> LiveBar:
        """Add the columns that follow from the bar's time alone."""
        if not self._of_times or not isinstance(bar, LiveBar):
            return bar
        try:
            stamps = pd.DatetimeIndex([pd.Timestamp(bar.time)]).tz_convert("UTC").as_unit("ns")
            values = dict(bar.values)
        except (TypeError, ValueError, OverflowError):
            return bar  # the check says what is wrong
        if not stamps.hasnans:
            for feature in self._of_times:
                row = feature.of_times(stamps.asi8)[0].tolist()
                values.update(zip(feature.columns, row, strict=True))
        return bar._replace(values=values)

    def _make_room(self) -> None:
        keep = self._end if self._keep is None else self._keep
        kept = self._store[:, self._end - keep : self._end].copy()
        if self._keep is None:
            self._store = np.empty((len(self.rules.columns), 2 * self._end))
        self._store[:, :keep] = kept
        self._end = keep

    def _window(self, bars: int) -> Bars:
        # A copy, since the bits of a dot product may depend on the address; features only read it.
        window = self._store[:, self._end - bars : self._end].copy()
        window.flags.writeable = False
        return dict(zip(self.rules.columns, window, strict=True))

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


def recorded(
    frame: pd.DataFrame, symbol: str, columns: Sequence[str] | None = None
) -> Iterator[LiveBar]:
    """Yield the rows of a frame, indexed by close time, as live bars of some of its columns."""
    wanted = frame.columns if columns is None else columns
    columns = [str(name) for name in wanted if name in frame.columns]
    values = frame[columns].to_numpy(dtype=np.float64)
    for time, row in zip(pd.DatetimeIndex(frame.index), values.tolist(), strict=True):
        yield LiveBar(symbol, time, dict(zip(columns, row, strict=True)))
