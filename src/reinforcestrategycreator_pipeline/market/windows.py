"""Windows of market time: training, validation and test in sequence, separated by embargoes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Bools
from reinforcestrategycreator_pipeline.checks import Ge, Le, Lt, Strict, require
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.limits import Bars

MIN_SHARE = 1e-4  # of all bars
TEST_SHARE = {"walk_forward": 0.5, "single": 0.2}
_SMALLEST = 2  # bars: a decision at a close needs the next bar for its fill and reward


@dataclass(frozen=True)
class SplitConfig(Strict):
    """Division of the bars into windows of training, validation and test, oldest first.

    Walking forward, the test bars, the newest of all, are divided into consecutive parts. Each part
    judges a policy that was fitted on bars before it, and the parts together judge the strategy. A
    last policy, which is deployed, is fitted on all bars. A single split has one part, and deploys
    the policy that it judged.

    No bar is in two spans of a window, and a decision's reward ends with the next bar of its own
    span, so `embargo_bars` purges all overlap between what was learned from and what judges it.

    Parameters
    ----------
    kind : {"walk_forward", "single"}
        Several windows, or one.
    windows : int
        Number of parts of the test bars when walking forward, 1 to 1,000.
    anchored : bool
        Whether every window begins with the first bar; else all windows are of about the same
        length as the first, and old bars are forgotten.
    validation : float
        Fraction of the bars of each window, its test bars included, in [0.0001, 1).
    test : float, optional
        Fraction of all bars that judge, in [0.0001, 1); by default 0.5 when walking forward, and
        0.2 of a single split. `test_start` takes precedence.
    embargo_bars : int
        Number of unused bars between two spans, >= 0, taken from the end of the earlier one.
    validation_start : str, optional
        ISO 8601 date or time (UTC unless it has an offset) in place of `validation`, for a single
        split. The span starts with the first bar that closes after it.
    test_start : str, optional
        Such a date or time for the first test bar.
    """

    kind: Literal["walk_forward", "single"] = "walk_forward"
    windows: Annotated[int, Ge(1), Le(1_000)] = 5
    anchored: bool = True
    validation: Annotated[float, Ge(MIN_SHARE), Lt(1)] = 0.2
    test: Annotated[float, Ge(MIN_SHARE), Lt(1)] | None = None
    embargo_bars: Bars = 5
    validation_start: str | None = None
    test_start: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = "SplitConfig"
        require(
            self._train_share >= MIN_SHARE,
            owner,
            "validation",
            f"small enough to leave bars to train on beside a test share of {self.test_share:g}",
            self.validation,
        )
        if self.validation_start is not None and self.kind != "single":
            rule = "left out when walking forward: each window has its own validation span"
            require(False, owner, "validation_start", rule, self.validation_start)
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

    @property
    def test_share(self) -> float:
        """Fraction of all bars that judge, unless a date says otherwise."""
        return TEST_SHARE[self.kind] if self.test is None else self.test

    @property
    def parts(self) -> int:
        """Number of windows."""
        return self.windows if self.kind == "walk_forward" else 1

    @property
    def _train_share(self) -> float:
        """Fraction of all bars that the first window trains on, but for the embargoes."""
        before = 1.0 - self.test_share
        return before - self.validation * (before + self.test_share / self.parts)


@dataclass(frozen=True)
class Span:
    """A closed interval [start, end] of close times."""

    start: pd.Timestamp
    end: pd.Timestamp

    def mask(self, timestamps: pd.DatetimeIndex) -> Bools:
        """Return a mask of the `timestamps` in the span."""
        return np.asarray((timestamps >= self.start) & (timestamps <= self.end))

    def rows(self, timestamps: pd.DatetimeIndex) -> slice:
        """Return the rows of increasing `timestamps` in the span."""
        first = int(timestamps.searchsorted(self.start, side="left"))
        return slice(first, max(first, int(timestamps.searchsorted(self.end, side="right"))))


@dataclass(frozen=True)
class Window:
    """Spans to fit a policy on, each ending before the next begins, and the one that judges it.

    The policy that is deployed after walking forward has no test span: it learns from all bars.
    """

    train: Span
    validation: Span
    test: Span | None = None

    def items(self) -> tuple[tuple[str, Span], ...]:
        """Return name and span of each part, in order of time."""
        fitted = (("train", self.train), ("validation", self.validation))
        return fitted if self.test is None else (*fitted, ("test", self.test))

    def to_json(self) -> dict[str, list[str]]:
        """Return the first and last close time of each span, ISO 8601 to the nanosecond."""
        return {name: [span.start.isoformat(), span.end.isoformat()] for name, span in self.items()}

    @classmethod
    def from_json(cls, spans: Mapping[str, Sequence[str]]) -> Window:
        """Restore a window from the result of `to_json`."""
        return cls(**{name: Span(*map(pd.Timestamp, ends)) for name, ends in spans.items()})


@dataclass(frozen=True)
class Windows:
    """Windows of a run.

    Attributes
    ----------
    judged : tuple of Window
        Windows with a test span, in order of time; each test span begins with the bar after the one
        before.
    deployed : Window or None
        Window without a test span that the deployed policy is fitted on; None if that is the
        policy of the only window.
    """

    judged: tuple[Window, ...]
    deployed: Window | None = None

    @property
    def all(self) -> tuple[Window, ...]:
        """The windows on which a policy is fitted, in order of time."""
        return self.judged if self.deployed is None else (*self.judged, self.deployed)

    @property
    def tests(self) -> tuple[Span, ...]:
        """The test spans."""
        return tuple(window.test for window in self.judged if window.test is not None)

    @property
    def test(self) -> Span:
        """All test spans as one."""
        return Span(self.tests[0].start, self.tests[-1].end)

    @property
    def starts(self) -> tuple[int, ...]:
        """First close of each test span, nanoseconds since 1970 UTC."""
        return tuple(span.start.as_unit("ns").value for span in self.tests)

    def to_json(self) -> dict[str, Any]:
        """Return the spans of all windows; see `Window.to_json`."""
        return {
            "windows": [window.to_json() for window in self.judged],
            "deployed": None if self.deployed is None else self.deployed.to_json(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Windows:
        """Restore windows from the result of `to_json`; further keys are ignored."""
        deployed = found["deployed"]
        return cls(
            tuple(map(Window.from_json, found["windows"])),
            None if deployed is None else Window.from_json(deployed),
        )


def windows_of(timestamps: pd.DatetimeIndex, config: SplitConfig) -> Windows:
    """Divide close times into windows.

    Parameters
    ----------
    timestamps : DatetimeIndex
        Union of the close times of all symbols, UTC, strictly increasing.
    config : SplitConfig
        Kind, number, fractions or dates, and embargo.

    Raises
    ------
    DataError
        If a span would have fewer than 2 bars; the message gives the numbers.

    Notes
    -----
    With n bars of which m = round(n test) judge, part k of F has the bars from n - m + [k m / F] to
    the next part, and its window begins with bar 0, or [k m / F] if the windows roll. The deployed
    policy's window ends with the last bar, and begins as window F would.

    Examples
    --------
    >>> days = pd.date_range("2024-01-01", periods=100, tz="UTC")
    >>> found = windows_of(days, SplitConfig(windows=2, embargo_bars=0))
    >>> for window in found.all:
    ...     print(*(f"{name} {s.start:%m-%d} to {s.end:%m-%d}" for name, s in window.items()))
    train 01-01 to 02-04 validation 02-05 to 02-19 test 02-20 to 03-15
    train 01-01 to 02-24 validation 02-25 to 03-15 test 03-16 to 04-09
    train 01-01 to 03-20 validation 03-21 to 04-09
    """
    if not (timestamps.is_monotonic_increasing and timestamps.is_unique):
        raise DataError("the timestamps to split must be strictly increasing.")
    n, first = len(timestamps), _first_test(timestamps, config)
    validation = None
    if config.validation_start is not None:
        stamp = parse_instant("split", "validation_start", config.validation_start)
        validation = int(timestamps.searchsorted(stamp, side="right"))
    found = _layout(n, first, config, validation)
    for number, spans in enumerate(found):
        sizes = [end - begin for begin, end in spans]
        if min(sizes) < _SMALLEST:
            raise DataError(_too_short(timestamps, config, number, sizes))
    windows = [
        Window(*(Span(timestamps[begin], timestamps[end - 1]) for begin, end in spans))
        for spans in found
    ]
    if config.kind == "single":
        return Windows(tuple(windows))
    return Windows(tuple(windows[:-1]), windows[-1])


def _layout(
    n: int, first: int, config: SplitConfig, validation: int | None = None
) -> list[list[tuple[int, int]]]:
    """Return the spans [begin, end) of each window; that of the deployed policy has no test span.

    Parameters
    ----------
    n, first : int
        Number of bars, and position of the first test bar.
    config : SplitConfig
        Kind, number of windows, fraction of validation, and embargo.
    validation : int, optional
        Position of the first validation bar of a single split.
    """
    moved = [k * (n - first) // config.parts for k in range(config.parts + 1)]
    found = []
    for k in range(config.parts + (config.kind == "walk_forward")):
        begin, test = 0 if config.anchored else moved[k], first + moved[k]
        is_last = k == config.parts
        end = n if is_last else first + moved[k + 1]
        known = end if is_last else test - config.embargo_bars  # no test span, no embargo
        start = known - round((end - begin) * config.validation)
        if validation is not None:
            start = validation
        spans = [(begin, start - config.embargo_bars), (start, known)]
        found.append(spans if is_last else [*spans, (test, end)])
    return found


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


def last_moment(owner: str, name: str, value: object, timezone: str) -> pd.Timestamp:
    """Return the end of a date's day in a time zone, or a time itself, in UTC.

    Raises
    ------
    ConfigError
        If `value` is neither; the message names the parameter.
    """
    stamp = parse_instant(owner, name, value)
    if len(str(value).strip()) > len("2012-06-30"):
        return stamp
    day = stamp.tz_localize(None).normalize() + pd.Timedelta(1, "D")
    return day.tz_localize(timezone, nonexistent="shift_forward", ambiguous=False).tz_convert("UTC")


def _first_test(timestamps: pd.DatetimeIndex, config: SplitConfig) -> int:
    """Return the position of the first test bar."""
    n = len(timestamps)
    if config.test_start is None:
        return n - round(n * config.test_share)
    stamp = parse_instant("split", "test_start", config.test_start)
    return int(timestamps.searchsorted(stamp, side="right"))


def _too_short(
    timestamps: pd.DatetimeIndex, config: SplitConfig, number: int, sizes: list[int]
) -> str:
    n = len(timestamps)
    names = ("train", "validation", "test")
    spans = ", ".join(f"{name} {max(size, 0)}" for name, size in zip(names, sizes, strict=False))
    where = f"window {number + 1} of {config.parts}: " if config.parts > 1 else ""
    if number == config.parts:
        where = "the deployed policy: "
    text = (
        f"too few bars for the split: {n} bars with an embargo of {config.embargo_bars} give "
        f"{where}{spans}; each span needs at least {_SMALLEST}."
    )
    if config.validation_start is None and config.test_start is None:
        return f"{text} At least {bars_needed(config)} bars are needed."
    if n == 0:
        return text
    return f"{text} The bars run from {timestamps[0].date()} to {timestamps[-1].date()}."


def bars_needed(config: SplitConfig) -> int:
    """Return the smallest number of bars that can be split by the fractions of `config`."""
    # Every length is its share of n, rounded once or twice. Start just below the least n for which
    # that could be enough.
    share, parts = config.test_share, config.parts
    least = (
        (_SMALLEST * parts - 0.5) / share,
        (_SMALLEST - 1.5) / config.validation,
        (_SMALLEST - 2 + 2 * config.embargo_bars) / config._train_share,
    )
    n = max(3 * _SMALLEST, math.floor(max(least)) - 1)
    while True:
        spans = [span for window in _layout(n, n - round(n * share), config) for span in window]
        if min(end - begin for begin, end in spans) >= _SMALLEST:
            return n
        n += 1
