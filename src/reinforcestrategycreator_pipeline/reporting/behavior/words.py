"""The words and tables of what the policy does."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reinforcestrategycreator_pipeline.reporting.behavior.found import (
    Behavior,
    Bin,
    LargestTrade,
    Seen,
)

IMPORTANCE_COLUMNS = (
    *("Feature", "Decisions changed", "Log growth, change", "Standard deviation"),
    *("Exposure, lowest tenth", "Exposure, highest tenth"),
)
TRADE_COLUMNS = (
    *("Trade", "Decided", "Exit", "Exposure", "Bars", "Log gain", "Net gain", "Costs"),
    *("Advantage, bps", "What stood out when it was decided"),
)
RESPONSE_NOTE = (
    "Mean exposure that the policy chose, in each tenth of a feature's values on the test bars of "
    "all assets, from the lowest (1) to the highest (10). Features are in the order of their "
    "importance. A row of one color: the feature alone moves nothing. It is no proof of a cause, "
    "since features move together."
)
ADVANTAGE_NOTE = (
    "Mean advantage that the policy expected over staying at the previous target, in bps of "
    "discounted log growth net of costs, for the same tenths; it is 0 where the policy stays."
)
TRADES_NOTE = (
    "The trades with the largest gains and losses: log gain is the logarithm of 1 + return on the "
    "asset's account, net of costs. If few trades make the result, it is worth little. The last "
    "column has the features that stood furthest from their mean on the bars that the policy was "
    "trained on, in standard deviations: what was unusual then, and not what the policy reacted to."
)


def ranked(found: Behavior) -> list[str]:
    """Return the features by importance, the most important first; else in their order."""

    def size(name: str) -> tuple[float, float]:
        own = found.importances.get(name)
        return (0.0, 0.0) if own is None else (-own.changed, -abs(own.growth or 0.0))

    return sorted(found.responses, key=size)


def importance_note(found: Behavior | None) -> str:
    """Say how the importances were measured; empty if they were not."""
    if found is None or not found.importances:
        return ""
    idle = sum(each.changed == 0.0 for each in found.importances.values())
    text = (
        f"Each feature was permuted {found.permutations} times across the test bars of each asset "
        f"and window ({found.decisions:,} decisions of {found.assets} assets), all else unchanged; "
        "a decision changes if the target differs, from the same previous target. A feature that "
        "others repeat may look unimportant."
    )
    if idle:
        text += f" {idle} of {len(found.importances)} features change nothing."
    return text


def importance_rows(found: Behavior | None) -> list[tuple[str, ...]]:
    """Return the texts of `IMPORTANCE_COLUMNS`, the most important feature first."""
    if found is None:
        return []
    rows: list[tuple[str, ...]] = []
    for name in ranked(found):
        own, bins = found.importances.get(name), found.responses[name]
        if own is None:
            continue
        growth = "—" if own.growth is None else f"{own.growth:+.4f}"
        sd = "—" if own.sd is None else f"{own.sd:.4f}"
        rows.append((name, f"{own.changed:.1%}", growth, sd, _end(bins[:1]), _end(bins[-1:])))
    return rows


def _end(bins: Sequence[Bin]) -> str:
    return "".join(f"{each.exposure:.0%} (at {each.value:.3g})" for each in bins)


def trade_rows(found: Behavior | None, daily: bool) -> list[tuple[str, ...]]:
    """Return the texts of `TRADE_COLUMNS`; times are dates if each date has one bar."""
    return [] if found is None else [_trade(trade, 10 if daily else 16) for trade in found.trades]


def _trade(trade: LargestTrade, width: int) -> tuple[str, ...]:
    sure = "—"
    if trade.advantage_bps is not None:
        sure = f"{trade.advantage_bps:.1f}"
        if trade.spread_bps is not None:
            sure += f" (spread {trade.spread_bps:.1f})"
    return (
        f"{trade.symbol} {trade.side}",
        trade.decided[:width],
        trade.exit[:width] + (" (open)" if trade.open else ""),
        f"{trade.exposure:.0%}",
        f"{trade.bars:,}",
        f"{trade.log_gain:+.3f}" + (f" ({math.expm1(trade.log_gain):+.0%})"),
        f"{trade.pnl:+,.0f}",
        f"{trade.costs:,.0f}",
        sure,
        "; ".join(map(_seen, trade.seen)) or "—",
    )


def _seen(seen: Seen) -> str:
    return f"{seen.feature} {seen.value:.3g} ({seen.z:+.1f} sd)"
