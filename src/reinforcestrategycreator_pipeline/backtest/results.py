"""What one strategy did on one asset, or on a portfolio, over one span of bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64

BUY_AND_HOLD = "buy and hold"
ORACLE = "oracle"
PORTFOLIO = "PORTFOLIO"

# Asset -> strategy -> result; the portfolio first, and the strategy under test.
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


@dataclass(frozen=True)
class StrategyResult:
    """The outcome of a backtest over n bars.

    Attributes
    ----------
    strategy, symbol : str
        Who traded (the strategy's name, as tables show it), and what; a portfolio's symbol is
        ``"PORTFOLIO"``.
    timestamps : DatetimeIndex, shape (n + 1,)
        Close times, UTC. Element 0 is the close at which the first decision is taken.
    equity : ndarray of float64, shape (n + 1,)
        Money at each of those closes, marked at the close price, net of all costs.
    exposure : ndarray of float64, shape (n,)
        Target exposure (fraction of equity, signed) decided at close i and in force from the
        open of bar i + 1. A portfolio's is the equity-weighted mean of its members'.
    turnover : ndarray of float64, shape (n,)
        Traded notional at the open of bar i + 1, as a fraction of equity at that open.
    costs : ndarray of float64, shape (n,)
        Money paid over bar i + 1: commission, spread, slippage, borrow fees.
    trades : DataFrame
        One row a round trip, columns `TRADE_COLUMNS`. ``side`` is "long" or "short";
        ``exposure`` is the target at entry; ``pnl`` is money net of ``costs``; ``return`` is
        pnl over equity at entry; ``open`` marks a position that the data's end left open, which
        is marked at the last close.
    """

    strategy: str
    symbol: str
    timestamps: pd.DatetimeIndex
    equity: F64
    exposure: F64
    turnover: F64
    costs: F64
    trades: pd.DataFrame
