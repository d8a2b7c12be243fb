"""Brokers in terms of bars, and the simulated one: a ledger of cash and shares.

The ledger is the counter-check of the accounting kernel. It holds money and shares, never
fractions of equity, and does not call the kernel; that the two agree is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from reinforcestrategycreator_pipeline.checks import require_number
from reinforcestrategycreator_pipeline.errors import DataError, NonFiniteError, RscError
from reinforcestrategycreator_pipeline.execution.accounting import RUIN_GROWTH
from reinforcestrategycreator_pipeline.execution.costs import BPS, CostConfig
from reinforcestrategycreator_pipeline.registry import Registry

# Trades and loans below this share of equity are rounding of the ledger, none of either.
DUST = 1e-12


class OrderError(RscError, ValueError):
    """An order or an event that the account cannot accept."""


@dataclass(frozen=True)
class Fill:
    """One executed order.

    Attributes
    ----------
    time : float
        Close time of the bar at whose open it filled, seconds since 1970 UTC.
    side : str
        "buy" or "sell".
    shares : float
        How many, > 0; fractions of a share are possible.
    price : float
        Per share, the open moved against the trader by half the spread and slippage.
    commission : float
        Money, on shares * price.
    open : float
        The bar's open.
    target : float
        The exposure that was ordered.
    """

    time: float
    side: str
    shares: float
    price: float
    commission: float
    open: float
    target: float

    @property
    def signed_shares(self) -> float:
        """Shares, negative if sold."""
        return self.shares if self.side == "buy" else -self.shares

    @property
    def cash_flow(self) -> float:
        """What the fill adds to cash; negative if bought."""
        return -self.signed_shares * self.price - self.commission

    @property
    def cost(self) -> float:
        """Commission and the distance of the fill from the open, in money."""
        return self.shares * abs(self.price - self.open) + self.commission


class Broker(Protocol):
    """One account that trades one asset, told of the bars as they happen.

    The order of events is `submit_target` after a close, then `on_open` and `on_close` of the
    next bar. `testing.broker_contract` holds what every broker must do.
    """

    @property
    def cash(self) -> float:
        """Money in the account; negative if borrowed."""

    @property
    def shares(self) -> float:
        """Shares held; negative if short."""

    @property
    def equity(self) -> float:
        """Cash and the value of the shares at the newest price seen."""

    @property
    def fees_paid(self) -> float:
        """Borrow fees and margin interest so far, in money."""

    @property
    def debt_forgiven(self) -> float:
        """What a ruined account owed beyond its stake, in money."""

    @property
    def ruined(self) -> bool:
        """Whether the account lost everything; it trades no more."""

    @property
    def fills(self) -> Sequence[Fill]:
        """Every fill so far, in order."""

    def submit_target(self, exposure: float) -> None:
        """Order that the exposure be `exposure`, a fraction of equity, after the next open.

        A second order before that open replaces the first. Refused: what is not finite, and any
        order of a ruined account.
        """

    def on_open(self, price: float, *, time: float, years: float) -> Fill | None:
        """Process a bar's open: charge what carrying cost, then fill the order, if there is one.

        Parameters
        ----------
        price : float
            The bar's open.
        time : float
            Close time of the bar, seconds since 1970 UTC: the bar's name.
        years : float
            Calendar time from the previous close to this bar's close, in years of 365 days, for
            which borrow fees and margin interest are charged.
        """

    def on_close(self, price: float) -> float:
        """Process the bar's close; return the equity."""


BROKERS: Registry[Callable[[float, CostConfig], Broker]] = Registry(
    "broker", ("submit_target", "on_open", "on_close")
)


