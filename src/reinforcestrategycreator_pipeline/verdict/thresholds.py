"""The thresholds for promotion, and the checks of a result against them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    METRICS,
    MetricValue,
    find_metric,
    format_value,
)
from reinforcestrategycreator_pipeline.checks import Ge, Gt, Le, Strict
from reinforcestrategycreator_pipeline.errors import at
from reinforcestrategycreator_pipeline.registry import NameOf
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision

Values = Mapping[str, MetricValue]
Metric: TypeAlias = Annotated[str, NameOf(METRICS)]
_PROPER = ("Calmar", "Sharpe", "Sortino")


@dataclass(frozen=True)
class Thresholds(Strict):
    """Conditions on the portfolio's result on the test bars, net of costs.

    Attributes
    ----------
    min_sharpe : float or None
        Minimum annualized Sharpe ratio; None disables the check.
    max_drawdown : float or None
        Maximum drawdown as a positive fraction of equity, in (0, 1]; None disables the check.
    min_trades : int
        Minimum number of round trips, >= 0: a result of two trades proves nothing.
    beat_buy_and_hold : bool
        Whether the total return must exceed that of buy and hold on the same bars at the same
        costs.
    min_random_percentile : float or None
        Minimum percentile of the result among random policies with the same turnover, 0 to 100;
        None disables the check.
    minimum, maximum : mapping of str to float
        Limits of further metrics, by name or ``"module:function"``, each in the metric's own unit:
        0.1 is 10%, and a drawdown is negative.
    """

    min_sharpe: float | None = 0.5
    max_drawdown: Annotated[float, Gt(0), Le(1)] | None = 0.5
    min_trades: Annotated[int, Ge(0)] = 10
    beat_buy_and_hold: bool = True
    min_random_percentile: Annotated[float, Ge(0), Le(100)] | None = 95.0
    minimum: Mapping[Metric, float] = field(default_factory=dict)
    maximum: Mapping[Metric, float] = field(default_factory=dict)

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
    """Check test results against the thresholds.

    Parameters
    ----------
    thresholds : Thresholds
        Conditions for promotion.
    own, buy_and_hold : mapping of str to MetricValue
        Metrics of the strategy and of buy and hold, on the equal-weight portfolio.
    random_percentile : float or None
        Percentage of the random policies that the strategy beats, 0 to 100; None if unknown.

    Returns
    -------
    Decision
        One check for each condition that is set, in a fixed order.
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
    side, shown = ("least", "minimum") if sign > 0 else ("most", "maximum")
    text = format_value(metric.unit, limit)
    value = _text(metric.unit, found, limit, passed)
    phrase = _phrase(metric.label, value, f"{shown} {text}")
    return Check(metric.label, f"at {side} {text}", value, passed, phrase)


def _beats(own: Values, hold: Values) -> Check:
    metric = find_metric("total_return")
    found, bar = _found(metric.key, own), _found(metric.key, hold)
    passed = found.value is not None and bar.value is not None and found.value > bar.value
    if bar.value is None:
        bound, value = f"undefined, {bar.reason}", _text(metric.unit, found, 0.0, True)
    else:
        bound = format_value(metric.unit, bar.value)
        value = _text(metric.unit, found, bar.value, passed)
    phrase = _phrase(metric.label, value, f"buy and hold: {bound}")
    return Check(metric.label, f"above buy and hold ({bound})", value, passed, phrase)


def _percentile(limit: float, found: float | None) -> Check:
    name, rule, bound = "Percentile of random policies", f"at least {limit:g}", f"{limit:g}"
    minimum = f"minimum {_ordinal(bound)}"
    if found is None or math.isnan(found):
        reason = "not computed" if found is None else "not a number"
        value = f"undefined ({reason})"
        return Check(name, rule, value, False, _phrase(name, value, minimum))
    passed = found >= limit
    text = f"{found:.1f}"
    if not passed and text == f"{limit:.1f}":
        text = repr(found)
    rank = f"{found:.0f}"
    if rank == bound:
        rank = text
    phrase = f"{_ordinal(rank)} percentile of random policies ({minimum})"
    return Check(name, rule, text, passed, phrase)


def _phrase(label: str, value: str, limit: str) -> str:
    """Return a check's outcome as a part of a sentence, with one pair of parentheses."""
    word = label.split()[0]
    name = label[0].lower() + label[1:] if word[1:].islower() and word not in _PROPER else label
    return f"{name} {value[:-1]}; {limit})" if value.endswith(")") else f"{name} {value} ({limit})"


def _ordinal(number: str) -> str:
    """Return ``"95th"`` for ``"95"``; a decimal ends as its last digit is read."""
    suffix = {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
    return f"{number}{'th' if number[-2:] in ('11', '12', '13') else suffix}"


def _text(unit: str, found: MetricValue, limit: float, passed: bool) -> str:
    """Return the value for people, with all digits if rounding would hide why it failed."""
    if found.value is None:
        return f"undefined ({found.reason})"
    text = format_value(unit, found.value)
    if passed or text != format_value(unit, limit):
        return text
    return f"{found.value * 100!r}%" if unit == "percent" else repr(found.value)
