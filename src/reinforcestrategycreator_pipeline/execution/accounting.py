"""The accounting kernel: how equity grows over one bar.

A decision at close(t) changes the target p, held since open(t), to the new target q:

1. Close to open. The target p was set at open(t), so at close(t) the exposure has drifted to
   w = p C/O / (1 + p (C/O - 1)), with O = open(t), C = close(t). Over the gap, equity earns
   w (open(t+1)/close(t) - 1) and pays borrow fees (short) or margin interest (exposure above 1) on
   the position for the calendar time from close(t) to close(t+1).
2. Rebalance at open(t+1) to the exposure q *after costs*. With equity E and exposure w' before,
   and a cost c per unit of value traded, E' = E - c |q E' - w' E|, which gives
   E' = E (1 + c w') / (1 + c q) when buying and E (1 - c w') / (1 - c q) when selling. A commission
   per share is a part of c, its money over the price. Impact adds a term in |q E' - w' E|^1.5.
3. Open to close. Equity earns q (close(t+1)/open(t+1) - 1).

Where a portfolio is rebalanced, money d comes into the account, or leaves it, at open(t+1) before
the trade: E becomes E + d, and w' becomes w' E / (E + d). What the trade then costs is the cost of
moving the money.

Because the exposure after costs is exactly the target, growth without a deposit depends only on
(t, p, q) and not on the path. Hence (bar, previous target) is the complete state of an account
whose orders do not move the market. The training market, the Gymnasium environment, the backtest,
and the oracle all call this kernel. The paper broker does not: its ledger (`account`) is an
independent check.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64, Bools
from reinforcestrategycreator_pipeline.execution.costs import BPS, CostConfig

# An account whose equity falls to this fraction within one bar is ruined: losses are limited to the
# stake, the logarithm stays finite, and the episode terminates.
RUIN_GROWTH = 1e-6

_NEWTON = 10  # as wild trades need; a fixed number makes a bar alone equal to one among others


class BarPrices(NamedTuple):
    """Prices around one decision; the arrays must broadcast together.

    Attributes
    ----------
    open_tm1, close_tm1 : ndarray
        Open and close of the bar at whose close the decision is made.
    open_t, close_t : ndarray
        Open, where the order is filled, and close of the next bar.
    years : ndarray
        Calendar time between the two closes, in years of 365 days.
    """

    open_tm1: F64 | float
    close_tm1: F64 | float
    open_t: F64 | float
    close_t: F64 | float
    years: F64 | float

    def at(self, index: Any) -> BarPrices:
        """Return each array indexed; ``[:, None, None]`` makes room for a grid of targets."""
        return BarPrices(*(np.asarray(x)[index] for x in self))


class BarOutcome(NamedTuple):
    """Outcome of one bar, as multiples of the equity at the previous close.

    Attributes
    ----------
    growth : ndarray
        Equity at this close, the deposit included, >= RUIN_GROWTH.
    equity_at_open : ndarray
        Equity at the open, after the deposit and before the trade.
    exposure_at_open : ndarray
        Exposure at the open before the trade: the drifted old target, after the deposit.
    traded : ndarray
        Value traded at the open; positive for a purchase.
    trading_cost : ndarray
        Commission, spread, and slippage.
    carrying_cost : ndarray
        Borrow fees and margin interest.
    ruined : ndarray of bool
        Whether the account lost everything, to prices or to costs. Growth is then RUIN_GROWTH,
        times 1 plus the deposit if money came in.
    """

    growth: F64
    equity_at_open: F64
    exposure_at_open: F64
    traded: F64
    trading_cost: F64
    carrying_cost: F64
    ruined: Bools


def exposure_at_close(target: ArrayLike, open_: ArrayLike, close: ArrayLike) -> F64:
    """Return the exposure at the close to which a target set at the open has drifted.

    If equity is wiped out within the bar (1 + p (C/O - 1) <= 0), the account was ruined and is flat
    from then on: the result is 0.
    """
    p = np.asarray(target, dtype=np.float64)
    move = np.asarray(close, dtype=np.float64) / np.asarray(open_, dtype=np.float64)
    equity = 1.0 + p * (move - 1.0)
    alive = equity > RUIN_GROWTH
    return np.where(alive, p * move / np.where(alive, equity, 1.0), 0.0)


def bar_outcome(
    prices: BarPrices,
    previous: ArrayLike,
    target: ArrayLike,
    costs: CostConfig,
    deposit: ArrayLike = 0.0,
) -> BarOutcome:
    """Compute the outcome of one bar, elementwise over broadcast arrays.

    Parameters
    ----------
    prices : BarPrices
        Prices, positive and finite.
    previous, target : array_like
        Target exposures of the previous decision and of this one, as fractions of equity.
    costs : CostConfig
        Costs of trading and of carrying a position.
    deposit : array_like
        Money that comes in at the open, before the trade, or leaves if negative, as a multiple of
        the equity at the previous close. An account that the gap ruins must get none: it would
        be lost.
    """
    q = np.asarray(target, dtype=np.float64)
    w = exposure_at_close(previous, prices.open_tm1, prices.close_tm1)
    carrying = prices.years * (
        costs.borrow_rate * np.maximum(-w, 0.0) + costs.margin_rate * np.maximum(w - 1.0, 0.0)
    )
    if costs.funding_rate:
        carrying = carrying + prices.years * costs.funding_rate * w
    gap = prices.open_t / prices.close_tm1
    at_open = 1.0 + w * (gap - 1.0) - carrying
    came, left = np.maximum(deposit, 0.0), np.minimum(deposit, 0.0)
    solvent = at_open + left > RUIN_GROWTH
    at_open = np.where(solvent, at_open + left + came, RUIN_GROWTH)
    ruin = RUIN_GROWTH * (1.0 + came)  # of the stake
    w_open = np.where(solvent, w * gap / at_open, 0.0)
    q = np.where(solvent, q, 0.0)
    buying = q > w_open
    c = np.where(buying, costs.buy_cost, -costs.sell_cost)
    if costs.commission_per_share:
        c = c + np.where(buying, 1.0, -1.0) * (costs.commission_per_share / prices.open_t)
    payable = 1.0 + c * w_open > 0.0  # else closing costs all equity; implies 1 + c q > 0
    after = np.where(payable, at_open * (1.0 + c * w_open) / np.where(payable, 1.0 + c * q, 1.0), 0)
    if costs.impact:
        commission = np.where(buying, 1.0, -1.0) * costs.commission_bps * BPS
        k = costs.impact * (1.0 + commission)  # which is paid on the fill, impact included
        after = at_open * _kept_after_impact(w_open, q, np.where(payable, np.abs(c), np.inf), k)
    growth = after * (1.0 + q * (prices.close_t / prices.open_t - 1.0))
    ruined = ~solvent | ~(growth > ruin)
    return BarOutcome(
        growth=np.where(ruined, ruin, growth),
        equity_at_open=at_open,
        exposure_at_open=w_open,
        traded=q * after - w_open * at_open,
        trading_cost=at_open - after,
        carrying_cost=carrying,
        ruined=ruined,
    )


def _kept_after_impact(w: F64, q: F64, c: F64, k: F64) -> F64:
    """Return what is left of an equity of 1 after a trade from exposure w to q, or 0.

    A trade of value D costs c D + k D^1.5 and ends at the exposure q of what is left. With
    x = sqrt(D), s = 1 when buying and -1 when selling, this is

        f(x) = s q k x^3 + (1 + s q c) x^2 - s (q - w) = 0.

    Newton's method starts at the root without impact. Where s q < 0, as when a short is reduced, f
    rises to 2b only, with its bend at b; the iterates stay on that branch, and on the side of the
    bend where the root is. The result is 0 where there is no root, or nothing left: closing such a
    position costs more than the equity.
    """
    side = np.where(q > w, 1.0, -1.0)
    wanted = side * (q - w)
    possible = np.isfinite(c)
    c = np.where(possible, c, 0.0)
    square, cube = 1.0 + side * q * c, side * q * k
    bends = cube < -1e-30  # else so far away that it does not matter
    bend = np.where(bends, square / np.where(bends, -3.0 * cube, 1.0), np.inf)
    early = 2.0 / 3.0 * square * bend * bend >= wanted
    limit = np.where(early, bend, 2.0 * bend)
    x = np.where(early, np.minimum(np.sqrt(wanted / square), bend), bend)
    value, slope, twice = np.empty_like(x), np.empty_like(x), 2.0 * square
    for _ in range(_NEWTON):  # in place: new arrays would take longer than the arithmetic
        np.multiply(cube, x, out=slope)
        np.add(slope, square, out=value)
        value *= x
        value *= x
        value -= wanted
        slope *= 3.0
        slope += twice
        slope *= x
        slope[slope <= 0.0] = np.inf
        value /= slope
        x -= value
        np.minimum(x, limit, out=x)
    residual = (cube * x + square) * x * x - wanted
    possible &= np.abs(residual) <= 1e-9 * (1.0 + wanted)
    traded = x * x
    return np.where(possible, np.maximum(1.0 - (c + k * x) * traded, 0.0), 0.0)


def bar_growth(prices: BarPrices, previous: ArrayLike, target: ArrayLike, costs: CostConfig) -> F64:
    """Return the growth of equity over one bar; see `bar_outcome`."""
    return bar_outcome(prices, previous, target, costs).growth


def prices_of(
    open_: Annotated[F64, "bars"], close: Annotated[F64, "bars"], years: Annotated[F64, "bars-1"]
) -> BarPrices:
    """Return the prices around each decision, for n + 1 bars of one asset.

    Parameters
    ----------
    open_, close : ndarray, shape (n + 1,)
        Prices of consecutive bars.
    years : ndarray, shape (n,)
        Calendar time between consecutive closes, in years of 365 days.

    Returns
    -------
    BarPrices
        Arrays of shape (n,); element t covers the step from close(t) to close(t + 1).
    """
    return BarPrices(open_[:-1], close[:-1], open_[1:], close[1:], years)
