"""Whether a model may be promoted: conditions on its untouched test results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from reinforcestrategycreator_pipeline.backtest.metrics.catalog import (
    METRICS,
    MetricValue,
    format_value,
)
from reinforcestrategycreator_pipeline.backtest.results import BUY_AND_HOLD
from reinforcestrategycreator_pipeline.checks import Ge, Gt, Le, Strict


@dataclass(frozen=True)
class Thresholds(Strict):
    """What the portfolio must reach on the test bars, net of costs.

    Attributes
    ----------
    min_sharpe : float or None
        Annualised Sharpe ratio at least this; None: not looked at.
    max_drawdown : float or None
        Deepest fall of equity at most this fraction; None: not looked at.
    min_trades : int
        Round trips at least this many: a result of two trades says nothing.
    beat_buy_and_hold : bool
        Total return above that of buy and hold on the same bars with the same costs.
    min_random_percentile : float or None
        Percentile of the result among random policies of the same turnover at least this; None:
        not looked at.
    """

    min_sharpe: float | None = 0.5
    max_drawdown: Annotated[float, Gt(0), Le(1)] | None = 0.5
    min_trades: Annotated[int, Ge(0)] = 10
    beat_buy_and_hold: bool = True
    min_random_percentile: Annotated[float, Ge(0), Le(100)] | None = 95.0


class Check(NamedTuple):
    """One condition, and how it came out.

    Attributes
    ----------
    name : str
        What is looked at: ``"Sharpe ratio"``.
    rule : str
        The condition in words: ``"at least 0.50"``.
    value : str
        What was found: ``"0.31"``, or ``"undefined (no trades)"``.
    passed : bool
        Whether the condition holds. What is undefined does not pass.
    """

    name: str
    rule: str
    value: str
    passed: bool


def check(
    thresholds: Thresholds,
    portfolio_metrics: Mapping[str, MetricValue],
    benchmark_metrics: Mapping[str, Mapping[str, MetricValue]],
    random_percentile: float | None,
) -> list[Check]:
    """Hold test results against the thresholds.

    Parameters
    ----------
    thresholds : Thresholds
        The conditions.
    portfolio_metrics : mapping of str to MetricValue
        The policy's, on the equal-weight portfolio.
    benchmark_metrics : mapping of str to mapping of str to MetricValue
        By the benchmarks' names, on the same portfolio; ``"buy and hold"`` is looked at.
    random_percentile : float or None
        Share of the random policies that the policy beats, 0 to 100; None: not known.

    Returns
    -------
    list of Check
        In a fixed order, one for each condition that is set.
    """
    checks = []
    if thresholds.min_sharpe is not None:
        checks.append(_at_least("sharpe", thresholds.min_sharpe, portfolio_metrics))
    if thresholds.max_drawdown is not None:
        limit, found = thresholds.max_drawdown, _metric("max_drawdown", portfolio_metrics)
        fall = MetricValue(-found.value) if found.value is not None else found
        passed = fall.value is not None and fall.value <= limit
        text = _value_text("percent", fall, limit, passed)
        rule = f"at most {format_value('percent', limit)}"
        checks.append(Check(METRICS.get("max_drawdown").label, rule, text, passed))
    checks.append(_at_least("trades", float(thresholds.min_trades), portfolio_metrics))
    if thresholds.beat_buy_and_hold:
        checks.append(_beats_holding(portfolio_metrics, benchmark_metrics.get(BUY_AND_HOLD, {})))
    if thresholds.min_random_percentile is not None:
        checks.append(_percentile(thresholds.min_random_percentile, random_percentile))
    return checks


def promoted(checks: Sequence[Check]) -> bool:
    """Tell whether every condition holds."""
    return all(c.passed for c in checks)


def _metric(key: str, metrics: Mapping[str, MetricValue]) -> MetricValue:
    return metrics.get(key, MetricValue(None, "not computed"))


def _at_least(key: str, limit: float, metrics: Mapping[str, MetricValue]) -> Check:
    spec, found = METRICS.get(key), _metric(key, metrics)
    passed = found.value is not None and found.value >= limit
    text = _value_text(spec.unit, found, limit, passed)
    return Check(spec.label, f"at least {format_value(spec.unit, limit)}", text, passed)


def _beats_holding(own: Mapping[str, MetricValue], hold: Mapping[str, MetricValue]) -> Check:
    spec = METRICS.get("total_return")
    found, bar = _metric("total_return", own), _metric("total_return", hold)
    if bar.value is None:
        rule = f"above buy and hold's, which is undefined ({bar.reason})"
        return Check(spec.label, rule, _value_text(spec.unit, found, 0.0, True), False)
    passed = found.value is not None and found.value > bar.value
    text = _value_text(spec.unit, found, bar.value, passed)
    rule = f"above buy and hold's {format_value(spec.unit, bar.value)}"
    return Check(spec.label, rule, text, passed)


def _percentile(limit: float, found: float | None) -> Check:
    name, rule = "Percentile among random policies", f"at least {limit:g}"
    if found is None:
        return Check(name, rule, "undefined (not computed)", False)
    # Written so that a NaN fails.
    passed = bool(found >= limit)
    text = f"{found:.1f}"
    return Check(name, rule, text if passed or text != f"{limit:.1f}" else repr(found), passed)


def _value_text(unit: str, found: MetricValue, limit: float, passed: bool) -> str:
    """Return the value for people, with all its digits if rounding would hide why it failed."""
    if found.value is None:
        return f"undefined ({found.reason})"
    text = format_value(unit, found.value)
    if passed or text != format_value(unit, limit):
        return text
    return f"{found.value * 100!r}%" if unit == "percent" else repr(found.value)
