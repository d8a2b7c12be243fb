"""The outcome of a policy on a window of bars in other orders: frozen, it decides on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Bools, Ints
from reinforcestrategycreator_pipeline.backtesting.compare import bar_growths
from reinforcestrategycreator_pipeline.envs.grid import follow_all
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.execution.accounting import BarPrices
from reinforcestrategycreator_pipeline.execution.costs import SECONDS_PER_YEAR, CostConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.market.permutation import (
    chained,
    moves_of,
    orders_of,
    slots_of,
)
from reinforcestrategycreator_pipeline.policies.base import Policy

_ROWS = 65_536  # of bars in other orders at once, to limit memory
_CHUNK = 4_096  # rows that a policy decides at once


@dataclass(frozen=True, eq=False)
class Entered:
    """An asset's bars of a window, and the target with which it is entered.

    Attributes
    ----------
    bars : AssetBars
        Bars from the first decision to the fill of the last, with all columns and their history.
    held : int
        Index of the target before the first decision.
    """

    bars: AssetBars
    held: int


class Outcomes(NamedTuple):
    """A policy's growth and timing on a window, in each of several orders.

    Attributes
    ----------
    growth : ndarray of float64, shape (draws,)
        Log growth net of costs, the mean over the assets.
    earned : ndarray of float64, shape (draws,)
        Part of it that is due to timing: the sum over the bars of d, the return net of costs less
        what the policy's own mean exposure would have earned, the mean over the assets.
    timing : ndarray of float64, shape (draws,)
        The same, studentized: sum(d) / sqrt(sum(d^2)), and 0 where no d differs from 0.
    """

    growth: Annotated[F64, "draws"]
    earned: Annotated[F64, "draws"]
    timing: Annotated[F64, "draws"]

    @classmethod
    def of(cls, growth: F64, differences: Annotated[F64, "draws times"]) -> Outcomes:
        """Compute timing from d, time by time.

        Where volatility comes in clusters, a policy may be exposed to less or more of it than in
        other orders, and sums of different variance cannot be compared: they are divided by it, as
        permutation tests of unequal variances do (Janssen 1997; Chung and Romano 2013).
        """
        earned = differences.sum(axis=1)
        size = np.sqrt(np.square(differences).sum(axis=1))
        return cls(growth, earned, np.divide(earned, size, np.zeros(len(size)), where=size > 0.0))


@dataclass(frozen=True, eq=False)
class PermutedWindow:
    """A window's bars, all but the first, which the first decision has seen, in other orders.

    All assets' bars of one time move together, between times at which the same assets were listed.
    Columns that are neither prices nor volume, such as signals from outside, stay in their places.

    Parameters
    ----------
    assets : sequence of Entered
        Assets with bars in the window, at least one.
    policy : Policy
        Policy that was fitted before the window.
    costs : CostConfig
        Costs of trading.
    """

    assets: Sequence[Entered]
    policy: Policy
    costs: CostConfig

    @cached_property
    def times(self) -> Ints:
        """Close times of the bars that change places, of all assets."""
        return np.unique(np.concatenate([each.bars.times[1:] for each in self.assets]))

    @property
    def as_it_was(self) -> Annotated[Ints, "1 times"]:
        """The order in which the bars came."""
        return np.arange(len(self.times))[None]

    @property
    def rows(self) -> int:
        """Bars to compute for one order, of all assets, the history that features need included."""
        return sum(len(each.bars.times) - 1 + self._prefix(each.bars) for each in self.assets)

    @cached_property
    def volatility(self) -> float:
        """Root of the summed squared moves of the market, the mean over its assets."""
        total = np.zeros(len(self.times))
        for each in self.assets:
            moves = np.diff(np.log(each.bars.close))
            total[np.searchsorted(self.times, each.bars.times[1:])] += moves / len(self.assets)
        return float(np.sqrt(np.square(total).sum()))

    def orders(self, draws: int, rng: np.random.Generator) -> Annotated[Ints, "draws times"]:
        """Draw orders of `times`; see `orders_of`."""
        ends = np.sort([each.bars.times[i] for each in self.assets for i in (0, -1)])
        listed = np.searchsorted(ends, self.times, side="left")
        slots = np.unique(slots_of(self.times), return_inverse=True)[1]
        return orders_of(slots * (len(ends) + 1) + listed, draws, rng)

    @property
    def idle(self) -> float:
        """Standard deviation of `Outcomes.earned` up to which a policy leaves nothing to timing.

        It is that of the market's move in one bar at the largest position: to take a position and
        keep it depends on the order of bars by the gap that is missed.
        """
        largest = max(map(abs, self.policy.positions))
        return largest * self.volatility / float(np.sqrt(len(self.times)))

    def outcomes(self, orders: Annotated[Ints, "draws times"]) -> Outcomes:
        """Return what the policy earned over the window in each order.

        Parameters
        ----------
        orders : ndarray of int64, shape (draws, len(times))
            Orders of `times`, as those of `orders` and `as_it_was`.
        """
        at_once = max(1, _ROWS * len(self.assets) // self.rows)
        parts = [orders[i : i + at_once] for i in range(0, len(orders), at_once)]
        found = [self._outcomes(part) for part in parts]
        return Outcomes(*map(np.concatenate, zip(*found, strict=True)))

    def _prefix(self, bars: AssetBars) -> int:
        """Return the number of bars that come before, the one of the first decision included."""
        past = len(bars.columns["close"]) - len(bars.times)
        return min(past + 1, max(self.policy.inputs.lookback + 1, self.policy.history))

    def _outcomes(self, orders: Ints) -> Outcomes:
        growth, differences = np.zeros(len(orders)), np.zeros(orders.shape)
        for each in self.assets:
            grown, differed, there = self._of_asset(each, orders)
            growth += grown / len(self.assets)
            differences[there] += differed.ravel() / len(self.assets)
        return Outcomes.of(growth, differences)

    def _of_asset(self, entered: Entered, orders: Ints) -> tuple[F64, F64, Bools]:
        """Return log growth, d at each of the asset's bars, and which of `times` those are."""
        bars, policy = entered.bars, self.policy
        draws, n, prefix = len(orders), len(bars.times) - 1, self._prefix(bars)
        start = len(bars.columns["close"]) - n
        own, there, years = self._order_of(bars, orders)
        moved = chained(moves_of(bars.columns, start, start + n), own, bars.close[0])
        columns = {}
        for name, column in bars.columns.items():
            before = np.broadcast_to(column[start - prefix : start], (draws, prefix))
            after = np.broadcast_to(moved.get(name, column[start:]), (draws, n))
            columns[name] = np.concatenate([before, after], axis=1)
        table = self._decide(columns, prefix, n)
        paths = follow_all(table, np.full(draws, entered.held))
        opens, closes = (columns[name][:, prefix - 1 :] for name in ("open", "close"))
        prices = BarPrices(opens[:, :-1], closes[:, :-1], opens[:, 1:], closes[:, 1:], years)
        grid = np.array(policy.positions)
        held = np.full(draws, grid[entered.held])
        growth = bar_growths(prices, held, grid[paths], self.costs)
        exposure = grid[paths].mean(axis=1, keepdims=True)
        market = closes[:, 1:] / closes[:, :-1] - 1.0
        return np.log(growth).sum(axis=1), growth - 1.0 - exposure * market, there

    def _order_of(self, bars: AssetBars, orders: Ints) -> tuple[Ints, Bools, F64]:
        """Return which of the asset's bars comes when, at which times, and the years between."""
        n = len(bars.times) - 1
        if n == len(self.times):
            return orders, np.ones(orders.shape, dtype=bool), bars.years
        index = np.full(len(self.times), -1)
        index[np.searchsorted(self.times, bars.times[1:])] = np.arange(n)
        own = index[orders]
        there = own >= 0
        times = np.broadcast_to(self.times, orders.shape)[there].reshape(len(orders), n)
        first = np.full((len(orders), 1), bars.times[0])
        gaps = np.diff(np.concatenate([first, times], axis=1), axis=1)
        return own[there].reshape(len(orders), n), there, gaps / 1e9 / SECONDS_PER_YEAR

    def _decide(self, columns: dict[str, F64], prefix: int, n: int) -> Ints:
        """Return the tables of decisions, shape (draws, n, positions)."""
        policy, draws = self.policy, len(columns["close"])
        joined = {name: x.reshape(-1) for name, x in columns.items()}
        specs = policy.inputs.parsed() if policy.reads_features else ()
        values = np.empty((draws * (prefix + n), 0))
        if specs:
            # A row depends on no bar before its lookback, so the orders can stand in one series.
            values = compute_features(pd.DataFrame(joined), specs).values
        features = values.reshape(draws, prefix + n, -1)[:, prefix - 1 : -1]
        if policy.history:
            past = policy.history - 1
            tables = []
            for d in range(draws):
                bars = {k: x[d, max(prefix - 1 - past, 0) : -1] for k, x in columns.items()}
                tables.append(policy.choose_fast(np.ascontiguousarray(features[d]), bars))
            return np.stack(tables)
        rows = features.reshape(draws * n, -1)
        parts = [policy.choose_fast(rows[i : i + _CHUNK], {}) for i in range(0, len(rows), _CHUNK)]
        return np.concatenate(parts).reshape(draws, n, -1)
