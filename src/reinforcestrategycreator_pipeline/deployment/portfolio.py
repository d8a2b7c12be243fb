"""Paper trading of a rebalanced portfolio: the accounts of all symbols in one loop over time.

At an open at which money moves, the accounts that are not ruined get equal shares of what they have
together, before any of them trades.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.deployment.live_bars import LiveBar
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.deployment.replay import TOLERANCE
from reinforcestrategycreator_pipeline.deployment.streaming import recorded
from reinforcestrategycreator_pipeline.errors import RunError


@dataclass(frozen=True, eq=False)
class PortfolioResult:
    """The result of paper trading a portfolio.

    Attributes
    ----------
    times : DatetimeIndex
        Every close of every symbol from its first decision on, UTC.
    equity : ndarray of float64
        What all accounts are worth at those closes, in money, net of all costs; an account is
        worth what it was at its own last close.
    transfers : int
        Number of opens at which money moved.
    """

    times: pd.DatetimeIndex
    equity: F64
    transfers: int

    def require_equal(self, times: pd.DatetimeIndex, equity: F64) -> float:
        """Return the largest relative difference to a backtest's equity at some of the closes.

        Raises
        ------
        RunError
            If it exceeds `TOLERANCE`; the message names the first close.
        """
        ours = self.equity[self.times.get_indexer(times)]
        gaps = np.abs(ours - equity) / np.abs(equity)
        apart = ~(gaps <= TOLERANCE)
        if apart.any():
            t = int(np.argmax(apart))
            raise RunError(
                f"portfolio: paper trading and backtest differ from {times[t]} on: equity is "
                f"{float(ours[t])!r} on paper, {float(equity[t])!r} in the backtest (relative "
                f"tolerance {TOLERANCE:g})"
            )
        return float(gaps.max())

    def summary(self) -> dict[str, Any]:
        """Return the portfolio's entry in ``paper_trading.json``."""
        return {"final_equity": float(self.equity[-1]), "transfers": self.transfers}


def paper_trade_together(
    traders: Mapping[str, PaperTrader],
    frames: Mapping[str, pd.DataFrame],
    starts: Mapping[str, int],
    stamps: Collection[int],
) -> PortfolioResult:
    """Trade recorded bars of several symbols, one close after the other.

    Parameters
    ----------
    traders : mapping of str to PaperTrader
        Traders that have seen no bar yet, by symbol.
    frames : mapping of str to DataFrame
        Bars by symbol and close time (UTC), including history before the first decision.
    starts : mapping of str to int
        Row of the first decision of each symbol.
    stamps : collection of int
        Closes of the bars at whose open money moves, nanoseconds since 1970 UTC; all symbols have
        them. See `rebalancing_bars`.

    Raises
    ------
    RscError
        As `PaperTrader.push`.
    """
    arriving: dict[pd.Timestamp, dict[str, LiveBar]] = {}
    for symbol, frame in frames.items():
        traders[symbol].warm_up(frame.iloc[: starts[symbol]])
        for bar in recorded(
            frame.iloc[starts[symbol] :], symbol, traders[symbol].stream.rules.columns
        ):
            arriving.setdefault(bar.time, {})[symbol] = bar
    worth = {symbol: trader.account.equity for symbol, trader in traders.items()}
    times, equity, transfers = sorted(arriving), [], 0
    for time in times:
        bars = arriving[time]
        due = time.value in stamps
        paid = _shares(traders, bars) if due else dict.fromkeys(bars, 0.0)
        transfers += due
        for symbol, bar in bars.items():
            trader = traders[symbol]
            done = trader.push(bar, confirmed=True, now=time, deposit=paid[symbol])
            worth[symbol] = done.equity
        equity.append(sum(worth.values()))
    return PortfolioResult(pd.DatetimeIndex(times), np.array(equity), transfers)


def _shares(traders: Mapping[str, PaperTrader], bars: Mapping[str, LiveBar]) -> dict[str, float]:
    """Return what each account gets at the open of these bars; less than 0 if it gives."""
    markets = {symbol: traders[symbol].market for symbol in bars}
    held = {
        symbol: market.equity_at_open(float(bars[symbol].values["open"]), bars[symbol].time.value)
        for symbol, market in markets.items()
    }
    alive = [symbol for symbol, money in held.items() if money is not None]
    share = sum(held[symbol] or 0.0 for symbol in alive) / max(len(alive), 1)
    return {symbol: 0.0 if money is None else share - money for symbol, money in held.items()}
