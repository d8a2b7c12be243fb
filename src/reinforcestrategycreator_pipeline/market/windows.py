"""Windows of market time: training, validation and test in sequence, separated by embargoes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Bools
from reinforcestrategycreator_pipeline.checks import Ge, Lt, Strict, require
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.limits import Bars

MIN_SHARE = 1e-4  # of all bars
_SMALLEST = 2  # bars: a decision at a close needs the next bar for its fill and reward


@dataclass(frozen=True)
class SplitConfig(Strict):
    """Split of the bars into train, validation and test, oldest first.

    Parameters
    ----------
    validation, test : float
        Fractions of all bars, each in [0.0001, 1), together below 1. A start date takes precedence.
    embargo_bars : int
        Number of unused bars between two spans, >= 0, taken from the end of the earlier one.
    validation_start, test_start : str, optional
        ISO 8601 date or time (UTC unless it has an offset). The span starts with the first bar
        that closes after it.
    """

    validation: Annotated[float, Ge(MIN_SHARE), Lt(1)] = 0.2
    test: Annotated[float, Ge(MIN_SHARE), Lt(1)] = 0.2
    embargo_bars: Bars = 5
    validation_start: str | None = None
    test_start: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = "SplitConfig"
        require(
            self.validation + self.test <= 1 - MIN_SHARE,
            owner,
            "validation",
            f"below 1 together with test ({self.test}), by {MIN_SHARE} or more",
            self.validation,
        )
        starts = [
            parse_instant(owner, name, value)
            for name, value in (
                ("validation_start", self.validation_start),
                ("test_start", self.test_start),
            )
            if value is not None
        ]
        if len(starts) == 2:
            rule = f"before test_start ({self.test_start})"
            require(starts[0] < starts[1], owner, "validation_start", rule, self.validation_start)


@dataclass(frozen=True)
class Span:
    """A closed interval [start, end] of close times."""

    start: pd.Timestamp
    end: pd.Timestamp

    def mask(self, timestamps: pd.DatetimeIndex) -> Bools:
        """Return a mask of the `timestamps` in the span."""
        return np.asarray((timestamps >= self.start) & (timestamps <= self.end))


@dataclass(frozen=True)
class Window:
    """Three spans, each ending before the next begins."""

    train: Span
    validation: Span
    test: Span

    def items(self) -> tuple[tuple[str, Span], ...]:
        """Return name and span of each part, in order of time."""
        return (("train", self.train), ("validation", self.validation), ("test", self.test))

    def to_json(self) -> dict[str, list[str]]:
        """Return the first and last close time of each span, ISO 8601 to the nanosecond."""
        return {name: [span.start.isoformat(), span.end.isoformat()] for name, span in self.items()}

    @classmethod
    def from_json(cls, spans: Mapping[str, Sequence[str]]) -> Window:
        """Restore a window from the result of `to_json`."""
        return cls(**{name: Span(*map(pd.Timestamp, ends)) for name, ends in spans.items()})


def chronological_split(timestamps: pd.DatetimeIndex, config: SplitConfig) -> Window:
    """Split close times into training, validation and test.

    Parameters
    ----------
    timestamps : DatetimeIndex
        Union of the close times of all symbols, UTC, strictly increasing.
    config : SplitConfig
        Fractions or dates, and embargo.

    Raises
    ------
    DataError
        If a span would have fewer than 2 bars; the message gives the numbers.
    """
    if not (timestamps.is_monotonic_increasing and timestamps.is_unique):
        raise DataError("the timestamps to split must be strictly increasing.")
    n = len(timestamps)
    test, validation = _starts(timestamps, config)
    ends = (validation - config.embargo_bars, test - config.embargo_bars, n)
    begins = (0, validation, test)
    sizes = [end - begin for begin, end in zip(begins, ends, strict=True)]
    if min(sizes) < _SMALLEST:
        raise DataError(_too_short(timestamps, config, sizes))
    spans = [
        Span(timestamps[begin], timestamps[end - 1])
        for begin, end in zip(begins, ends, strict=True)
    ]
    return Window(*spans)


def parse_instant(owner: str, name: str, value: object) -> pd.Timestamp:
    """Return an ISO 8601 date or time as a UTC timestamp; `ConfigError` names the parameter."""
    rule = "an ISO 8601 date or time such as '2012-06-30'"
    require(isinstance(value, str), owner, name, rule, value)
    try:
        stamp = pd.to_datetime(str(value), format="ISO8601")
    except ValueError as error:
        raise ConfigError(
            f"The {name} parameter of {owner} must be {rule}. Got {value!r} instead."
        ) from error
    return stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")


def _starts(timestamps: pd.DatetimeIndex, config: SplitConfig) -> tuple[int, int]:
    """Return the positions of the first test bar and of the first validation bar."""
    n = len(timestamps)
    if config.test_start is None:
        test = n - round(n * config.test)
    else:
        stamp = parse_instant("split", "test_start", config.test_start)
        test = int(timestamps.searchsorted(stamp, side="right"))
    if config.validation_start is None:
        validation = test - config.embargo_bars - round(n * config.validation)
    else:
        stamp = parse_instant("split", "validation_start", config.validation_start)
        validation = int(timestamps.searchsorted(stamp, side="right"))
    return test, validation


def _too_short(timestamps: pd.DatetimeIndex, config: SplitConfig, sizes: list[int]) -> str:
    n = len(timestamps)
    spans = ", ".join(
        f"{name} {max(size, 0)}"
        for name, size in zip(("train", "validation", "test"), sizes, strict=True)
    )
    text = (
        f"too few bars for the split: {n} bars with an embargo of {config.embargo_bars} give "
        f"{spans}; each span needs at least {_SMALLEST}."
    )
    if config.validation_start is None and config.test_start is None:
        return f"{text} At least {bars_needed(config)} bars are needed."
    if n == 0:
        return text
    return f"{text} The bars run from {timestamps[0].date()} to {timestamps[-1].date()}."


def bars_needed(config: SplitConfig) -> int:
    """Return the smallest number of bars that can be split by the fractions of `config`."""
    # Each span has round(n * share) bars, so at most n * share + 0.5. Start just below the least n
    # for which that could be enough.
    train = 1 - config.test - config.validation
    least = (
        (_SMALLEST - 0.5) / config.test,
        (_SMALLEST - 0.5) / config.validation,
        (_SMALLEST - 1 + 2 * config.embargo_bars) / train,
    )
    n = max(3 * _SMALLEST, math.floor(max(least)) - 1)
    while True:
        test, validation = round(n * config.test), round(n * config.validation)
        train = n - test - validation - 2 * config.embargo_bars
        if min(train, validation, test) >= _SMALLEST:
            return n
        n += 1
