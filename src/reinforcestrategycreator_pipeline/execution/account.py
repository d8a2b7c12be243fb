"""A ledger of cash and shares: the counter-check of the accounting kernel.

It holds money and shares, never fractions of equity, and does not call the kernel; that the two
agree is tested, and shown again by the paper trading of every run.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from reinforcestrategycreator_pipeline.checks import require_number
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.execution.accounting import RUIN_GROWTH
from reinforcestrategycreator_pipeline.execution.costs import BPS, CostConfig

# Trades and loans below this share of equity are rounding of the ledger, none of either.
DUST = 1e-12


class Trade(NamedTuple):
    """What one trade was executed at.

    Attributes
    ----------
    price : float
        Per share: the ledger's price moved against the trader by half the spread and slippage.
    commission : float
        Money, on the value at `price`.
    """

    price: float
    commission: float


class Ledger:
    """Cash and shares of one asset, in money.

    Parameters
    ----------
    cash : float
        Money at the start, > 0.
    costs : CostConfig
        Of trading and carrying.

    Attributes
    ----------
    cash, shares : float
        Negative if borrowed, or sold short.
    price : float
        The newest seen; 0 before there is one.
    fees_paid : float
        Borrow fees and margin interest so far.
    debt_forgiven : float
        What a ruined account owed beyond its stake.
    ruined : bool
        Everything is lost: the position is taken away, and the account trades no more.
    """

    def __init__(self, cash: float, costs: CostConfig) -> None:
        require_number("an account", "cash", cash, above=0.0)
        self.costs = costs
        self.cash = float(cash)
        self.shares = 0.0
        self.price = 0.0
        self.fees_paid = 0.0
        self.debt_forgiven = 0.0
        self.ruined = False
        self._stake = float(cash)  # equity at the previous close, which ruin is measured by

    @property
    def equity(self) -> float:
        """Cash and the value of the shares at the newest price."""
        return self.cash + self.shares * self.price

    def open(self, price: float, years: float) -> None:
        """Charge what carrying the position cost since the previous close; mark at the open.

        Parameters
        ----------
        price : float
            The bar's open.
        years : float
            From the previous close to this bar's close, in years of 365 days.

        Raises
        ------
        DataError
            If the price is not finite and > 0, or `years` not finite and >= 0.
        """
        _require_price("open", price)
        if not 0.0 <= years < math.inf:
            raise DataError(f"the years between two closes must be finite and >= 0. Got {years}.")
        # On what was carried out of the previous close: shares lent, money borrowed.
        short_value = max(-self.shares * self.price, 0.0)
        borrowed = -self.cash if -self.cash > DUST * self._stake else 0.0
        fee = years * (self.costs.borrow_rate * short_value + self.costs.margin_rate * borrowed)
        self.cash -= fee
        self.fees_paid += fee
        self._mark(price)

    def trade(self, shares: float) -> Trade:
        """Buy shares (or sell, if negative) at the newest price and its costs.

        A trade that leaves nothing ruins the account.
        """
        offset = math.copysign(self.costs.fill_offset, shares)
        price = self.price * (1.0 + offset)
        commission = abs(shares) * price * self.costs.commission_bps * BPS
        self.cash += -shares * price - commission
        self.shares += shares
        if not self.equity > 0.0:
            self._close_account()
        return Trade(price, commission)

    def close(self, price: float) -> None:
        """Mark at the close.

        Raises
        ------
        DataError
            If the price is not finite and > 0.
        """
        _require_price("close", price)
        self._mark(price)
        self._stake = self.equity

    def _mark(self, price: float) -> None:
        self.price = float(price)
        if not self.ruined and not self.equity > RUIN_GROWTH * self._stake:
            self._close_account()

    def _close_account(self) -> None:
        """Take the position away and forgive what is owed beyond the stake."""
        left = RUIN_GROWTH * self._stake
        self.debt_forgiven += left - self.equity
        self.cash, self.shares, self.ruined = left, 0.0, True


def shares_to_trade(
    target: float, equity: float, shares: float, price: float, costs: CostConfig
) -> float:
    """Return how many shares to buy (or sell, if negative) to be exposed by `target` after costs.

    With equity E, position value v and a cost c a unit of value traded, the equity after the
    trade is E' = E - c |target E' - v|. Solved for E': (E + c v) / (1 + c target) when buying,
    (E - c v) / (1 - c target) when selling; the new position is worth target E'.

    Parameters
    ----------
    target : float
        The exposure, a fraction of equity.
    equity, shares : float
        Of the account now, at `price`.
    price : float
        At which it can trade, costs apart.
    costs : CostConfig
        Of trading.

    Returns
    -------
    float
        0 where what is missing is rounding. If closing the position costs all there is, that is
        what it says.
    """
    value = shares * price
    buying = target * equity > value
    c = costs.buy_cost if buying else -costs.sell_cost
    payable = equity + c * value > 0.0
    wanted = target * (equity + c * value) / (1.0 + c * target) / price if payable else 0.0
    traded = wanted - shares
    return traded if abs(traded) * price > DUST * equity else 0.0


def _require_price(name: str, price: float) -> None:
    if not 0.0 < price < math.inf:
        raise DataError(f"the {name} of a bar must be finite and > 0. Got {price} instead.")
