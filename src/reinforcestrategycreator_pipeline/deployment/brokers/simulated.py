"""The simulated broker: a ledger of cash and shares behind the protocol of all brokers."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.deployment.brokers.base import (
    Account,
    Fill,
    Order,
    OrderError,
    OrderUpdate,
)
from reinforcestrategycreator_pipeline.execution.account import Ledger
from reinforcestrategycreator_pipeline.execution.costs import SECONDS_PER_YEAR, CostConfig


class PaperMarket:
    """One asset's market as a loop plays it, and an account that trades there on paper.

    Prices become known by `close` and `open`, in turn; a close comes first. An order fills whole
    at the newest price of the session, or else at the next open.

    Parameters
    ----------
    symbol : str
        The asset.
    cash : float
        Money of the account at the start, > 0.
    costs : CostConfig
        Of trading and carrying.

    Attributes
    ----------
    ledger : Ledger
        The account.
    """

    def __init__(self, symbol: str, cash: float, costs: CostConfig) -> None:
        self.symbol = symbol
        self.ledger = Ledger(cash, costs)
        self._time = 0  # of the newest bar, which its close names
        self._in_session: bool | None = None  # None: no price is known yet
        self._known: set[str] = set()
        self._waiting: list[Order] = []
        self._updates: list[OrderUpdate] = []

    def close(self, price: float, time: int) -> None:
        """Close the bar whose stamp is `time`, nanoseconds since 1970 UTC.

        Raises
        ------
        DataError
            If the price is not finite and > 0.
        OrderError
            If this bar has not opened; the first one need not.
        """
        if self._in_session is not None and not (self._in_session and time == self._time):
            raise OrderError("a bar closes that has not opened")
        self.ledger.close(price)
        self._time, self._in_session = time, False

    def open(self, price: float, time: int) -> None:
        """Open the bar that will close at `time`, and fill what was ordered since the last close.

        Raises
        ------
        DataError
            If the price is not finite and > 0, or the bar ends before the last one.
        OrderError
            If the bar before has not closed.
        """
        if self._in_session is not False:
            raise OrderError("a bar opens before the one before it has closed")
        self.ledger.open(price, (time - self._time) / 1e9 / SECONDS_PER_YEAR)
        self._time, self._in_session = time, True
        waiting, self._waiting = self._waiting, []
        for order in waiting:
            self._execute(order)

    def take(self, order: Order) -> None:
        """Fill an order, let it wait for the next open, or reject it; know it if it comes again."""
        if order.client_id in self._known:
            return
        self._known.add(order.client_id)
        if order.symbol != self.symbol:
            self._reject(order, f"this account trades {self.symbol} only")
        elif self._in_session or self.ledger.ruined:
            self._execute(order)
        else:
            self._waiting.append(order)
            self._updates.append(OrderUpdate(order.client_id, "accepted"))

    def updates(self) -> list[OrderUpdate]:
        """Return what happened to the orders since the last call."""
        found, self._updates = self._updates, []
        return found

    def _execute(self, order: Order) -> None:
        if self.ledger.ruined:
            self._reject(order, "the account is ruined and trades no more")
            return
        trade = self.ledger.trade(order.quantity)
        fill = Fill(self._time, order.quantity, trade.price, trade.commission)
        self._updates.append(OrderUpdate(order.client_id, "filled", fill))

    def _reject(self, order: Order, reason: str) -> None:
        self._updates.append(OrderUpdate(order.client_id, "rejected", reason=reason))


class SimulatedBroker:
    """Trades on a paper market: every order fills whole, at the market's costs.

    Parameters
    ----------
    market : PaperMarket
        Whose account it is.
    """

    def __init__(self, market: PaperMarket) -> None:
        self._market = market

    def submit(self, order: Order) -> None:
        """Send an order."""
        self._market.take(order)

    def poll(self) -> list[OrderUpdate]:
        """Return what happened since the last call."""
        return self._market.updates()

    def positions(self) -> dict[str, float]:
        """Return the shares held."""
        shares = self._market.ledger.shares
        return {self._market.symbol: shares} if shares else {}

    def account(self) -> Account:
        """Return the account's money."""
        ledger = self._market.ledger
        return Account(ledger.cash, ledger.equity, ledger.fees_paid, ledger.ruined)
