"""Metrics of trading: turnover, exposure, costs, and round trips.

A position that is open at the end of the data counts as a trade, marked at the last close.
"""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.backtesting.metrics.base import (
    Performance,
    UndefinedMetricError,
    metric,
)


@metric("turnover", "Turnover a year", unit="multiple", group="Trading", higher_is_better=None)
def turnover(p: Performance) -> float:
    """Traded notional over equity per year, counting both purchases and sales.

    It is the mean per bar times bars per year; 2x is one full round trip a year.
    """
    p.need_bars(1)
    return float(p.result.turnover[: len(p.returns)].mean()) * p.periods_per_year


@metric("exposure", "Mean exposure", unit="percent", group="Trading", higher_is_better=None)
def exposure(p: Performance) -> float:
    """Mean absolute target exposure, as a fraction of equity; shorts count as positive.

    For a portfolio it is that of the net exposure: longs and shorts of a bar offset each other.
    """
    p.need_bars(1)
    return float(np.abs(p.result.exposure[: len(p.returns)]).mean())


@metric("time_in_market", "Time in market", unit="percent", group="Trading", higher_is_better=None)
def time_in_market(p: Performance) -> float:
    """Share of the bars with a target exposure other than 0."""
    p.need_bars(1)
    return float(np.count_nonzero(p.result.exposure[: len(p.returns)]) / len(p.returns))


@metric("costs_paid", "Costs paid", unit="money", group="Trading", higher_is_better=False)
def costs_paid(p: Performance) -> float:
    """Money paid for commission, spread, slippage and borrowing, over the whole span."""
    p.need_bars(1)
    return float(p.result.costs[: len(p.returns)].sum())


@metric("trades", "Trades", unit="count", group="Trades", higher_is_better=None)
def trades(p: Performance) -> float:
    """Count of round trips, including a position still open at the end."""
    return float(len(p.result.trades))


@metric("win_rate", "Win rate", unit="percent", group="Trades", higher_is_better=True)
def win_rate(p: Performance) -> float:
    """Share of the trades whose result, net of costs, is above 0."""
    return float((p.trade_values("pnl") > 0).mean())


@metric("profit_factor", "Profit factor", unit="ratio", group="Trades", higher_is_better=True)
def profit_factor(p: Performance) -> float:
    """Money won by the winning trades over money lost by the losing ones, net of costs."""
    pnl = p.trade_values("pnl")
    lost = -float(pnl[pnl < 0].sum())
    if not lost > 0:
        raise UndefinedMetricError("no losing trades")
    return float(pnl[pnl > 0].sum()) / lost


@metric("average_win", "Average win", unit="percent", group="Trades", higher_is_better=True)
def average_win(p: Performance) -> float:
    """Mean return of the winning trades: net result over equity at entry."""
    won = p.trade_values("return")[p.trade_values("pnl") > 0]
    if not won.size:
        raise UndefinedMetricError("no winning trades")
    return float(won.mean())


@metric("average_loss", "Average loss", unit="percent", group="Trades", higher_is_better=True)
def average_loss(p: Performance) -> float:
    """Mean return of the losing trades, negative: net result over equity at entry."""
    lost = p.trade_values("return")[p.trade_values("pnl") < 0]
    if not lost.size:
        raise UndefinedMetricError("no losing trades")
    return float(lost.mean())
