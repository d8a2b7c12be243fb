"""A ledger of cash and shares: an independent check of the accounting kernel.

It counts money and shares, never fractions of equity, and does not call the kernel. Tests and the
paper trading of every run check that the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from reinforcestrategycreator_pipeline.checks import require_number
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.execution.accounting import RUIN_GROWTH
from reinforcestrategycreator_pipeline.execution.costs import BPS, CostConfig

# Trades and loans below this fraction of equity are rounding errors of the ledger.
DUST = 1e-12
_NUMBERS = ("cash", "shares", "price", "fees_paid", "debt_forgiven", "_stake")


class Trade(NamedTuple):
    """Execution of one trade.

    Attributes
    ----------
    price : float
        Fill price per share: the market price, moved against the trader by half the spread,
        slippage and impact.
    commission : float
        Commission in money, on the value at `price` and for the shares.
    """

    price: float
    commission: float


class Ledger:
    """An account with cash and shares of one asset.

    Parameters
    ----------
    cash : float
        Money at the start, > 0.
    costs : CostConfig
        Costs of trading and of carrying a position.

    Attributes
    ----------
    cash, shares : float
        Money and number of shares; negative if borrowed or sold short.
    price : float
        Latest price; 0 before the first.
    fees_paid : float
        Borrow fees, margin interest and funding paid so far, in money.
    debt_forgiven : float
        Debt of a ruined account beyond its stake, in money.
    ruined : bool
        Whether everything is lost: the position is closed, and the account stops trading.
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
        self._stake = float(cash)  # equity at the previous close, the reference for ruin

    @property
    def equity(self) -> float:
        """Cash plus the value of the shares at the latest price."""
        return self.cash + self.shares * self.price

    def open(self, price: float, years: float) -> None:
        """Charge the carrying cost of the position since the previous close; mark to the open.

        Parameters
        ----------
        price : float
            Open of the bar, > 0.
        years : float
            Time from the previous close to this bar's close, in years of 365 days, >= 0.

        Raises
        ------
        DataError
            If the price is not finite and > 0, or `years` not finite and >= 0.
        """
        _require_price("open", price)
        if not 0.0 <= years < math.inf:
            raise DataError(
                f"the years between two closes must be finite and >= 0. Got {years} instead."
            )
        # Charged on the position at the previous close: borrowed shares or borrowed money.
        short_value = max(-self.shares * self.price, 0.0)
        borrowed = -self.cash if -self.cash > DUST * self._stake else 0.0
        fee = years * (self.costs.borrow_rate * short_value + self.costs.margin_rate * borrowed)
        fee += years * self.costs.funding_rate * self.shares * self.price
        self.cash -= fee
        self.fees_paid += fee
        self._mark(price)

    def deposit(self, amount: float) -> None:
        """Pay money in, or out if negative, after the open and before the trade.

        A ruined account takes none. A payment that leaves no equity ruins the account.

        Raises
        ------
        DataError
            If the amount is not finite.
        """
        if not math.isfinite(amount):
            raise DataError(f"a deposit must be finite. Got {amount} instead.")
        if self.ruined:
            return
        self._stake += max(amount, 0.0)
        self.cash += amount
        self._mark(self.price)

    def split(self, ratio: float) -> None:
        """Give `ratio` shares for each share held, at the price of as many fewer."""
        self.shares *= ratio
        self.price /= ratio

    def trade(self, shares: float) -> Trade:
        """Buy shares (or sell, if negative) at the latest price plus costs.

        A trade that leaves no equity ruins the account.
        """
        offset = self.costs.fill_offset
        if self.costs.impact:
            offset += self.costs.impact * math.sqrt(abs(shares) * self.price / self.equity)
        price = self.price * (1.0 + math.copysign(offset, shares))
        commission = abs(shares) * price * self.costs.commission_bps * BPS
        commission += abs(shares) * self.costs.commission_per_share
        self.cash += -shares * price - commission
        self.shares += shares
        if not self.equity > 0.0:
            self._close_account()
        return Trade(price, commission)

    def close(self, price: float) -> None:
        """Mark the position to the close.

        Raises
        ------
        DataError
            If the price is not finite and > 0.
        """
        _require_price("close", price)
        self._mark(price)
        self._stake = self.equity

    def to_json(self) -> dict[str, Any]:
        """Return the account, except for its costs, as a mapping for JSON."""
        return {name: getattr(self, name) for name in (*_NUMBERS, "ruined")}

    def restore(self, mapping: Mapping[str, Any]) -> None:
        """Take over an account from the result of `to_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the mapping is not such a result.
        """
        numbers = {name: mapping[name] for name in _NUMBERS}
        ruined = mapping["ruined"]
        if not all(isinstance(x, float) and math.isfinite(x) for x in numbers.values()):
            raise ValueError(f"an account must have finite numbers. Got {numbers}")
        if not isinstance(ruined, bool) or min(numbers["price"], numbers["_stake"]) < 0.0:
            raise ValueError(f"not an account: {dict(mapping)}")
        for name, value in numbers.items():
            setattr(self, name, value)
        self.ruined = ruined

    def _mark(self, price: float) -> None:
        self.price = float(price)
        if not self.ruined and not self.equity > RUIN_GROWTH * self._stake:
            self._close_account()

    def _close_account(self) -> None:
        """Close the position, and forgive any debt beyond the stake."""
        left = RUIN_GROWTH * self._stake
        self.debt_forgiven += left - self.equity
        self.cash, self.shares, self.ruined = left, 0.0, True


