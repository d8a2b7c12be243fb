"""Features of the market: of the times of its bars, or of the bars of all symbols at once.

A feature sees the bars of one symbol, without their times. What needs more is computed first, from
the whole market, and joined to the bars of each symbol as side data (`joining.joined`). From there
on it is a column like any other: it is streamed and packaged with the bars, and when the verdict
puts bars into other orders, it stays in its place, as a signal from outside does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.checks import Strict
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.base import Bars, Feature, FloatArray
from reinforcestrategycreator_pipeline.features.windows import stack

if TYPE_CHECKING:
    import pandas as pd

Market: TypeAlias = "Mapping[str, pd.DataFrame]"
"""Bars by symbol, each a frame by close time (UTC)."""


class MarketFeature(Feature, Protocol):
    """A feature of the market; its `compute` takes the values from the bars, see `FromMarket`."""

    @property
    def lookback(self) -> int:
        """Number of leading bars of a symbol without a value."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are joined to the bars."""
        ...

    def of_market(self, market: Market) -> Mapping[str, FloatArray]:
        """Return the values of each symbol, shape (T, k).

        Row t of a symbol may use its own `lookback` + 1 newest bars up to t, and at the time of
        each of these the `lookback` + 1 newest bars of any other symbol. A symbol that has no bar
        at a time, because it is not listed or its market is closed, does not take part in it.
        """
        ...


class OfTimes(MarketFeature, Protocol):
    """A feature of the market that needs no more than the time of a bar: streams add it."""

    def of_times(self, times: Ints) -> FloatArray:
        """Return the values at closes in nanoseconds since 1970 UTC, shape (T, k)."""
        ...


@dataclass(frozen=True)
class FromMarket(Strict):
    """Base of a feature of the market: its values are columns of the bars."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are joined to the bars."""
        raise NotImplementedError

    def compute(self, bars: Bars) -> FloatArray:
        """Return the joined columns, shape (T, k)."""
        missing = [name for name in self.columns if name not in bars]
        if missing:
            raise FeatureError(
                f"needs the column {', '.join(missing)}, which is made from the times and the bars "
                "of all symbols: join it by features.joining.joined."
            )
        return stack([bars[name] for name in self.columns])


def is_of_market(feature: object) -> TypeGuard[MarketFeature]:
    """Return whether a feature needs the market."""
    return hasattr(feature, "of_market")


def is_of_times(feature: object) -> TypeGuard[OfTimes]:
    """Return whether a feature of the market needs the time of a bar alone."""
    return hasattr(feature, "of_times")


def times_of(frame: pd.DataFrame) -> Ints:
    """Return the closes of bars, nanoseconds since 1970 UTC."""
    index: Any = frame.index
    return index.as_unit("ns").asi8  # type: ignore[no-any-return]
