"""What a metric is: its value or the reason why it has none, its inputs, and the registry."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.backtest.results import StrategyResult
from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.registry import Registry

Unit = Literal["percent", "ratio", "multiple", "money", "count", "bars"]
Group = Literal["Return", "Risk", "Return for risk", "Trading", "Trades"]


class UndefinedMetricError(ValueError):
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
    equity: NDArray[np.float64] = field(init=False)
    returns: NDArray[np.float64] = field(init=False)
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

    def trade_values(self, column: str) -> NDArray[np.float64]:
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


def _require_finite(values: NDArray[np.float64], what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise NonFiniteError(f"{what} must be finite. Got {values[bad[0]]} at index {bad[0]}.")


@dataclass(frozen=True)
class Metric:
    """A figure of merit and how to show it.

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
    function : callable
        `Performance` -> float; raises `UndefinedMetricError` if there is no value.
    """

    key: str
    label: str
    unit: Unit
    group: Group
    higher_is_better: bool | None
    function: Callable[[Performance], float]

    @property
    def definition(self) -> str:
        """The docstring's text up to its first section, as one line each paragraph."""
        text = inspect.cleandoc(self.function.__doc__ or "")
        head = text.split("\n\nParameters\n")[0].split("\n\nNotes\n")[0]
        head = head.split("\n\nReferences\n")[0]
        return "\n".join(" ".join(part.split()) for part in head.split("\n\n"))

    def __call__(self, performance: Performance) -> MetricValue:
        """Compute the metric; an undefined one carries its reason."""
        try:
            value = float(self.function(performance))
        except UndefinedMetricError as error:
            return MetricValue(None, str(error))
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
    """Return a decorator that registers a function as the metric `key` in `METRICS`."""

    def add(function: Callable[[Performance], float]) -> Callable[[Performance], float]:
        METRICS.register(key)(Metric(key, label, unit, group, higher_is_better, function))
        return function

    return add