def shares_to_trade(
    target: float, equity: float, shares: float, price: float, costs: CostConfig
) -> float:
    """Return the number of shares to buy (or sell, if negative) for an exposure after costs.

    With equity E, position value v, and a cost c per unit of value traded, the equity after the
    trade is E' = E - c |target E' - v|. Solved for E': (E + c v) / (1 + c target) when buying,
    (E - c v) / (1 - c target) when selling; the new position is worth target E'. With impact, E' is
    found by bisection.

    Parameters
    ----------
    target : float
        Exposure after the trade, as a fraction of equity.
    equity, shares : float
        Current equity in money at `price`, and current number of shares.
    price : float
        Price before trading costs, > 0.
    costs : CostConfig
        Costs of trading and carrying.

    Returns
    -------
    float
        Number of shares; 0 if the difference is a rounding error. If closing the position costs
        more than the equity, the position is closed.
    """
    value = shares * price
    buying = target * equity > value
    c = costs.buy_cost if buying else -costs.sell_cost
    c += math.copysign(costs.commission_per_share / price, c)
    if costs.impact:
        return _shares_with_impact(target, equity, shares, price, costs, abs(c))
    payable = equity + c * value > 0.0
    wanted = target * (equity + c * value) / (1.0 + c * target) / price if payable else 0.0
    traded = wanted - shares
    return traded if abs(traded) * price > DUST * equity else 0.0


def _shares_with_impact(
    target: float, equity: float, shares: float, price: float, costs: CostConfig, c: float
) -> float:
    """Return `shares_to_trade` where impact makes a trade dearer the larger it is."""
    value = shares * price
    side = 1.0 if target * equity > value else -1.0
    rate = costs.impact * (1.0 + side * costs.commission_bps * BPS)

    def kept(traded: float) -> float:
        return equity - c * traded - rate * traded * math.sqrt(traded / equity)

    def missing(traded: float) -> float:
        return side * (target * kept(traded) - value) - traded

    low, high = 0.0, abs(target * equity - value)
    if high <= DUST * equity:
        return 0.0
    for _ in range(60):
        if missing(high) <= 0.0:
            break
        low, high = high, 2.0 * high
    else:
        return -shares
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if missing(middle) > 0.0 else (low, middle)
    return side * high / price if kept(high) > 0.0 else -shares


def _require_price(name: str, price: float) -> None:
    if not 0.0 < price < math.inf:
        raise DataError(f"the {name} of a bar must be finite and > 0. Got {price} instead.")
