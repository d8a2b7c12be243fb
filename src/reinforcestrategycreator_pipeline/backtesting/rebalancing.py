"""The money that moves between the accounts of a rebalanced portfolio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.execution.accounting import (
    RUIN_GROWTH,
    BarPrices,
    bar_outcome,
)
from reinforcestrategycreator_pipeline.execution.costs import CostConfig


def trade_together(
    strategy: str,
    bars: Sequence[AssetBars],
    targets: Sequence[F64],
    costs: CostConfig,
    initial_equity: float,
    stamps: Ints,
    confidences: Sequence[tuple[F64, F64] | None] | None = None,
) -> StrategyResult:
    """Trade one account per asset, moving money between them, and return the portfolio.

    Parameters
    ----------
    strategy : str
        Name of the strategy in the result.
    bars : sequence of AssetBars
        Bars of each asset.
    targets : sequence of ndarray, shapes (T_i - 1,)
        Target exposures of each asset, decided at each close but the last.
    costs : CostConfig
        Costs of trading and of holding positions.
    initial_equity : float
        Equity of each account at its first close, in money, > 0.
    stamps : ndarray of int64
        Close times of the bars at whose open the accounts are made equal; see `deposits_of`.
    confidences : sequence of (pair of ndarray, shapes (T_i - 1,)), optional
        How sure the strategy was of each asset's targets; see `run_backtest`.
    """
    moved = [d[0] for d in deposits_of(bars, [x[None] for x in targets], costs, stamps)]
    accounts = [
        run_backtest(strategy, b, x, costs, initial_equity, d, sure)
        for b, x, d, sure in zip(
            bars, targets, moved, confidences or [None] * len(bars), strict=True
        )
    ]
    return combine(accounts, [d * a.equity[:-1] for d, a in zip(moved, accounts, strict=True)])


def deposits_of(
    bars: Sequence[AssetBars], targets: Sequence[F64], costs: CostConfig, stamps: Ints
) -> list[F64]:
    """Return what comes into each account, or leaves it, at each open.

    At the open of each of the bars `stamps`, before they trade, the accounts that are not ruined
    get equal shares of the money that they have together. Each then trades to its target. So they
    differ afterwards by the costs of their own trades. Accounts start with equal money.

    Parameters
    ----------
    bars : sequence of AssetBars
        Bars of each asset; all have the bars `stamps`.
    targets : sequence of ndarray, shapes (k, T_i - 1)
        Target exposures of each asset, one sequence of decisions a row.
    costs : CostConfig
        Costs of trading and of holding positions.
    stamps : ndarray of int64, shape (J,)
        Close times of the bars, increasing; see `rebalancing_bars`.

    Returns
    -------
    list of ndarray, shapes (k, T_i - 1)
        Multiples of the account's equity at the close before each open.
    """
    deposits = [np.zeros_like(x) for x in targets]
    if not len(stamps):
        return deposits
    # The decision whose outcome is the bar, by asset: (A, J).
    due = np.array([np.searchsorted(asset.times, stamps) - 1 for asset in bars])
    parts = [_around(*each, costs) for each in zip(bars, targets, due, strict=True)]
    grown, fell, opened, alone, previous, wanted = (np.stack(x) for x in zip(*parts, strict=True))
    prices = BarPrices(
        *(
            np.stack(x)
            for x in zip(
                *(a.prices.at(rows) for a, rows in zip(bars, due, strict=True)), strict=True
            )
        )
    )
    money = np.ones(grown.shape[:2])
    alive = np.ones(grown.shape[:2], dtype=bool)
    for j, rows in enumerate(due.T):
        money = money * grown[..., j]
        alive = alive & ~fell[..., j] & alone[..., j]
        held = np.where(alive, money * opened[..., j], 0.0)
        share = held.sum(axis=0) / np.maximum(alive.sum(axis=0), 1)
        deposit = np.where(alive, share - held, 0.0) / money
        bar = prices.at(np.s_[:, j, None])
        outcome = bar_outcome(bar, previous[..., j], wanted[..., j], costs, deposit)
        alive = alive & ~outcome.ruined
        money = np.where(alive, money * outcome.growth, 1.0)
        for account, row, paid in zip(deposits, rows, deposit, strict=True):
            account[:, row] = paid
    return deposits


def _around(asset: AssetBars, targets: F64, due: Ints, costs: CostConfig) -> tuple[Array, ...]:
    """Return what happens to one account up to each bar of `due`, each of shape (k, J).

    These are its growth since the last such bar, whether it was ruined since, its equity at the
    open as a multiple of that at the close before, whether the gap leaves any, and the targets
    before and after.
    """
    before = np.concatenate([np.zeros((len(targets), 1)), targets[:, :-1]], axis=1)
    outcome = bar_outcome(asset.prices, before, targets, costs)
    growth, ruined = outcome.growth.copy(), outcome.ruined.copy()
    growth[:, due], ruined[:, due] = 1.0, False
    starts = np.concatenate([[0], due])
    grown = np.multiply.reduceat(growth, starts, axis=1)[:, :-1]
    fell = np.logical_or.reduceat(ruined, starts, axis=1)[:, :-1]
    opened = outcome.equity_at_open[:, due]
    return grown, fell, opened, opened > RUIN_GROWTH, before[:, due], targets[:, due]
