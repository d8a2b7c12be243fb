"""The section ``search``: which configurations are tried, and by what they are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import METRICS, find_metric
from reinforcestrategycreator_pipeline.checks import (
    Ge,
    Gt,
    Le,
    Strict,
    from_mapping,
    is_int,
    require,
)
from reinforcestrategycreator_pipeline.errors import at
from reinforcestrategycreator_pipeline.registry import NameOf

MOST_TRIALS = 100_000


@dataclass(frozen=True)
class Range(Strict):
    """Numbers from `low` to `high`, both included; integers if both ends are.

    Attributes
    ----------
    low, high : int or float
        Ends of the range, low < high.
    log : bool
        Whether the logarithm is drawn evenly; low > 0, and no `step`.
    step : int or float, optional
        Distance of the values from each other, counted from `low`, > 0.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: Annotated[int, Gt(0)] | Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.low < self.high, "Range", "high", f"above low ({self.low})", self.high)
        if self.log:
            require(self.low > 0, "Range", "low", "> 0 on a logarithmic scale", self.low)
            require(self.step is None, "Range", "step", "left out beside log", self.step)
        if self.step is not None:
            rule = "an integer, as low and high are"
            require(not self.whole or is_int(self.step), "Range", "step", rule, self.step)
            rule = f"at most high - low ({self.high - self.low:g})"
            require(self.step <= self.high - self.low, "Range", "step", rule, self.step)

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return is_int(self.low) and is_int(self.high)

    @property
    def last(self) -> int | float:
        """The greatest value: `high`, or the last step at or below it."""
        if self.step is None:
            return self.high
        low, high, step = (Decimal(repr(x)) for x in (self.low, self.high, self.step))
        last = low + (high - low) // step * step
        return int(last) if self.whole else float(last)

    @property
    def ends(self) -> tuple[int | float, ...]:
        """Both ends."""
        return (self.low, self.last) if self.whole else (float(self.low), float(self.last))


Listed = tuple[Any, ...]


@dataclass(frozen=True)
class SearchConfig(Strict):
    """Search over configurations on the bars before the first test bar.

    These bars are divided into inner windows; a trial fits its configuration on each of them, and
    is judged by the stitched out-of-sample part. Trials are proposed in generations of a fixed
    size: the results do not depend on how many run at once.

    Attributes
    ----------
    space : mapping of str to mapping or list
        What is varied: dotted keys of the sections ``features``, ``trading`` and ``strategy``. A
        mapping ``{low, high, log, step}`` is a range of numbers, of integers if both ends are; a
        list has the values to choose from.
    trials : int
        Number of configurations to try, 1 to 100,000.
    metric : str
        Metric of the out-of-sample part by which trials are compared, in its better direction.
    folds : int
        Number of inner windows, 1 to 100.
    prune : bool
        Whether a trial ends after an inner window if it is worse by then than the median of
        the earlier ones.
    sampler : {"tpe", "random"}
        How configurations are proposed: learning from the earlier ones, or not.
    generation : int
        Number of trials that are proposed at once, 1 to 1,000. A larger one keeps more processors
        busy, and learns later.
    """

    space: Mapping[str, Any]
    trials: Annotated[int, Ge(1), Le(MOST_TRIALS)] = 20
    metric: Annotated[str, NameOf(METRICS)] = "sharpe"
    folds: Annotated[int, Ge(1), Le(100)] = 3
    prune: bool = True
    sampler: Literal["tpe", "random"] = "tpe"
    generation: Annotated[int, Ge(1), Le(1_000)] = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("metric"):
            better = find_metric(self.metric).higher_is_better
        rule = "a metric of which more, or less, is better"
        require(better is not None, "SearchConfig", "metric", rule, self.metric)
        space: dict[str, Range | Listed] = {}
        for key, given in _flat(self.space, ""):
            with at("space", key):
                space[key] = _dimension(key, given)
        require(bool(space), "SearchConfig", "space", "a mapping of at least one key", self.space)
        object.__setattr__(self, "space", space)

    @property
    def maximizes(self) -> bool:
        """Whether more of the metric is better."""
        return bool(find_metric(self.metric).higher_is_better)


def _flat(space: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield each dotted key; ``--set search.space.strategy.seed=...`` makes nested mappings."""
    for key, value in space.items():
        if isinstance(value, Mapping) and value and not {"low", "high"} & set(value):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _dimension(key: str, given: Any) -> Range | Listed:
    if isinstance(given, Range):
        return given
    if isinstance(given, Mapping):
        return from_mapping(Range, given, f"search.space[{key!r}]")
    is_list = isinstance(given, (list, tuple)) and bool(given)
    rule = "a range {low, high}, or a list of values"
    require(is_list, "SearchConfig", f"space[{key!r}]", rule, given)
    distinct = all(repr(a) != repr(b) for i, a in enumerate(given) for b in given[:i])
    require(distinct, "SearchConfig", f"space[{key!r}]", "a list without duplicates", given)
    return tuple(given)
