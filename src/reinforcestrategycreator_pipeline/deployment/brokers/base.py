"""The protocol of brokers: submit orders, report updates on them, know the account.

Nothing here knows of bars or target exposures. The trading loop converts targets into quantities
when equity and price are known, so an account at any vendor can implement the protocol.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from reinforcestrategycreator_pipeline.checks import require
from reinforcestrategycreator_pipeline.errors import NonFiniteError, RscError

OrderState = Literal[
    "submitted", "accepted", "partially_filled", "filled", "canceled", "expired", "rejected"
]

TRANSITIONS: Mapping[OrderState, frozenset[OrderState]] = {
    "submitted": frozenset(
        ("accepted", "partially_filled", "filled", "canceled", "expired", "rejected")
    ),
    "accepted": frozenset(("partially_filled", "filled", "canceled", "expired", "rejected")),
    "partially_filled": frozenset(("partially_filled", "filled", "canceled", "expired")),
    "filled": frozenset(),
    "canceled": frozenset(),
    "expired": frozenset(),
    "rejected": frozenset(),
}
"""States that may follow each state of an order; an order without a next state is done."""


class OrderError(RscError, ValueError):
    """An order, an update or a market event that contradicts an earlier one."""


@dataclass(frozen=True)
class Order:
    """A market order: buy or sell at the next price.

    Attributes
    ----------
    client_id : str
        Identifier chosen by the sender. A broker executes an identifier once, even if the order
        is sent again after a lost connection or a restart.
    symbol : str
        Symbol of the asset.
    quantity : float
        Number of shares to buy (> 0) or to sell (< 0); may be fractional.
    """

    client_id: str
    symbol: str
    quantity: float

    def __post_init__(self) -> None:
        require(bool(self.client_id), "an order", "client_id", "a non-empty text", self.client_id)
        if not math.isfinite(self.quantity):
            raise NonFiniteError(f"the quantity {self.quantity} is not finite; no order is created")
        require(self.quantity != 0.0, "an order", "quantity", "other than 0", self.quantity)
        object.__setattr__(self, "quantity", float(self.quantity))  # NumPy scalars print otherwise


class Fill(NamedTuple):
    """One execution of an order or of a part of it.

    Attributes
    ----------
    time : int
        Time of the execution, in nanoseconds since 1970 UTC.
    quantity : float
        Number of shares bought (> 0) or sold (< 0).
    price : float
        Price per share, > 0.
    commission : float
        Commission in money, >= 0.
    """

    time: int
    quantity: float
    price: float
    commission: float = 0.0

    @property
    def cash_flow(self) -> float:
        """Change of cash by the fill; negative for a purchase."""
        return -self.quantity * self.price - self.commission


class OrderUpdate(NamedTuple):
    """A broker's report on one order.

    Attributes
    ----------
    client_id : str
        Identifier of the order.
    state : str
        New state of the order; a key of `TRANSITIONS`.
    fill : Fill, optional
        Execution since the previous update: required for "partially_filled" and "filled", possible
        for "canceled" and "expired".
    reason : str
        Explanation of a rejected, canceled or expired order.
    """

    client_id: str
    state: OrderState
    fill: Fill | None = None
    reason: str = ""


class Account(NamedTuple):
    """The money in an account.

    Attributes
    ----------
    cash : float
        Cash in money; negative if borrowed.
    equity : float
        Cash plus the value of all positions at the latest prices.
    fees : float
        Borrow fees and interest charged so far, in money, if the broker reports them.
    blocked : bool
        Whether the account accepts no more orders, because it is ruined or closed.
    """

    cash: float
    equity: float
    fees: float = 0.0
    blocked: bool = False


class Broker(Protocol):
    """An account that can be traded.

    Calls return immediately; `poll` reports the outcome of orders. A failed connection raises, and
    the call may be repeated. `testing.broker_contract` tests what every broker must do.
    """

    def submit(self, order: Order) -> None:
        """Send an order, unless an order with the same client ID was sent before.

        A rejected order does not raise: `poll` reports it as rejected.
        """

    def poll(self) -> Sequence[OrderUpdate]:
        """Return the updates since the last call, oldest first."""
        ...

    def positions(self) -> Mapping[str, float]:
        """Return the shares held, by symbol; negative if short. Symbols not held are omitted."""
        ...

    def account(self) -> Account:
        """Return the current money in the account."""
        ...


class Orders:
    """The orders sent to one broker; its updates are checked against `TRANSITIONS`.

    Parameters
    ----------
    broker : Broker
        Broker that receives the orders.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sent: dict[str, Order] = {}
        self._left: dict[str, float] = {}
        self.states: dict[str, OrderState] = {}

    def submit(self, order: Order) -> None:
        """Send an order; sending the same order again has no effect.

        Raises
        ------
        OrderError
            If a different order has the same client ID.
        """
        if self._sent.setdefault(order.client_id, order) != order:
            raise OrderError(f"the client ID {order.client_id!r} belongs to a different order")
        self._left.setdefault(order.client_id, order.quantity)
        self.states.setdefault(order.client_id, "submitted")
        self._broker.submit(order)

    def poll(self) -> list[OrderUpdate]:
        """Return the broker's updates, checked.

        Raises
        ------
        OrderError
            If an update names an order that was never sent, if its state cannot follow the
            previous one, or if the filled quantity exceeds the order, or falls short of it although
            the order is reported as filled.
        """
        updates = list(self._broker.poll())
        for update in updates:
            self._apply(update)
        return updates

    def forget_done(self) -> None:
        """Drop the orders that no update can change any more, which would only grow in number."""
        for name in [name for name, state in self.states.items() if not TRANSITIONS[state]]:
            del self._sent[name], self._left[name], self.states[name]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the orders and their states as a list for JSON."""
        return [
            {
                "client_id": name,
                "symbol": order.symbol,
                "quantity": order.quantity,
                "left": self._left[name],
                "state": self.states[name],
            }
            for name, order in self._sent.items()
        ]

    def restore(self, saved: Iterable[Mapping[str, Any]]) -> None:
        """Take over orders from the result of `to_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is not such a result.
        """
        for one in saved:
            order = Order(str(one["client_id"]), str(one["symbol"]), float(one["quantity"]))
            if one["state"] not in TRANSITIONS:
                raise ValueError(f"an order cannot be {one['state']!r}")
            self._sent[order.client_id] = order
            self._left[order.client_id] = float(one["left"])
            self.states[order.client_id] = one["state"]

    def _apply(self, update: OrderUpdate) -> None:
        name, state = update.client_id, update.state
        if name not in self.states:
            raise OrderError(f"the broker reports an order {name!r} that was never sent")
        before = self.states[name]
        if state not in TRANSITIONS[before]:
            raise OrderError(f"order {name!r} cannot become {state!r}: it is {before!r}")
        left = self._left[name]
        if update.fill is not None:
            left -= update.fill.quantity
        size = self._sent[name].quantity
        done, rounding = abs(size - left), 1e-9 * abs(size)
        if (
            (update.fill is None and state in ("partially_filled", "filled"))
            or (update.fill is not None and state in ("accepted", "rejected"))
            or (state == "filled" and abs(left) > rounding)
            or done > abs(size) + rounding
            or abs(left) > abs(size) + rounding
        ):
            raise OrderError(f"order {name!r} of {size} shares became {state!r} with {left} left")
        self._left[name] = left
        self.states[name] = state