@BROKERS.register("simulated")
class SimulatedBroker:
    """Fills every order at the next open, at the configured costs.

    Parameters
    ----------
    cash : float
        Money at the start, > 0.
    costs : CostConfig
        Of trading and carrying.
    """

    def __init__(self, cash: float, costs: CostConfig) -> None:
        require_number("SimulatedBroker", "cash", cash, above=0.0)
        self.costs = costs
        self.cash = float(cash)
        self.shares = 0.0
        self.fees_paid = 0.0
        self.debt_forgiven = 0.0
        self.ruined = False
        self.fills: list[Fill] = []
        self._pending: float | None = None
        self._price = 0.0  # the newest seen; there are no shares before there is one
        self._stake = float(cash)  # equity at the previous close, which ruin is measured by
        self._in_session = False

    @property
    def equity(self) -> float:
        """Cash and the value of the shares at the newest price seen."""
        return self.cash + self.shares * self._price

    @property
    def pending_target(self) -> float | None:
        """The exposure that is ordered for the next open."""
        return self._pending

    def submit_target(self, exposure: float) -> None:
        """Order an exposure for the next open; see `Broker.submit_target`.

        Raises
        ------
        NonFiniteError
            If the exposure is not finite.
        OrderError
            If the account is ruined, or the bar has not closed.
        """
        if not math.isfinite(exposure):
            raise NonFiniteError(f"the target exposure {exposure} is not finite; no order is made")
        if self.ruined:
            raise OrderError("the account is ruined and trades no more; the order is refused")
        if self._in_session:
            raise OrderError("an order is placed after the close; this bar has not closed")
        self._pending = float(exposure)

    def on_open(self, price: float, *, time: float, years: float) -> Fill | None:
        """Charge fees, mark at the open, fill the order; see `Broker.on_open`.

        Raises
        ------
        DataError
            If the price is not finite and > 0, or `years` not finite and >= 0.
        OrderError
            If the bar before has not closed.
        """
        _require_price("open", price)
        if not 0.0 <= years < math.inf:
            raise DataError(f"the years between two closes must be finite and >= 0. Got {years}.")
        if self._in_session:
            raise OrderError("on_open was called twice without an on_close between")
        self._in_session = True
        # On what was carried out of the previous close: shares lent, money borrowed.
        short_value = max(-self.shares * self._price, 0.0)
        borrowed = -self.cash if -self.cash > DUST * self._stake else 0.0
        fee = years * (self.costs.borrow_rate * short_value + self.costs.margin_rate * borrowed)
        self.cash -= fee
        self.fees_paid += fee
        self._price = float(price)
        target, self._pending = self._pending, None
        if self._is_ruined():
            self._close_account()
            return None
        if target is None:
            return None
        return self._fill(target, time)

    def _fill(self, target: float, time: float) -> Fill | None:
        """Trade so that the exposure after costs is `target`.

        With equity E, position value v and a cost c a unit of value traded, the equity after the
        fill is E' = E - c |target E' - v|. Solved for E': (E + c v) / (1 + c target) when buying,
        (E - c v) / (1 - c target) when selling; the new position is worth target E'.
        """
        open_, equity, value = self._price, self.equity, self.shares * self._price
        buying = target * equity > value
        c = self.costs.buy_cost if buying else -self.costs.sell_cost
        payable = equity + c * value > 0.0  # else closing the position costs all there is
        wanted = target * (equity + c * value) / (1.0 + c * target) / open_ if payable else 0.0
        traded = wanted - self.shares
        if abs(traded) * open_ <= DUST * equity:
            return None
        offset = self.costs.fill_offset if buying else -self.costs.fill_offset
        price = open_ * (1.0 + offset)
        commission = abs(traded) * price * self.costs.commission_bps * BPS
        fill = Fill(
            time=float(time),
            side="buy" if buying else "sell",
            shares=abs(traded),
            price=price,
            commission=commission,
            open=open_,
            target=target,
        )
        self.cash += fill.cash_flow
        self.shares = wanted
        self.fills.append(fill)
        if not payable:
            self._close_account()
        return fill

    def on_close(self, price: float) -> float:
        """Mark at the close; see `Broker.on_close`.

        Raises
        ------
        DataError
            If the price is not finite and > 0.
        OrderError
            If the bar has not opened.
        """
        _require_price("close", price)
        if not self._in_session:
            raise OrderError("on_close was called without an on_open before")
        self._in_session = False
        self._price = float(price)
        if self._is_ruined():
            self._close_account()
        self._stake = self.equity
        return self._stake

    def _is_ruined(self) -> bool:
        return not self.ruined and not self.equity > RUIN_GROWTH * self._stake

    def _close_account(self) -> None:
        """Take the position away and forgive what is owed beyond the stake."""
        left = RUIN_GROWTH * self._stake
        self.debt_forgiven += left - self.equity
        self.cash, self.shares = left, 0.0
        self.ruined, self._pending = True, None


def _require_price(name: str, price: float) -> None:
    if not 0.0 < price < math.inf:
        raise DataError(f"the {name} of a bar must be finite and > 0. Got {price} instead.")
