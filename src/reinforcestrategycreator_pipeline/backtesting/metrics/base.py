"""Metrics: their inputs, their values or the reason why a value is undefined, the registry."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.checks import require_choice
from reinforcestrategycreator_pipeline.errors import (
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
    """A metric is undefined for a result; the text gives the reason (``"no trades"``)."""


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric, or None with the reason why it is undefined.

    Attributes
    ----------
    value : float or None
        Finite number in the metric's unit; percentages are fractions (0.1 is 10%).
    reason : str
        Reason why the metric is undefined; empty if there is a value.
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
    """The inputs of a metric: a result, and its equity and returns up to ruin.

    An account that reaches zero is closed: `equity` ends with the bar of ruin, and the rest of the
    result is ignored.

    Attributes
    ----------
    result : StrategyResult
        Result of the strategy, over n bars.
    periods_per_year : float
        Bars per year for annualizing, > 0; see `infer_periods_per_year`.
    equity : ndarray of float64, shape (m + 1,)
        Equity at each close up to the end or to ruin, in money, m <= n.
    returns : ndarray of float64, shape (m,)
        Simple return of each bar, as a fraction, net of costs.
    ruined : bool
        Whether equity reached zero.
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
            If there are no trades.
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
        """Raise `UndefinedMetricError` if equity reached zero."""
        if self.ruined:
            raise UndefinedMetricError("ruined: equity reached zero")


def _require_finite(values: F64, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise NonFiniteError(f"{what} must be finite. Got {values[bad[0]]} at index {bad[0]}.")


@dataclass(frozen=True)
class MetricInfo:
    """The description of a metric, for tables.

    Attributes
    ----------
    key : str
        Name in configurations and in ``metrics.json``.
    label : str
        Name shown to people.
    unit : str
        Unit of the value: "percent" (the value is a fraction), "ratio", "multiple" (of equity),
        "money", "count" or "bars".
    group : str
        Part of the table in which the metric appears.
    higher_is_better : bool or None
        Whether a higher value is better; None if neither direction is.
    definition : str
        Definition in words, one line per paragraph.
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
        """The attributes as ``metrics.json`` holds them."""
        return {f.name: getattr(self, f.name) for f in fields(MetricInfo)}


@dataclass(frozen=True)
class Metric(MetricInfo):
    """A metric: its description, and the function that computes it.

    Attributes
    ----------
    function : callable
        Function from `Performance` to float; raises `UndefinedMetricError` if undefined.
    """

    function: Callable[[Performance], float]

    def __call__(self, performance: Performance) -> MetricValue:
        """Compute the metric; an undefined value has a reason.

        Raises
        ------
        RunError
            If the function raises another error; the message gives file and line.
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


METRICS: Registry[Metric] = Registry(
    "metric",
    decorator="from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import metric",
)


def metric(
    key: str,
    label: str,
    *,
    unit: Unit,
    group: Group,
    higher_is_better: bool | None,
) -> Callable[[Callable[[Performance], float]], Callable[[Performance], float]]:
    """Return a decorator that registers a function as the metric `key` in `METRICS`.

    The docstring's text before its first section is the definition of the metric.
    """

    def add(function: Callable[[Performance], float]) -> Callable[[Performance], float]:
        text = inspect.cleandoc(function.__doc__ or "")
        text = re.split(r"\n\n\w[\w ]*\n---", text)[0]
        definition = "\n".join(" ".join(part.split()) for part in text.split("\n\n"))
        made = Metric(key, label, unit, group, higher_is_better, definition, function)
        METRICS.register(key)(made)
        function.metric = made  # type: ignore[attr-defined]  # for "module:function"
        return METRICS.declare(function)

    return add


def find_metric(name: str) -> Metric:
    """Return the metric with a registered name, or at ``"module:function"``.

    Raises
    ------
    ConfigError
        If there is none, or if the function lacks the decorator `metric`.
    """
    found = METRICS.get(name)
    return getattr(found, "metric", found)


def all_metrics() -> list[Metric]:
    """Return all registered metrics in the order of tables: by group, then by registration."""
    groups = get_args(Group)
    return sorted(METRICS.values(), key=lambda metric: groups.index(metric.group))
