"""Backtest of a sequence of targets with the accounting kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import (
    CONFIDENCE_COLUMNS,
    PORTFOLIO,
    TRADE_COLUMNS,
    StrategyResult,
)
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.execution.accounting import (
    RUIN_GROWTH,
    BarOutcome,
    bar_outcome,
)
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.market.bars import DAY


def run_backtest(
    strategy: str,
    bars: AssetBars,
    targets: F64,
    costs: CostConfig,
    initial_equity: float,
    deposits: F64 | None = None,
    confidence: tuple[F64, F64] | None = None,
) -> StrategyResult:
    """Trade a sequence of target exposures on one asset, starting flat.

    Parameters
    ----------
    strategy : str
        Name of the strategy in the result.
    bars : AssetBars
        Bars of the asset, T of them.
    targets : ndarray, shape (T - 1,)
        Target exposure, as a signed fraction of equity, decided at each close but the last.
    costs : CostConfig
        Costs of trading and of holding positions.
    initial_equity : float
        Equity at the first close, in money, > 0.
    deposits : ndarray, shape (T - 1,), optional
        Money that comes in at the open of bar i + 1, before the trade, or leaves if negative, as a
        multiple of the equity at close i. It is part of the equity and of no trade's result.
    confidence : pair of ndarray, shapes (T - 1,), optional
        Advantage and spread of each target, in bps, if the strategy says; see `StrategyResult`.

    Raises
    ------
    DataError
        If `targets` has another length or is not finite: a NaN never becomes an order.
    """
    targets = np.array(targets, dtype=np.float64)
    if targets.shape != (len(bars.close) - 1,):
        raise DataError(
            f"{strategy} on {bars.symbol}: {len(bars.close)} bars need "
            f"{len(bars.close) - 1} targets. Got the shape {targets.shape} instead."
        )
    if not np.isfinite(targets).all():
        t = int(np.argmin(np.isfinite(targets)))
        raise DataError(f"{strategy} on {bars.symbol}: the target of decision {t} is not finite")
    previous = np.concatenate([[0.0], targets[:-1]])
    moved = np.zeros(len(targets)) if deposits is None else deposits
    outcome = bar_outcome(bars.prices, previous, targets, costs, moved)
    ruin = np.flatnonzero(outcome.ruined)
    if ruin.size:  # a ruined account does not trade again, not even at the open that ruined it
        by_gap = outcome.equity_at_open[ruin[0]] <= RUIN_GROWTH
        targets[ruin[0] + (0 if by_gap else 1) :] = 0.0
        previous[ruin[0] + 1 :] = 0.0
        outcome = bar_outcome(bars.prices, previous, targets, costs, moved)
    sure = {}
    if confidence is not None:
        alive = np.arange(len(targets)) <= (ruin[0] if ruin.size else len(targets))
        sure = {
            name: np.where(alive, values, np.nan)
            for name, values in zip(CONFIDENCE_COLUMNS, confidence, strict=True)
        }
    grown = np.concatenate([[1.0], outcome.growth]).cumprod()
    equity: F64 = initial_equity * grown
    return StrategyResult(
        strategy=strategy,
        symbol=bars.symbol,
        timestamps=bars.timestamps,
        equity=equity,
        exposure=targets,
        turnover=np.abs(outcome.traded) / (outcome.equity_at_open - moved),
        costs=equity[:-1] * (outcome.trading_cost + outcome.carrying_cost),
        trades=round_trips(bars, targets, outcome, equity, costs, moved, sure),
        **sure,
    )


def round_trips(
    bars: AssetBars,
    targets: Annotated[F64, "{len(bars.close)-1}"],
    outcome: BarOutcome,
    equity: Annotated[F64, "{len(bars.close)}"],
    costs: CostConfig,
    deposits: Annotated[F64, "{len(bars.close)-1}"],
    confidence: Mapping[str, F64],
) -> pd.DataFrame:
    """List the round trips: runs of targets of the same sign, entered and exited at opens.

    The gap before an open belongs to the old position, the session after it to the new one. The
    cost of a reversal is divided in proportion to the values closed and opened. So the pnl of all
    trades adds up to the change of equity, less the deposits. A trade that ruins the account ends
    with the bar of the ruin: at its open if the gap ruined it, else at its close.

    Returns
    -------
    DataFrame
        One row per trade, in order of entry, with the columns `TRADE_COLUMNS`, then those of
        `confidence`, at the decision to enter.
    """
    n = len(targets)
    distance = costs.fill_offset + costs.impact * np.sqrt(
        np.abs(outcome.traded) / outcome.equity_at_open
    )
    side = np.sign(targets).astype(int)
    before = np.concatenate([[0], side[:-1]])
    money = equity[:-1]
    opens, closes = bars.open[1:], bars.close[1:]
    after = outcome.equity_at_open - outcome.trading_cost
    gap_pnl = money * (outcome.equity_at_open - deposits - 1.0)
    session_pnl = equity[1:] - money * after
    closing = np.abs(outcome.exposure_at_open * outcome.equity_at_open)
    opening = np.abs(targets * after)
    flipped = side != before
    share = np.divide(closing, closing + opening, out=np.zeros(n), where=closing + opening > 0)
    # The old position pays its share of the trading cost only if it is closed at this open.
    old_cost = money * outcome.trading_cost * np.where(flipped, share, 0.0)
    new_cost = money * outcome.trading_cost - old_cost
    carrying = money * outcome.carrying_cost
    stamps = bars.timestamps
    starts = np.flatnonzero(flipped & (side != 0))
    ruins = np.flatnonzero(outcome.ruined)
    flips = np.append(np.flatnonzero(flipped), n)
    ends = flips[np.searchsorted(flips, starts, side="right")]
    rows = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        still_open = end == n
        sign = int(side[start])
        held, carried = slice(start, end), slice(start + 1, min(end + 1, n))
        left = 0.0 if still_open else float(old_cost[end])
        paid = float(new_cost[held].sum() + carrying[carried].sum()) + left
        pnl = float(session_pnl[held].sum() - new_cost[held].sum() + gap_pnl[carried].sum()) - left
        entry_equity = float(money[start] * outcome.equity_at_open[start])
        exit_price = closes[-1] if still_open else opens[end] * (1.0 - sign * distance[end])
        leaves, ruin = n if still_open else end + 1, ruins[(ruins >= start) & (ruins < end)]
        if ruin.size:  # lost in the session of its last bar, so not at the open after it
            leaves, still_open = int(ruin[0]) + 1, False
            exit_price = closes[ruin[0]]
        rows.append(
            (
                bars.symbol,
                "long" if sign > 0 else "short",
                stamps[start + 1],
                stamps[leaves],
                float(opens[start] * (1.0 + sign * distance[start])),
                float(exit_price),
                float(targets[start]),
                end - start,
                pnl,
                pnl / entry_equity,
                paid,
                still_open,
            )
        )
    return trades_frame(rows).assign(**{name: x[starts] for name, x in confidence.items()})


def trades_frame(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """Return trades as a frame with fixed column types, even if there are none."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(TRADE_COLUMNS)
    types: dict[str, Any] = {
        **dict.fromkeys(("symbol", "side"), object),
        **dict.fromkeys(("entry_time", "exit_time"), "datetime64[ns, UTC]"),
        "bars": np.int64,
        "open": np.bool_,
    }
    found: dict[str, Any] = {}
    for name, values in zip(TRADE_COLUMNS, columns, strict=True):
        kind = types.get(name, np.float64)
        if name in ("entry_time", "exit_time"):
            found[name] = pd.DatetimeIndex(values, dtype=kind)
        elif kind is object:
            found[name] = list(values)
        else:
            found[name] = np.array(values, dtype=kind)
    return pd.DataFrame(found)


