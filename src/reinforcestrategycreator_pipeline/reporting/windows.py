"""The table of the windows of a walk forward: their bars, results, policies and agents."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD
from reinforcestrategycreator_pipeline.reporting.data import ReportData, WindowFacts, stamp_texts
from reinforcestrategycreator_pipeline.statistics.sharpe import sharpe_ratio

WINDOW_FIGURES = ("Return", "Sharpe ratio", "Buy and hold", "Trades")
AGENT_FIGURES = ("Agents", "Highest agreement", "Advantage, bps", "Spread over agents, bps")

WINDOWS_NOTE = (
    "Each window's policy learned only from bars before those that judge it; the account goes on "
    "from one window to the next. The deployed policy has learned from all bars, and none of this "
    "report judges it."
)
AGENTS_NOTE = (
    "Highest agreement: that of the agents on one feature, and what is needed for it to be read. "
    "Advantage and spread: means over the decisions of the window that changed a target."
)


class WindowRow(NamedTuple):
    """One window of a walk forward, on the portfolio: formatted texts, and what the policy is.

    The texts of `agents` are those of `AGENT_FIGURES`; there are none if no policy has agents.
    """

    number: str
    fitted: str
    judged: str
    bars: str
    figures: tuple[str, ...]
    policy: str
    agents: tuple[str, ...]


def columns(data: ReportData) -> list[str]:
    """Return the headings of a window's figures: its results, and perhaps its agents."""
    agents = AGENT_FIGURES if _has_agents(data) else ()
    return [*WINDOW_FIGURES, "Policy", *agents]


def note(data: ReportData) -> str:
    """Return the text below the table."""
    return f"{WINDOWS_NOTE} {AGENTS_NOTE}" if _has_agents(data) else WINDOWS_NOTE


def _has_agents(data: ReportData) -> bool:
    return any(window.agents for window in data.windows)


def window_rows(data: ReportData) -> list[WindowRow]:
    """Return the result of each window; nothing if there is only one.

    A window's account begins with the equity at its first close, and ends with that at the first
    close of the next window: the returns of all windows compound to that of the whole.
    """
    if not data.walks:
        return []
    asset = data.assets[0]
    results = data.results[asset]
    own, hold = results[data.policy], results.get(BUY_AND_HOLD)
    starts = own.timestamps.searchsorted(pd.DatetimeIndex([w.judged[0] for w in data.windows]))
    ends = [*starts[1:].tolist(), len(own.equity) - 1]
    rows = []
    for number, (window, start, end) in enumerate(
        zip(data.windows, starts.tolist(), ends, strict=True), 1
    ):
        part = slice(start, end + 1)
        returns = np.diff(own.equity[part]) / own.equity[part][:-1]
        ratio = sharpe_ratio(returns, data.judgement.periods_per_year[asset])
        sharpe = "—" if ratio is None else f"{ratio:.2f}"
        inside = own.timestamps[start], own.timestamps[end]
        entered = pd.DatetimeIndex(own.trades["entry_time"])
        count = int(((entered > inside[0]) & (entered <= inside[1])).sum())
        held = "—" if hold is None else f"{hold.equity[end] / hold.equity[start] - 1.0:+.1%}"
        figures = (f"{own.equity[end] / own.equity[start] - 1.0:+.1%}", sharpe, held, f"{count:,}")
        texts = [
            stamp_texts(pd.DatetimeIndex(x), own.timestamps) for x in (window.fitted, window.judged)
        ]
        fitted, judged = (f"{a} to {b}" for a, b in texts)
        agents = _agents(data, window, *inside) if _has_agents(data) else ()
        rows.append(
            WindowRow(
                str(number), fitted, judged, f"{end - start:,}", figures, _kind(window), agents
            )
        )
    return rows


def _kind(window: WindowFacts) -> str:
    """Return what the policy of a window is, in a few words."""
    if window.fallback:
        return "fallback"
    if window.screening is None:
        return "learned"
    used = window.screening.used
    return f"reads {len(used)} of {len(window.screening.agreement)} features"


def _agents(
    data: ReportData, window: WindowFacts, start: pd.Timestamp, end: pd.Timestamp
) -> tuple[str, ...]:
    """Return the texts of `AGENT_FIGURES`, of the decisions from `start` to before `end`."""
    count = "—" if window.agents is None else f"{window.agents:,}"
    agreement, found = "—", window.screening
    if found is not None:
        agreement = f"{max(found.agreement.values()):.2f} (needed {found.needed:.2f})"
    moves = [_moves(data, symbol, start, end) for symbol in data.symbols]
    advantage, spread = np.concatenate(moves, axis=1) if moves else np.empty((2, 0))
    if not len(advantage):
        return count, agreement, "—", "—"
    return count, agreement, f"{advantage.mean():.1f}", f"{spread.mean():.1f}"


def _moves(data: ReportData, symbol: str, start: pd.Timestamp, end: pd.Timestamp) -> F64:
    """Return advantage and spread of an asset's decisions that changed its target, shape (2, n)."""
    result = data.results[symbol][data.policy]
    if result.advantage_bps is None or result.spread_bps is None:
        return np.empty((2, 0))
    decided = result.timestamps[:-1]
    chosen = (decided >= start) & (decided < end) & np.isfinite(result.advantage_bps)
    chosen &= result.advantage_bps != 0.0  # it is 0 where the target stays
    return np.stack([result.advantage_bps[chosen], result.spread_bps[chosen]])
