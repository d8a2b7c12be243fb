"""All metrics of a strategy's result: compute, rank, and turn into JSON.

Conventions and formulas are in ``docs/metrics.md``; each function's docstring holds its own.
Own metrics join by the `metric` decorator and are then computed with the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Imported for what they register.
from reinforcestrategycreator_pipeline.backtest.metrics import equity, trading
from reinforcestrategycreator_pipeline.backtest.metrics.base import (
    METRICS,
    Metric,
    MetricValue,
    Performance,
    UndefinedMetricError,
    metric,
)
from reinforcestrategycreator_pipeline.backtest.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtest.results import StrategyResult

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "Metric",
    "MetricValue",
    "Performance",
    "UndefinedMetricError",
    "compute_metrics",
    "equity",
    "format_value",
    "infer_periods_per_year",
    "metric",
    "metric_names",
    "metrics_to_json",
    "rank",
    "trading",
]

# In the order of a table.
DEFAULT_METRICS = (
    "total_return",
    "annual_return",
    "log_growth",
    "sharpe",
    "sortino",
    "calmar",
    "volatility",
    "max_drawdown",
    "max_drawdown_bars",
    "longest_drawdown_bars",
    "value_at_risk",
    "expected_shortfall",
    "turnover",
    "exposure",
    "time_in_market",
    "costs_paid",
    "trades",
    "win_rate",
    "profit_factor",
    "average_win",
    "average_loss",
)


def metric_names() -> tuple[str, ...]:
    """Return the names of all registered metrics: ours in a table's order, then the others."""
    return DEFAULT_METRICS + tuple(name for name in METRICS if name not in DEFAULT_METRICS)


def compute_metrics(
    result: StrategyResult,
    periods_per_year: float,
    names: Iterable[str] | None = None,
) -> dict[str, MetricValue]:
    """Compute metrics of a result.

    Parameters
    ----------
    result : StrategyResult
        What the strategy did.
    periods_per_year : float
        Bars in a year, > 0; see `infer_periods_per_year`.
    names : iterable of str, optional
        Which metrics; default all that are registered.

    Returns
    -------
    dict of str to MetricValue
        In the order of `names`. A metric that is undefined holds None and the reason.

    Raises
    ------
    ConfigError
        If a name is unknown.
    NonFiniteError
        If the result holds NaN or infinity, or a metric gives one.
    """
    performance = Performance(result, periods_per_year)
    return {
        name: METRICS.get(name)(performance)
        for name in (metric_names() if names is None else names)
    }


def metrics_to_json(metrics: Mapping[str, MetricValue]) -> dict[str, dict[str, Any]]:
    """Return what `files.write_json` takes: None and the reason where there is no value."""
    return {name: value.to_json() for name, value in metrics.items()}


def rank(values: Mapping[str, MetricValue], key: str) -> list[str]:
    """Order the names in `values` from best to worst by the metric `key`.

    Names whose value is undefined come last; ties and those keep the given order.

    Parameters
    ----------
    values : mapping of str to MetricValue
        The metric's value of each strategy.
    key : str
        The metric, one for which `higher_is_better` is not None.
    """
    better = METRICS.get(key).higher_is_better
    if better is None:
        raise ValueError(f"the metric {key!r} has no better direction to rank by.")

    def place(name: str) -> tuple[bool, float]:
        value = values[name].value
        return value is None, 0.0 if value is None else (-value if better else value)

    return sorted(values, key=place)


def format_value(unit: str, value: float) -> str:
    """Return a metric's number for people.

    Parameters
    ----------
    unit : str
        `Metric.unit`.
    value : float
        Finite.

    Returns
    -------
    str
        "12.34%" for the percent 0.1234, "1.23" (ratio), "1.2x" (multiple), "1,234.50" (money),
        "12" (count, bars).
    """
    if unit in ("count", "bars"):
        return f"{value:,.0f}"
    suffix = {"percent": "%", "multiple": "x"}.get(unit, "")
    number = value * 100 if unit == "percent" else value
    if abs(number) >= 1e7 and unit != "money":
        return f"{number:.3g}{suffix}"
    digits = 0 if abs(number) >= 1e4 and unit != "money" else 2
    text = f"{number:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")  # no "-0.00"
    return text + suffix
