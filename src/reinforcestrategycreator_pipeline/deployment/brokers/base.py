"""What a broker is: one that takes orders, says what became of them, and knows the account.

Nothing here knows of bars or target exposures: a loop turns targets into quantities, at a moment
at which it knows equity and price, so that an account at any vendor can stand behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

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
"""State of an order -> the states that may follow. Where none may, the order is done."""


class OrderError(RscError, ValueError):
    """An order, an update or a market event that does not fit what was before."""


@dataclass(frozen=True)
class Order:
    """Buy or sell at the market's next price.

    Attributes
    ----------
    client_id : str
        Made by whoever orders, the same whenever it is the same order: a broker that is sent it
        twice, after a lost connection or a restart, executes it once.
    symbol : str
        The asset.
    quantity : float
        Shares to buy, > 0, or to sell, < 0; fractions are possible.
    """

    client_id: str
    symbol: str
    quantity: float

    def __post_init__(self) -> None:
        require(bool(self.client_id), "an order", "client_id", "a non-empty text", self.client_id)
        if not math.isfinite(self.quantity):
            raise NonFiniteError(f"the quantity {self.quantity} is not finite; no order is made")
        require(self.quantity != 0.0, "an order", "quantity", "other than 0", self.quantity)
        object.__setattr__(self, "quantity", float(self.quantity))  # a NumPy scalar is no text


class Fill(NamedTuple):
    """One execution of an order, or of a part of it.

    Attributes
    ----------
    time : int
        Nanoseconds since 1970 UTC.
    quantity : float
        Shares bought, > 0, or sold, < 0.
    price : float
        Per share, > 0.
    commission : float
        Money, >= 0.
    """

    time: int
    quantity: float
    price: float
    commission: float = 0.0

    @property
    def cash_flow(self) -> float:
        """What the fill adds to cash; negative if bought."""
        return -self.quantity * self.price - self.commission


class OrderUpdate(NamedTuple):
    """What a broker says of one order.

    Attributes
    ----------
    client_id : str
        The order.
    state : str
        The new one; a key of `TRANSITIONS`.
    fill : Fill, optional
        What was executed since the update before. "partially_filled" and "filled" have one,
        "canceled" and "expired" may.
    reason : str
        Why, if the order was rejected or came to nothing.
    """

    client_id: str
    state: OrderState
    fill: Fill | None = None
    reason: str = ""


class Account(NamedTuple):
    """Money.

    Attributes
    ----------
    cash : float
        Negative if borrowed.
    equity : float
        Cash and the value of all positions at the newest prices.
    fees : float
        Borrow fees and interest charged so far, as far as the broker tells.
    blocked : bool
        The account takes no orders any more, as it is ruined or closed.
    """

    cash: float
    equity: float
    fees: float = 0.0
    blocked: bool = False


class Broker(Protocol):
    """An account that can be traded.

    Calls return at once: what became of an order is learned by `poll`. A connection that fails
    raises; whoever called may call again. `testing.broker_contract` holds what every broker does.
    """

    def submit(self, order: Order) -> None:
        """Send an order. One whose client id was sent before is not sent again.

        An order that the broker refuses is no exception: `poll` reports it as rejected.
        """

    def poll(self) -> Sequence[OrderUpdate]:
        """Return what happened to the orders since the last call, oldest first."""
        ...

    def positions(self) -> Mapping[str, float]:
        """Return the shares held, by symbol; negative if short. What is not held is left out."""
        ...

    def account(self) -> Account:
        """Return the money in the account now."""
        ...


class Orders:
    """The orders sent to one broker; what it says of them is held to `TRANSITIONS`.

    Parameters
    ----------
    broker : Broker
        Whom to send them to.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sent: dict[str, Order] = {}
        self._left: dict[str, float] = {}
        self.states: dict[str, OrderState] = {}

    def submit(self, order: Order) -> None:
        """Send an order; the very same one may be sent again.

        Raises
        ------
        OrderError
            If another order has its client id.
        """
        if self._sent.setdefault(order.client_id, order) != order:
            raise OrderError(f"the client id {order.client_id!r} belongs to another order")
        self._left.setdefault(order.client_id, order.quantity)
        self.states.setdefault(order.client_id, "submitted")
        self._broker.submit(order)

    def poll(self) -> list[OrderUpdate]:
        """Return the broker's updates, checked.

        Raises
        ------
        OrderError
            If an update is of no order of ours, its state cannot follow the one before, or what
            was filled is more than was ordered, or less in an order that is said to be done.
        """
        updates = list(self._broker.poll())
        for update in updates:
            self._apply(update)
        return updates

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
            raise OrderError(f"order {name!r} of {size} shares became {state!r}, {left} are left")
        self._left[name] = left
        self.states[name] = state
