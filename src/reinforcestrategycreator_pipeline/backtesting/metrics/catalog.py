"""All metrics of a strategy's result: compute, rank and format them.

Conventions and formulas are in ``docs/reference/metrics.md`` and in each function's docstring. The
decorator `metric` adds your own, which are then computed with the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Imported for their side effect: registration.
from reinforcestrategycreator_pipeline.backtesting.metrics import equity, trading  # noqa: F401
from reinforcestrategycreator_pipeline.backtesting.metrics.base import (
    METRICS,
    Metric,
    MetricInfo,
    MetricValue,
    Performance,
    UndefinedMetricError,
    all_metrics,
    find_metric,
    metric,
)
from reinforcestrategycreator_pipeline.backtesting.metrics.numbers import format_value
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.errors import ConfigError

MAIN_METRICS = ("total_return", "annual_return", "sharpe", "max_drawdown", "trades", "costs_paid")
"""Metrics of a short table: after a run, and in a notebook."""

__all__ = [
    "MAIN_METRICS",
    "METRICS",
    "Metric",
    "MetricInfo",
    "MetricValue",
    "Performance",
    "UndefinedMetricError",
    "all_metrics",
    "compute_metrics",
    "find_metric",
    "format_value",
    "metric",
    "rank",
]


def compute_metrics(
    result: StrategyResult,
    periods_per_year: float,
    names: Iterable[str] | None = None,
) -> dict[str, MetricValue]:
    """Compute metrics of a result.

    Parameters
    ----------
    result : StrategyResult
        Result of a backtest.
    periods_per_year : float
        Bars per year, > 0; see `infer_periods_per_year`.
    names : iterable of str, optional
        Names of the metrics; by default, all registered ones.

    Returns
    -------
    dict of str to MetricValue
        Values in the order of `names`. An undefined metric has None and a reason.

    Raises
    ------
    ConfigError
        If a name is unknown.
    NonFiniteError
        If the result or a metric contains NaN or infinity.
    """
    performance = Performance(result, periods_per_year)
    chosen = all_metrics() if names is None else map(find_metric, names)
    return {metric.key: metric(performance) for metric in chosen}


def rank(values: Mapping[str, MetricValue], metric: MetricInfo | str) -> list[str]:
    """Order the names in `values` from best to worst by a metric.

    Names with an undefined value come last; they and ties keep their order.

    Parameters
    ----------
    values : mapping of str to MetricValue
        Value of the metric for each strategy.
    metric : MetricInfo or str
        Metric to rank by, or its name.

    Raises
    ------
    ConfigError
        If `higher_is_better` is None.
    """
    info = find_metric(metric) if isinstance(metric, str) else metric
    better = info.higher_is_better
    if better is None:
        raise ConfigError(f"the metric {info.key!r} has no better direction to rank by.")

    def place(name: str) -> tuple[bool, float]:
        value = values[name].value
        return value is None, 0.0 if value is None else (-value if better else value)

    return sorted(values, key=place)
