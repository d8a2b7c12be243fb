"""All metrics of a strategy's result: compute, rank, and turn into JSON.

Conventions and formulas are in ``docs/metrics.md``; each function's docstring holds its own.
Own metrics join by the `metric` decorator and are then computed with the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Imported for what they register.
from reinforcestrategycreator_pipeline.backtest.metrics import equity, trading  # noqa: F401
from reinforcestrategycreator_pipeline.backtest.metrics.base import (
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
from reinforcestrategycreator_pipeline.backtest.results import StrategyResult
from reinforcestrategycreator_pipeline.errors import ConfigError

__all__ = [
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
    chosen = all_metrics() if names is None else map(find_metric, names)
    return {metric.key: metric(performance) for metric in chosen}


def rank(values: Mapping[str, MetricValue], metric: MetricInfo | str) -> list[str]:
    """Order the names in `values` from best to worst by a metric.

    Names whose value is undefined come last; ties and those keep the given order.

    Parameters
    ----------
    values : mapping of str to MetricValue
        The metric's value of each strategy.
    metric : MetricInfo or str
        The metric, or its name.

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
