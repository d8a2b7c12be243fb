"""The result of one strategy on one asset or portfolio over a span of bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64

BUY_AND_HOLD = "buy and hold"
ORACLE = "oracle"
PORTFOLIO = "PORTFOLIO"

# Results by asset (the portfolio first), then by strategy (the judged one first).
Results = Mapping[str, Mapping[str, "StrategyResult"]]

TRADE_COLUMNS = (
    "symbol",
    "side",
    "entry_time",
    "exit_time",
    "entry_price",
    "exit_price",
    "exposure",
    "bars",
    "pnl",
    "return",
    "costs",
    "open",
)
# More columns of trades, and per bar, of a strategy that says how sure it was.
CONFIDENCE_COLUMNS = ("advantage_bps", "spread_bps")


@dataclass(frozen=True)
class StrategyResult:
    """The outcome of a backtest over n bars.

    Attributes
    ----------
    strategy, symbol : str
        Name of the strategy, as in tables, and symbol of the asset; ``"PORTFOLIO"`` for a
        portfolio.
    timestamps : DatetimeIndex, shape (n + 1,)
        Close times, UTC. The first decision is made at the first one.
    equity : ndarray of float64, shape (n + 1,)
        Equity at each of those closes, in money, marked at the close price, net of all costs.
    exposure : ndarray of float64, shape (n,)
        Target exposure (signed fraction of equity) decided at close i, in force from the open of
        bar i + 1; for a portfolio, the equity-weighted mean of its members.
    turnover : ndarray of float64, shape (n,)
        Traded notional at the open of bar i + 1, as a fraction of equity at that open.
    costs : ndarray of float64, shape (n,)
        Costs over bar i + 1, in money: commission, spread, slippage, borrow fees.
    trades : DataFrame
        One row per round trip, with the columns `TRADE_COLUMNS`. ``side`` is "long" or "short";
        ``exposure`` is the target at entry; ``pnl`` is money net of ``costs``; ``return`` is pnl
        over equity at entry; ``open`` is True for a position that is open at the end of the data
        and marked at the last close. If the strategy says how sure it was, so do the columns
        `CONFIDENCE_COLUMNS`, of the decision to enter.
    advantage_bps : ndarray of float64, shape (n,), or None
        Mean advantage of the target decided at close i over staying at the previous one: expected
        discounted log growth net of costs, in bps; 0 where it stays, NaN after ruin. None for a
        portfolio, and if the strategy does not say.
    spread_bps : ndarray of float64, shape (n,), or None
        Standard deviation of that advantage over the strategy's agents, in bps.
    """

    strategy: str
    symbol: str
    timestamps: pd.DatetimeIndex
    equity: F64
    exposure: F64
    turnover: F64
    costs: F64
    trades: pd.DataFrame
    advantage_bps: F64 | None = None
    spread_bps: F64 | None = None
