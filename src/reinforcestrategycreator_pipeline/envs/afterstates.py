"""The parts of a market's rewards, with which values need not be learned for each old target.

What follows a decision depends on the new target alone: the old one decides the return of the gap
before the fill, and what the move costs. So the reward of moving from target h to q at row t is

    r(t, h, q) = gap(t, h) + held(t, q) - cost(h, q)

and the value of a decision needs only the value of its afterstate (Sutton & Barto 2018, section
6.8), a function of the features and of q:

    U(t, q) = E[ held(t, q) + gamma (gap(t + 1, q) + max_a (U(t + 1, a) - cost(q, a))) ]

Costs are known, not learned, and none of the data is spent on the old target.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32, F64, Array, Bools, Ints
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.rewards import measure
from reinforcestrategycreator_pipeline.execution.accounting import RUIN_GROWTH, bar_outcome


class Afterstates:
    """The parts of a market's rewards.

    Parameters
    ----------
    market : ExogenousMarket
        Market whose scaled rewards are divided. N is its number of rows, n that of its targets.

    Attributes
    ----------
    gap : ndarray of float32, shape (N, n)
        Reward of the old target until the next open, before the trade: of the gap, less what it
        costs to carry the position.
    held : ndarray of float32, shape (N, n)
        Reward of the new target from that open to its close, without the cost of a move; the cost
        of keeping a drifting exposure on target is part of it.
    cost : ndarray of float32, shape (n, n)
        Cost of a move from target h to q: the mean over the bars, 0 for h = q.
    alive : ndarray of bool, shape (N, n)
        False where holding the target ends in ruin, after which nothing follows.
    drift_gap, drift_held : ndarray of float32, shape (N, n)
        The part of `gap` and of `held` whose sign turns with that of the price's return: half the
        difference between the reward of that return and of the opposite one. In a market without
        drift, its mean is 0; what is left is the reward's aversion to risk.
    residual : float
        Root mean square of what the three parts do not explain of the reward of a move, as a
        fraction of that of the rewards: products of costs and returns, and what is not additive
        about a reward of the user's.
    """

    def __init__(self, market: ExogenousMarket) -> None:
        n = market.n_positions
        rows, same = market.decision_rows, np.arange(n)
        gap, drift_gap, drift_held = np.zeros((3, len(market.features), n))
        for start, asset in zip(market.starts, market.assets, strict=True):
            grid = market.positions
            outcome = bar_outcome(asset.prices.at(np.s_[:, None]), grid, grid, market.costs)
            reward = measure(market.reward, outcome.equity_at_open)
            block = slice(start, start + len(reward))
            gap[block] = reward * market.reward_scale
            prices = asset.prices
            drift_gap[block] = odd_reward(market, prices.open_t / prices.close_tm1 - 1.0)
            drift_held[block] = odd_reward(market, prices.close_t / prices.open_t - 1.0)
        rewards = market.rewards
        held = rewards[:, same, same] - gap
        moves = gap[rows, :, None] + held[rows, None, :] - rewards[rows]
        cost = moves.mean(axis=0)
        np.fill_diagonal(cost, 0.0)  # but for rounding, it is
        self.gap: F32 = gap.astype(np.float32)
        self.held: F32 = held.astype(np.float32)
        self.drift_gap: F32 = drift_gap.astype(np.float32)
        self.drift_held: F32 = drift_held.astype(np.float32)
        self.cost: F32 = cost.astype(np.float32)
        self.alive: Bools = ~market.ruined[:, same, same]
        size = float(np.sqrt(np.square(rewards[rows]).mean()))
        self.residual = float(np.sqrt(np.square(moves - cost).mean())) / max(size, 1e-30)

    def returns(
        self,
        rows: Annotated[Ints, "rows"],
        values: Annotated[Array, "{len(rows)} targets"],
        gamma: float,
    ) -> Annotated[F32, "{len(rows)} targets"]:
        """Return the right side of the equation for U at some rows, given U of the next ones.

        Parameters
        ----------
        rows : ndarray of int, shape (R,)
            Rows that are not the market's last; those that allow no decision get no useful value.
        values : ndarray, shape (R, n)
            U of rows + 1.
        gamma : float
            Discount per bar, in [0, 1].
        """
        # Target by target, along the rows: NumPy is slow where the last axis is short.
        worth = np.ascontiguousarray(values.T)
        after = worth[0] - self.cost[:, :1]
        for target in range(1, len(worth)):
            np.maximum(after, worth[target] - self.cost[:, target, None], out=after)
        best = np.ascontiguousarray(after.T)
        best += self.gap.take(rows + 1, axis=0)
        best *= self.alive.take(rows, axis=0)
        best *= np.float32(gamma)
        best += self.held.take(rows, axis=0)
        found: F32 = best
        return found


def odd_reward(
    market: ExogenousMarket, returns: Annotated[F64 | float, "bars"]
) -> Annotated[F64, "bars {market.n_positions}"]:
    """Return half the difference between the scaled reward of each return and of its opposite.

    Parameters
    ----------
    market : ExogenousMarket
        Market with the targets and the reward.
    returns : ndarray of float64, shape (R,)
        Simple returns of the price, > -1.

    Returns
    -------
    ndarray of float64, shape (R, n)
        By return and target; 0 for the target 0.
    """
    change = market.positions * np.asarray(returns)[:, None]
    up, down = (
        measure(market.reward, np.maximum(1.0 + side, RUIN_GROWTH)) for side in (change, -change)
    )
    return market.reward_scale * (up - down) / 2.0
