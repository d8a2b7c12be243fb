"""What a result must reach for promotion, and the check of a result against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from reinforcestrategycreator_pipeline.backtest.metrics.catalog import (
    MetricValue,
    find_metric,
    format_value,
)
from reinforcestrategycreator_pipeline.checks import Ge, Gt, Le, Strict
from reinforcestrategycreator_pipeline.errors import at
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision

Values = Mapping[str, MetricValue]


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
    minimum, maximum : mapping of str to float
        Any metric, by its name or as ``"module:function"``, at least or at most this, in the
        metric's own unit: 0.1 is 10%, a drawdown is negative.
    """

    min_sharpe: float | None = 0.5
    max_drawdown: Annotated[float, Gt(0), Le(1)] | None = 0.5
    min_trades: Annotated[int, Ge(0)] = 10
    beat_buy_and_hold: bool = True
    min_random_percentile: Annotated[float, Ge(0), Le(100)] | None = 95.0
    minimum: Mapping[str, float] = field(default_factory=dict)
    maximum: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for side in ("minimum", "maximum"):
            for name in getattr(self, side):
                with at(side, name):
                    find_metric(name)


def decide(
    thresholds: Thresholds,
    own: Values,
    buy_and_hold: Values,
    random_percentile: float | None,
) -> Decision:
    """Hold test results against the thresholds.

    Parameters
    ----------
    thresholds : Thresholds
        The conditions.
    own, buy_and_hold : mapping of str to MetricValue
        The strategy's metrics and those of buy and hold, on the equal-weight portfolio.
    random_percentile : float or None
        Share of the random policies that the strategy beats, 0 to 100; None: not known.

    Returns
    -------
    Decision
        Its checks are in a fixed order, one for each condition that is set.
    """
    checks = []
    if thresholds.min_sharpe is not None:
        checks.append(_bound("sharpe", thresholds.min_sharpe, own))
    if thresholds.max_drawdown is not None:
        fall = _found("max_drawdown", own)
        size = MetricValue(-fall.value) if fall.value is not None else fall
        checks.append(_bound("max_drawdown", thresholds.max_drawdown, {"max_drawdown": size}, -1))
    checks.append(_bound("trades", float(thresholds.min_trades), own))
    if thresholds.beat_buy_and_hold:
        checks.append(_beats(own, buy_and_hold))
    if thresholds.min_random_percentile is not None:
        checks.append(_percentile(thresholds.min_random_percentile, random_percentile))
    checks += [_bound(name, limit, own) for name, limit in thresholds.minimum.items()]
    checks += [_bound(name, limit, own, -1) for name, limit in thresholds.maximum.items()]
    return Decision(tuple(checks))


def _found(key: str, values: Values) -> MetricValue:
    return values.get(key, MetricValue(None, "not computed"))


def _bound(name: str, limit: float, values: Values, sign: int = 1) -> Check:
    """Check that a metric is at least `limit`, or at most for a `sign` of -1."""
    metric = find_metric(name)
    found = _found(metric.key, values)
    passed = found.value is not None and sign * found.value >= sign * limit
    rule = f"at {'least' if sign > 0 else 'most'} {format_value(metric.unit, limit)}"
    return Check(metric.label, rule, _text(metric.unit, found, limit, passed), passed)


def _beats(own: Values, hold: Values) -> Check:
    metric = find_metric("total_return")
    found, bar = _found(metric.key, own), _found(metric.key, hold)
    if bar.value is None:
        rule = f"above buy and hold's, which is undefined ({bar.reason})"
        return Check(metric.label, rule, _text(metric.unit, found, 0.0, True), False)
    passed = found.value is not None and found.value > bar.value
    rule = f"above buy and hold's {format_value(metric.unit, bar.value)}"
    return Check(metric.label, rule, _text(metric.unit, found, bar.value, passed), passed)


def _percentile(limit: float, found: float | None) -> Check:
    name, rule = "Percentile among random policies", f"at least {limit:g}"
    if found is None:
        return Check(name, rule, "undefined (not computed)", False)
    # Written so that a NaN fails.
    passed = bool(found >= limit)
    text = f"{found:.1f}"
    return Check(name, rule, text if passed or text != f"{limit:.1f}" else repr(found), passed)


def _text(unit: str, found: MetricValue, limit: float, passed: bool) -> str:
    """Return the value for people, with all its digits if rounding would hide why it failed."""
    if found.value is None:
        return f"undefined ({found.reason})"
    text = format_value(unit, found.value)
    if passed or text != format_value(unit, limit):
        return text
    return f"{found.value * 100!r}%" if unit == "percent" else repr(found.value)