def portfolio_clock(stamps: Sequence[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """Return the closes of a portfolio's bars, given those of its members' bars.

    If the members close at different times of a day, or of a bar that is shorter than a day, the
    portfolio has one bar for all of them, which ends with the last: counted one by one, the parts
    of one move of the market would look like independent returns. A member's own bars are never
    merged.
    """
    union = stamps[0]
    for index in stamps[1:]:
        union = union.union(index)
    spacing = min((int(np.median(np.diff(i.as_unit("ns").asi8))) for i in stamps), default=DAY)
    unit = max(1, min(spacing, DAY))
    if unit > 0.75 * DAY:  # days of 23 hours when clocks change
        unit = DAY
    # A bar that closes at midnight belongs to the day before.
    if any((np.diff((i.as_unit("ns").asi8 - 1) // unit) == 0).any() for i in stamps):
        return union
    last = np.diff((union.as_unit("ns").asi8 - 1) // unit) != 0
    return union[np.append(last, True)]


def combine(
    results: Sequence[StrategyResult], deposits: Sequence[F64] | None = None
) -> StrategyResult:
    """Combine the accounts of one strategy into a portfolio.

    Each asset has its own account, funded equally at the start. Its equity is constant before the
    asset's first bar and after its last; over a bar that the asset lacks, its old target stays in
    force. Turnover is weighted by the accounts' equity at the previous close. The portfolio's bars
    are those of `portfolio_clock`.

    Parameters
    ----------
    results : sequence of StrategyResult
        Results of the accounts, one per asset.
    deposits : sequence of ndarray, shapes (n_i,), optional
        Money that came into each account at the open of its bar i + 1, or left it; the same times
        for all, and in sum 0. By default, the portfolio is never rebalanced.
    """
    index = portfolio_clock([result.timestamps for result in results])
    n = len(index)
    equity, exposed, traded, paid = np.zeros(n), np.zeros(n - 1), np.zeros(n - 1), np.zeros(n - 1)
    opening_equity = np.zeros(n - 1)
    for r, moved in zip(results, deposits or [np.zeros(1)] * len(results), strict=True):
        # The first bar of the portfolio that ends at or after the account's.
        place = index.searchsorted(r.timestamps)
        filled = r.equity[np.maximum(np.searchsorted(place, np.arange(n), side="right") - 1, 0)]
        equity += filled
        step = place[1:] - 1  # the portfolio bar that ends at the account's bar
        # The decision in force over each portfolio bar: the last one that was filled by its end.
        latest = np.searchsorted(step, np.arange(n - 1), side="right") - 1
        held = np.where(latest >= 0, r.exposure[np.maximum(latest, 0)], 0.0)
        held[place[-1] :] = 0.0
        exposed += held * filled[:-1]
        exposed[step] += r.exposure * moved  # weights are those after the deposit
        traded[step] += r.turnover * r.equity[:-1]
        paid[step] += r.costs
        opening_equity += filled[:-1]
    trades = [r.trades for r in results if len(r.trades)]
    joined = pd.concat(trades, ignore_index=True) if trades else results[0].trades
    return StrategyResult(
        strategy=results[0].strategy,
        symbol=PORTFOLIO,
        timestamps=index,
        equity=equity,
        exposure=exposed / opening_equity,
        turnover=traded / opening_equity,
        costs=paid,
        trades=joined.sort_values(["entry_time", "symbol"], kind="stable", ignore_index=True),
    )
