"""Paper trading of a rebalanced portfolio: the accounts of all symbols in one loop over time.

At an open at which money moves, the accounts that are not ruined get equal shares of what they have
together, before any of them trades.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Bools
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.deployment.replay import TOLERANCE, Replay
from reinforcestrategycreator_pipeline.errors import RunError

_REPORTED = 64  # closes between two reports of progress


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
    singly: Mapping[str, Bools] | None = None,
    progress: Callable[[int, int], None] | None = None,
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
    singly : mapping of str to ndarray of bool, optional
        Bars of each symbol to push one by one, all by default; see `Replay`.
    progress : callable, optional
        Called with the number of closes done and that of all, every so often and at the end.

    Raises
    ------
    RscError
        As `PaperTrader.push`.
    """
    chosen = singly or dict.fromkeys(frames)
    replays = {
        symbol: Replay(traders[symbol], frame, starts[symbol], chosen[symbol])
        for symbol, frame in frames.items()
    }
    arriving: dict[int, dict[str, float]] = {}
    for symbol, frame in frames.items():
        opens = frame["open"].to_numpy(np.float64)[starts[symbol] :]
        stamped = replays[symbol].times.as_unit("ns").asi8
        for time, price in zip(stamped.tolist(), opens.tolist(), strict=True):
            arriving.setdefault(time, {})[symbol] = price
    worth = {symbol: trader.account.equity for symbol, trader in traders.items()}
    times, equity, transfers = sorted(arriving), [], 0
    for done, time in enumerate(times, 1):
        opened = arriving[time]
        due = time in stamps
        paid = _shares(traders, opened, time) if due else dict.fromkeys(opened, 0.0)
        transfers += due
        for symbol in opened:
            worth[symbol] = replays[symbol].step(paid[symbol])
        equity.append(sum(worth.values()))
        if progress is not None and (done == len(times) or not done % _REPORTED):
            progress(done, len(times))
    return PortfolioResult(pd.DatetimeIndex(times, tz="UTC"), np.array(equity), transfers)


def _shares(
    traders: Mapping[str, PaperTrader], opened: Mapping[str, float], time: int
) -> dict[str, float]:
    """Return what each account gets at these opens of bars that close at `time`.

    It is less than 0 if the account gives.
    """
    held = {
        symbol: traders[symbol].market.equity_at_open(price, time)
        for symbol, price in opened.items()
    }
    alive = [symbol for symbol, money in held.items() if money is not None]
    share = sum(held[symbol] or 0.0 for symbol in alive) / max(len(alive), 1)
    return {symbol: 0.0 if money is None else share - money for symbol, money in held.items()}
