"""What a metric is: its value or the reason why it has none, its inputs, and the registry."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtest.results import StrategyResult
from reinforcestrategycreator_pipeline.checks import require_choice
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    NonFiniteError,
    RscError,
    RunError,
    blamed,
)
from reinforcestrategycreator_pipeline.registry import Registry

Unit = Literal["percent", "ratio", "multiple", "money", "count", "bars"]
# In the order of a table.
Group = Literal["Return", "Return for risk", "Risk", "Trading", "Trades"]


class UndefinedMetricError(RscError, ValueError):
    """A metric has no value for this result; the text says why (``"no trades"``)."""


@dataclass(frozen=True)
class MetricValue:
    """A finite number, or None together with the reason.

    Attributes
    ----------
    value : float or None
        The number, in the metric's unit; percentages are fractions (0.1 is 10%).
    reason : str
        Why there is no number; empty if there is one.
    """

    value: float | None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"a metric has either a value or a reason. Got {self!r} instead.")
        if self.value is not None and not math.isfinite(self.value):
            raise NonFiniteError(f"a metric's value must be finite. Got {self.value!r} instead.")

    def to_json(self) -> dict[str, Any]:
        """Return ``{"value": 1.2}`` or ``{"value": None, "reason": "no trades"}``."""
        if self.value is None:
            return {"value": None, "reason": self.reason}
        return {"value": float(self.value)}


@dataclass(frozen=True, eq=False)
class Performance:
    """What a metric is computed from: a result, and what follows from it at once.

    An account that reaches zero is closed there: `equity` ends with the bar of ruin, and what
    the result holds after that bar is not looked at.

    Attributes
    ----------
    result : StrategyResult
        What the strategy did, over n bars.
    periods_per_year : float
        Bars in a year, for annualising; see `infer_periods_per_year`.
    equity : ndarray of float64, shape (m + 1,)
        Money at the closes up to the end or to ruin, m <= n.
    returns : ndarray of float64, shape (m,)
        Simple return of each bar, net of costs.
    ruined : bool
        Whether equity touched zero.
    """

    result: StrategyResult
    periods_per_year: float
    equity: F64 = field(init=False)
    returns: F64 = field(init=False)
    ruined: bool = field(init=False)

    def __post_init__(self) -> None:
        result, who = self.result, f"{self.result.strategy} on {self.result.symbol}"
        if not (math.isfinite(self.periods_per_year) and self.periods_per_year > 0):
            raise ValueError(
                f"periods_per_year must be a finite number > 0. Got {self.periods_per_year!r}."
            )
        equity = np.asarray(result.equity, dtype=np.float64)
        bars = len(equity) - 1
        broke = np.flatnonzero(equity <= 0)
        if broke.size:
            equity = equity[: broke[0] + 1]
        _require_finite(equity, f"{who}: equity")
        if not (len(equity) and equity[0] > 0):
            raise ValueError(f"{who}: equity must begin above 0.")
        for name in ("exposure", "turnover", "costs"):
            values = np.asarray(getattr(result, name), dtype=np.float64)
            if values.shape != (bars,):
                raise ValueError(f"{who}: {name} must have shape ({bars},), has {values.shape}.")
            _require_finite(values[: len(equity) - 1], f"{who}: {name}")
        object.__setattr__(self, "ruined", bool(broke.size))
        object.__setattr__(self, "equity", equity)
        object.__setattr__(self, "returns", equity[1:] / equity[:-1] - 1.0)

    def trade_values(self, column: str) -> F64:
        """Return a numeric column of the trades.

        Raises
        ------
        UndefinedMetricError
            If there is no trade.
        NonFiniteError
            If a value is NaN or infinite.
        """
        if len(self.result.trades) == 0:
            raise UndefinedMetricError("no trades")
        values = self.result.trades[column].to_numpy(dtype=np.float64)
        _require_finite(values, f"{self.result.strategy} on {self.result.symbol}: trades {column}")
        return values

    def need_bars(self, bars: int) -> None:
        """Raise `UndefinedMetricError` if there are fewer than `bars` returns."""
        if len(self.returns) < bars:
            raise UndefinedMetricError(
                f"too short: {len(self.returns)} returns, {bars} are needed"
                if len(self.returns)
                else "no bars"
            )

    def need_solvency(self) -> None:
        """Raise `UndefinedMetricError` if equity touched zero."""
        if self.ruined:
            raise UndefinedMetricError("ruined: equity reached zero")


def _require_finite(values: F64, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise NonFiniteError(f"{what} must be finite. Got {values[bad[0]]} at index {bad[0]}.")


@dataclass(frozen=True)
class MetricInfo:
    """What a figure of merit is, and how to show it.

    Attributes
    ----------
    key : str
        Its name in configuration and in ``metrics.json``.
    label : str
        Its name for people.
    unit : str
        "percent" (the value is a fraction), "ratio", "multiple" (of equity), "money", "count"
        or "bars".
    group : str
        Which part of a table it belongs to.
    higher_is_better : bool or None
        None if neither direction is better.
    definition : str
        In words, a line a paragraph.
    """

    key: str
    label: str
    unit: Unit
    group: Group
    higher_is_better: bool | None
    definition: str

    def __post_init__(self) -> None:
        require_choice(f"the metric {self.key!r}", "unit", self.unit, get_args(Unit))
        require_choice(f"the metric {self.key!r}", "group", self.group, get_args(Group))

    @property
    def info(self) -> dict[str, Any]:
        """These attributes, as ``metrics.json`` holds them."""
        return {f.name: getattr(self, f.name) for f in fields(MetricInfo)}


@dataclass(frozen=True)
class Metric(MetricInfo):
    """A figure of merit and the function that computes it.

    Attributes
    ----------
    function : callable
        `Performance` -> float; raises `UndefinedMetricError` if there is no value.
    """

    function: Callable[[Performance], float]

    def __call__(self, performance: Performance) -> MetricValue:
        """Compute the metric; an undefined one carries its reason.

        Raises
        ------
        RunError
            If the function raises anything else, with its file and line.
        NonFiniteError
            If the value is NaN or infinite.
        """
        try:
            with blamed(f"the metric {self.key!r}", RunError):
                value = float(self.function(performance))
        except UndefinedMetricError as error:
            return MetricValue(None, str(error) or "undefined")
        if not math.isfinite(value):
            raise NonFiniteError(f"the metric {self.key!r} must be finite. Got {value} instead.")
        return MetricValue(value)


METRICS: Registry[Metric] = Registry("metric")


def metric(
    key: str,
    label: str,
    *,
    unit: Unit,
    group: Group,
    higher_is_better: bool | None,
) -> Callable[[Callable[[Performance], float]], Callable[[Performance], float]]:
    """Return a decorator that registers a function as the metric `key` in `METRICS`.

    The docstring's text up to its first section is the metric's definition.
    """

    def add(function: Callable[[Performance], float]) -> Callable[[Performance], float]:
        text = inspect.cleandoc(function.__doc__ or "")
        text = re.split(r"\n\n\w[\w ]*\n---", text)[0]
        definition = "\n".join(" ".join(part.split()) for part in text.split("\n\n"))
        made = Metric(key, label, unit, group, higher_is_better, definition, function)
        METRICS.register(key)(made)
        function.metric = made  # type: ignore[attr-defined]  # for "module:function"
        return function

    return add


def find_metric(name: str) -> Metric:
    """Return the metric that a registered name, or ``"module:function"``, means.

    Raises
    ------
    ConfigError
        If there is none, or the function was not made a metric by the decorator `metric`.
    """
    found = METRICS.get(name)
    found = getattr(found, "metric", found)
    if not isinstance(found, Metric):
        raise ConfigError(f"{name!r} is no metric: it lacks the decorator @metric.")
    return found


def all_metrics() -> list[Metric]:
    """Return the registered metrics in a table's order: by group, then by registration."""
    groups = get_args(Group)
    return sorted(METRICS.values(), key=lambda metric: groups.index(metric.group))
