"""Comparison of a policy with benchmarks on the same bars, at the same costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NamedTuple, Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.backtesting.rebalancing import deposits_of, trade_together
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, Results, StrategyResult
from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan
from reinforcestrategycreator_pipeline.execution.accounting import BarPrices, bar_outcome
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.execution.schedule import rebalancing_bars
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.statistics.random_timing import (
    joint_shifts,
    percent_below,
    shift_by,
    shifts_of,
)

RANDOM = "random (same turnover)"
_AT_ONCE = 4_000_000  # bars of shifted exposures, to limit memory
_FEW = 8  # different exposures
_CHUNK = 65_536


class Decider(Protocol):
    """A chooser of a target exposure at each close but the last."""

    def targets(self, asset: AssetBars) -> Annotated[F64, "{len(asset.times)-1}"]:
        """Return the target exposures, shape (T - 1,)."""
        ...

    def confidence_of_targets(self, asset: AssetBars) -> tuple[F64, F64] | None:
        """Return how sure it is of each of its targets; None if it does not say.

        Returns
        -------
        pair of ndarray, shapes (T - 1,), or None
            Advantage and spread, in bps; see `StrategyResult`.
        """
        return None


class Comparison(NamedTuple):
    """The results of all policies, and the judged policy's percentile.

    Attributes
    ----------
    results : mapping of asset to mapping of strategy to StrategyResult
        Results by asset (the portfolio first), then by strategy (the judged policy first, random
        timing last).
    percentile : mapping of asset to float or None
        Percentage of the judged policy's own exposures at shifted times that end below it, 0 to
        100; None if no shift moves them. It describes, and is no test: see `joint_shifts`.
    """

    results: Results
    percentile: dict[str, float | None]


def compare(
    policies: Mapping[str, Decider],
    span: MarketSpan,
    draws: int,
    seeds: Seeds,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Backtest all policies, per asset and as a portfolio; the first policy is judged.

    Random timing is the judged policy's own exposures, shifted around the span, by the same shift
    on all assets; the result shown is that of the shift with the median portfolio. If no shift
    moves the exposures, it is the policy itself.

    The result of an asset is that of an account of its own, into which no money comes. Where the
    rules say that the portfolio is rebalanced, so are those of all policies and of all shifts.

    Parameters
    ----------
    policies : mapping of str to Decider
        Policies by the labels of their results.
    span : MarketSpan
        Bars to trade; each asset's account gets an equal share of the initial equity.
    draws : int
        Largest number of shifts, >= 1.
    seeds : Seeds
        Seeds of the random draws.
    progress : callable, optional
        ``progress(done, total)`` reports the decisions of each policy on each asset.

    Raises
    ------
    DataError
        If the portfolio is to be rebalanced, and the assets have no bar in common.
    """
    costs, money = span.rules.costs, span.rules.initial_equity / len(span.assets)
    judged = next(iter(policies))
    targets: list[dict[str, F64]] = [{} for _ in span.assets]
    sure: list[dict[str, tuple[F64, F64] | None]] = [{} for _ in span.assets]
    done, total = 0, len(span.assets) * len(policies)
    for bars, found, said in zip(span.assets, targets, sure, strict=True):
        for label, policy in policies.items():
            found[label] = policy.targets(bars)
            said[label] = policy.confidence_of_targets(bars)
            if progress is not None:
                progress(done := done + 1, total)
    own = [found[judged] for found in targets]
    shifts = joint_shifts(own, draws, seeds.generator(f"benchmarks/{RANDOM}"))
    stamps = rebalancing_bars({a.symbol: a.times for a in span.assets}, span.rules.rebalance)
    # (assets, shifts), per unit of money; where money moves, the portfolio's end is another one
    ends, whole = ends_of_shifts(span, own, shifts, stamps)
    shown = (
        shifts[np.argsort(whole, kind="stable")[[len(shifts) // 2]]] if len(shifts) else np.zeros(1)
    )
    by_asset: dict[str, dict[str, StrategyResult]] = {}
    percentile: dict[str, float | None] = {PORTFOLIO: None}
    for bars, found, said, x, drawn in zip(span.assets, targets, sure, own, ends, strict=True):
        found[RANDOM] = shift_by(x, shown)[0]
        by_asset[bars.symbol] = {
            label: run_backtest(label, bars, t, costs, money, confidence=said.get(label))
            for label, t in found.items()
        }
        end = by_asset[bars.symbol][judged].equity[-1]
        percentile[bars.symbol] = percent_below(money * drawn, end)
    portfolio = {
        label: trade_together(
            label,
            span.assets,
            [t[label] for t in targets],
            costs,
            money,
            stamps,
            [said.get(label) for said in sure],
        )
        if len(stamps)
        else combine([results[label] for results in by_asset.values()])
        for label in next(iter(by_asset.values()))
    }
    percentile[PORTFOLIO] = percent_below(money * whole, portfolio[judged].equity[-1])
    return Comparison({PORTFOLIO: portfolio, **by_asset}, percentile)


def ends_of_shifts(
    span: MarketSpan, own: Sequence[F64], shifts: Annotated[F64, "k"], stamps: Ints
) -> tuple[Annotated[F64, "{len(own)} k"], Annotated[F64, "k"]]:
    """Return the last equity of shifted exposures, per unit of money: of accounts and together.

    Parameters
    ----------
    span : MarketSpan
        Bars to trade.
    own : sequence of ndarray, shapes (T_i - 1,)
        Target exposures of each asset.
    shifts : ndarray of float64, shape (k,)
        Fractions of the span; see `joint_shifts`.
    stamps : ndarray of int64
        Closes of the bars at whose opens the portfolio is rebalanced; none if it never is.
    """
    costs, assets = span.rules.costs, span.assets
    at_once = max(1, _AT_ONCE // sum(map(len, own)))
    if not len(stamps) and len(shifts) > at_once:
        ends = np.array(
            [_ends_from_table(*e, shifts, costs) for e in zip(assets, own, strict=True)]
        )
        return ends, ends.sum(axis=0)
    found, together = [np.empty((len(own), 0))], [np.empty(0)]
    for start in range(0, len(shifts), at_once):
        moved = [shift_by(x, shifts[start : start + at_once]) for x in own]
        ends = np.array([ends_of(*each, costs) for each in zip(assets, moved, strict=True)])
        found.append(ends)
        if len(stamps):
            paid = deposits_of(assets, moved, costs, stamps)
            parts = zip(assets, moved, paid, strict=True)
            ends = np.array([ends_of(bars, x, costs, d) for bars, x, d in parts])
        together.append(ends.sum(axis=0))
    return np.concatenate(found, axis=1), np.concatenate(together)


def _ends_from_table(bars: AssetBars, own: F64, shifts: F64, costs: CostConfig) -> F64:
    """Return `ends_of` of all shifts, from one table of every bar's growth for every move.

    With many different exposures, or where one of them ruins the account, the path matters, and
    the shifts are computed one by one.
    """
    grid, place = np.unique(np.append(own, 0.0), return_inverse=True)
    n, k = len(own), len(grid)
    grown = np.empty((n, k * k))
    ruined = k > _FEW
    for start in range(0, 0 if ruined else n, _CHUNK):
        prices = bars.prices.at(np.s_[start : start + _CHUNK, None, None])
        outcome = bar_outcome(prices, grid[:, None], grid, costs)
        ruined = ruined or bool(outcome.ruined.any())
        grown[start : start + _CHUNK] = np.log(outcome.growth).reshape(-1, k * k)
    if ruined:
        each = [ends_of(bars, shift_by(own, shifts[i : i + 1]), costs) for i in range(len(shifts))]
        return np.concatenate(each)
    place, flat = place[:-1], place[-1]
    moves = np.roll(place, 1) * k + place  # from the target before to this one
    first = np.arange(n) * (k * k)
    table, ends = grown.ravel(), np.empty(len(shifts))
    for i, shift in enumerate(shifts_of(shifts, n).tolist()):
        rows = first + np.roll(moves, shift)
        rows[0] = flat * k + place[-shift % n]  # an account begins flat
        ends[i] = table.take(rows).sum()
    return np.exp(ends)


def backtest_alone(
    label: str, policy: Decider, span: MarketSpan
) -> tuple[dict[str, StrategyResult], StrategyResult]:
    """Backtest one policy by the rules of `compare`.

    Returns
    -------
    dict of str to StrategyResult
        Results by asset: those of accounts into which no money comes.
    StrategyResult
        Result of the portfolio.
    """
    costs, money = span.rules.costs, span.rules.initial_equity / len(span.assets)
    targets = [policy.targets(bars) for bars in span.assets]
    accounts = {
        bars.symbol: run_backtest(label, bars, x, costs, money)
        for bars, x in zip(span.assets, targets, strict=True)
    }
    stamps = rebalancing_bars({a.symbol: a.times for a in span.assets}, span.rules.rebalance)
    if len(stamps):
        return accounts, trade_together(label, span.assets, targets, costs, money, stamps)
    return accounts, combine(list(accounts.values()))


def ends_of(bars: AssetBars, drawn: F64, costs: CostConfig, deposits: F64 | float = 0.0) -> F64:
    """Return the last equity of each row of targets, per unit of money at the start.

    Parameters
    ----------
    bars : AssetBars
        Bars of one asset, T of them.
    drawn : ndarray of float64, shape (k, T - 1)
        Target exposures, one sequence a row.
    costs : CostConfig
        Costs of trading and of holding positions.
    deposits : ndarray of float64, shape (k, T - 1), or 0
        Money that comes in at each open, as a multiple of the equity at the close before.

    Returns
    -------
    ndarray of float64, shape (k,)
        Multiples of the money at the start, > 0.
    """
    ends: F64 = np.exp(log_growths(bars.prices, np.zeros(len(drawn)), drawn, costs, deposits))
    return ends


def log_growths(
    prices: BarPrices,
    held: Annotated[F64, "k"],
    drawn: Annotated[F64, "k n"],
    costs: CostConfig,
    deposits: F64 | float = 0.0,
) -> Annotated[F64, "k"]:
    """Return the log growth of accounts over all bars, one a row; see `bar_growths`."""
    growths: F64 = np.log(bar_growths(prices, held, drawn, costs, deposits)).sum(axis=1)
    return growths


def bar_growths(
    prices: BarPrices,
    held: Annotated[F64, "k"],
    drawn: Annotated[F64, "k n"],
    costs: CostConfig,
    deposits: F64 | float = 0.0,
) -> Annotated[F64, "k n"]:
    """Return the growth of accounts over each bar, as a factor > 0: 1 once an account is ruined.

    Parameters
    ----------
    prices : BarPrices
        Prices around each decision; arrays that broadcast to (k, n).
    held : ndarray of float64, shape (k,)
        Target exposure before the first decision.
    drawn : ndarray of float64, shape (k, n)
        Target exposures of each account, decision by decision.
    costs : CostConfig
        Costs of trading and of holding positions.
    deposits : ndarray of float64, shape (k, n), or 0
        As in `ends_of`.
    """
    previous = np.concatenate([held[:, None], drawn[:, :-1]], axis=1)
    outcome = bar_outcome(prices, previous, drawn, costs, deposits)
    alive = ~np.logical_or.accumulate(outcome.ruined, axis=1)
    # A ruined account keeps what the bar of its ruin left.
    alive = np.concatenate([np.ones((len(drawn), 1), dtype=bool), alive[:, :-1]], axis=1)
    return np.where(alive, outcome.growth, 1.0)
