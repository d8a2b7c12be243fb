"""The words and numbers of what a result can bear."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.verdict.judgement import Judgement
from reinforcestrategycreator_pipeline.verdict.robustness import (
    PRIOR,
    PRIOR_SHARPE,
    ExcessInterval,
)

NOTE = (
    "All of it is of the same test bars and decisions, and decides nothing. Intervals and p-values "
    "are by a studentized stationary bootstrap of the bars; the probability of the Sharpe ratio "
    "takes skewness, fat tails and autocorrelation into account. Impact is taken as one standard "
    "deviation of a bar's return times the root of the trade's share of the bar's volume."
)
COLUMNS = ("Question", "Answer", "How to read it")


def robustness_rows(judgement: Judgement) -> list[tuple[str, str, str]]:
    """Return question, answer and explanation of everything that was measured."""
    found = judgement.robustness
    if found is None:
        return []
    rows = _luck(judgement.false_discoveries)
    rows += [(f"Excess over {name}", *_excess(excess)) for name, excess in found.excess.items()]
    if found.probability is not None:
        record = found.track_record
        note = "" if record is None else f"significant at 5% from about {record:,.0f} bars on"
        rows.append(("Probability of a Sharpe ratio above 0", f"{found.probability:.1%}", note))
    rows.append(_costs("Costs that leave nothing", found.costs_bps, "than cash"))
    highest = "than the highest position"
    rows.append(_costs("Costs that leave what is free", found.costs_over_hold_bps, highest))
    late, note = (
        f"{found.delayed_growth:+.3f}",
        f"{found.growth:+.3f} without; mean of the accounts",
    )
    rows.append(("Log growth with a bar's delay", late, note))
    if found.capacity is not None:
        text = _money(found.capacity)
        rows.append(("Money at which impact eats the gain", text, "capacity, roughly"))
    return rows


def _luck(rate: float | None) -> list[tuple[str, str, str]]:
    if rate is None:
        return []
    assumed = (
        f"of strategies that did as well against chance, if {PRIOR:.0%} of all time the market "
        f"with a Sharpe ratio of {PRIOR_SHARPE:g} and the others not at all"
    )
    return [("Share that is luck", f"{rate:.1%}" if rate < 0.1 else f"{rate:.0%}", assumed)]


def _excess(found: ExcessInterval | None) -> tuple[str, str]:
    if found is None:
        return "none", "equal, or too few bars"
    interval = f"95% interval {found.low:+.2%} to {found.high:+.2%}, p {found.p:.2g}"
    return f"{found.mean:+.2%} a year", interval


def _costs(name: str, bps: float | None, than: str) -> tuple[str, str, str]:
    if bps is None:
        return name, "none", f"it earned no more {than} as it was, or hardly trades"
    return name, f"{bps:.1f} bps more", f"of each trade: then it earns no more {than}"


def _money(value: float) -> str:
    """Return an amount with two digits, which is more than it deserves."""
    if value >= 1e12:
        return "more than 1,000 billion"
    for size, unit in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if value >= size:
            digits = value / size
            return f"{digits:.1f} {unit}" if digits < 10.0 else f"{digits:,.0f} {unit}"
    return f"{value:,.0f}"
