"""The thresholds for promotion, and the checks of a result against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from reinforcestrategycreator_pipeline.backtesting.excess import Excess
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    METRICS,
    MetricValue,
    find_metric,
    format_value,
)
from reinforcestrategycreator_pipeline.checks import Ge, Gt, Le, Lt, Strict
from reinforcestrategycreator_pipeline.errors import at
from reinforcestrategycreator_pipeline.limits import Bars, Signed
from reinforcestrategycreator_pipeline.registry import NameOf
from reinforcestrategycreator_pipeline.verdict.answer import Answer
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision

Values = Mapping[str, MetricValue]
Metric: TypeAlias = Annotated[str, NameOf(METRICS)]
_PROPER = ("Calmar", "Sharpe", "Sortino")


@dataclass(frozen=True)
class Thresholds(Strict):
    """Conditions for promotion: the evidence, and the portfolio's result on the test bars.

    Attributes
    ----------
    evidence : "strong", "weak" or None
        Least evidence of an edge; see `Answer`. None disables the check.
    min_sharpe : float or None
        Minimum annualized Sharpe ratio; None disables the check.
    max_drawdown : float or None
        Maximum drawdown as a positive fraction of equity, in (0, 1]; None disables the check.
    min_trades : int
        Minimum number of round trips, >= 0: a result of two trades proves nothing.
    beat_buy_and_hold : bool
        Whether the total return, too, must exceed that of buy and hold on the same bars at the same
        costs.
    max_excess_p : float or None
        Maximum one-sided p-value of the mean excess over buy and hold, in (0, 1); see
        `excess_over`. None disables the check.
    minimum, maximum : mapping of str to float
        Limits of further metrics, by name or ``"module:function"``, each in the metric's own unit:
        0.1 is 10%, and a drawdown is negative.
    """

    evidence: Literal["strong", "weak"] | None = "strong"
    min_sharpe: Annotated[float, Ge(-1_000), Le(1_000)] | None = 0.5
    max_drawdown: Annotated[float, Gt(0), Le(1)] | None = 0.5
    min_trades: Bars = 10
    beat_buy_and_hold: bool = False
    max_excess_p: Annotated[float, Gt(0), Lt(1)] | None = None
    minimum: Mapping[Metric, Signed] = field(default_factory=dict)
    maximum: Mapping[Metric, Signed] = field(default_factory=dict)

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
    excess: Excess | None,
    found: Answer | None = None,
) -> Decision:
    """Check test results against the thresholds.

    Parameters
    ----------
    thresholds : Thresholds
        Conditions for promotion.
    own, buy_and_hold : mapping of str to MetricValue
        Metrics of the strategy and of buy and hold, on the portfolio.
    excess : Excess or None
        The strategy's returns against those of buy and hold; None if not computed.
    found : Answer or None
        Evidence of an edge; None if not computed.

    Returns
    -------
    Decision
        One check for each condition that is set, in a fixed order.
    """
    checks = []
    if thresholds.evidence is not None:
        checks.append(_evidence(thresholds.evidence, found))
    if thresholds.min_sharpe is not None:
        checks.append(_bound("sharpe", thresholds.min_sharpe, own))
    if thresholds.max_drawdown is not None:
        fall = _found("max_drawdown", own)
        size = MetricValue(-fall.value) if fall.value is not None else fall
        checks.append(_bound("max_drawdown", thresholds.max_drawdown, {"max_drawdown": size}, -1))
    checks.append(_bound("trades", float(thresholds.min_trades), own))
    if thresholds.beat_buy_and_hold:
        checks.append(_beats(own, buy_and_hold))
    if thresholds.max_excess_p is not None:
        checks.append(_excess(thresholds.max_excess_p, excess or Excess(reason="not computed")))
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


def _evidence(least: Literal["strong", "weak"], found: Answer | None) -> Check:
    name, rule = "Verdict", "strong" if least == "strong" else "weak or strong"
    if found is None:
        value = "undefined (not computed)"
        return Check(name, rule, value, False, _phrase(name, value, f"minimum {least}"))
    value = found.level if found.p is None else f"{found.level} (p {found.p:.2g})"
    passed = found.level in ("strong", least)
    return Check(name, rule, value, passed, _phrase(name, value, f"minimum {least}"))


def _excess(limit: float, found: Excess) -> Check:
    name, rule, bound = "Excess over buy and hold", f"p at most {limit:g}", f"maximum {limit:g}"
    if found.excess is None:
        value = f"undefined ({found.reason})"
        return Check(name, rule, value, False, _phrase(name, value, bound))
    passed = found.excess.p <= limit
    p = f"{found.excess.p:.2g}"
    if not passed and p == f"{limit:.2g}":
        p = repr(found.excess.p)
    value = f"{format_value('percent', found.excess.value)} a year, p {p}"
    return Check(name, rule, value, passed, _phrase(name, value, bound))


def _phrase(label: str, value: str, limit: str) -> str:
    """Return a check's outcome as a part of a sentence, with one pair of parentheses."""
    word = label.split()[0]
    name = label[0].lower() + label[1:] if word[1:].islower() and word not in _PROPER else label
    return f"{name} {value[:-1]}; {limit})" if value.endswith(")") else f"{name} {value} ({limit})"


def _text(unit: str, found: MetricValue, limit: float, passed: bool) -> str:
    """Return the value for people, with all digits if rounding would hide why it failed."""
    if found.value is None:
        return f"undefined ({found.reason})"
    text = format_value(unit, found.value)
    if passed or found.value == limit or text != format_value(unit, limit):
        return text
    return f"{found.value * 100!r}%" if unit == "percent" else repr(found.value)
