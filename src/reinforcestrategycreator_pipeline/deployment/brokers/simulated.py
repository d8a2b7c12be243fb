"""The simulated broker: a ledger of cash and shares behind the broker protocol."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

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
    """The replayed market of one asset, and an account that trades there on paper.

    Calls to `close` and `open` alternate, beginning with a close, and make prices known. An order
    is filled completely, at the latest price of the session or at the next open.

    Parameters
    ----------
    symbol : str
        Symbol of the asset.
    cash : float
        Initial cash of the account, in money, > 0.
    costs : CostConfig
        Costs of trading and of holding positions.

    Attributes
    ----------
    ledger : Ledger
        Cash, shares and costs of the account.
    """

    def __init__(self, symbol: str, cash: float, costs: CostConfig) -> None:
        self.symbol = symbol
        self.ledger = Ledger(cash, costs)
        self._time = 0  # close time of the newest bar
        self._in_session: bool | None = None  # None until a price is known
        self._known: dict[str, None] = {}  # a set in order
        self._waiting: list[Order] = []
        self._updates: list[OrderUpdate] = []

    def close(self, price: float, time: int) -> None:
        """Close the bar with the timestamp `time`, in nanoseconds since 1970 UTC.

        Raises
        ------
        DataError
            If the price is not finite and > 0.
        OrderError
            If the bar has not opened; the first bar need not.
        """
        if self._in_session is not None and not (self._in_session and time == self._time):
            raise OrderError("a bar must open before it closes")
        self.ledger.close(price)
        self._time, self._in_session = time, False

    def open(self, price: float, time: int) -> None:
        """Open the bar that will close at `time`, and fill the orders since the last close.

        Raises
        ------
        DataError
            If the price is not finite and > 0, or if the bar ends before the previous one.
        OrderError
            If the previous bar has not closed.
        """
        if self._in_session is not False:
            raise OrderError("a bar must close before the next one opens")
        self.ledger.open(price, (time - self._time) / 1e9 / SECONDS_PER_YEAR)
        self._time, self._in_session = time, True
        waiting, self._waiting = self._waiting, []
        for order in waiting:
            self._execute(order)

    def equity_at_open(self, price: float, time: int) -> float | None:
        """Return what the account will be worth at an open, before it is opened.

        Returns
        -------
        float or None
            Money; None if the account is ruined, or will be by the gap before that open.
        """
        ledger = copy.copy(self.ledger)
        ledger.open(price, (time - self._time) / 1e9 / SECONDS_PER_YEAR)
        return None if ledger.ruined else ledger.equity

    def deposit(self, amount: float) -> None:
        """Pay money into the account in a session, or out if negative.

        Raises
        ------
        DataError
            If the amount is not finite.
        OrderError
            If no bar is open.
        """
        if not self._in_session:
            raise OrderError("money moves only after a bar has opened and before it closes")
        self.ledger.deposit(amount)

    def split(self, ratio: float) -> None:
        """Give `ratio` shares for each share held, between two sessions.

        Raises
        ------
        OrderError
            If a bar is open.
        """
        if self._in_session:
            raise OrderError(
                "shares are split after a bar has closed and before the next one opens"
            )
        self.ledger.split(ratio)
        self._waiting = [replace(order, quantity=order.quantity * ratio) for order in self._waiting]

    def take(self, order: Order) -> None:
        """Fill an order, queue it for the next open, or reject it; ignore a repeated order."""
        if order.client_id in self._known:
            return
        self._known[order.client_id] = None
        if order.symbol != self.symbol:
            self._reject(order, f"this account trades {self.symbol} only")
        elif self._in_session or self.ledger.ruined:
            self._execute(order)
        else:
            self._waiting.append(order)
            self._updates.append(OrderUpdate(order.client_id, "accepted"))

    def updates(self) -> list[OrderUpdate]:
        """Return the updates since the last call."""
        found, self._updates = self._updates, []
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the market and its account as a mapping for JSON."""
        return {
            "symbol": self.symbol,
            "costs": asdict(self.ledger.costs),
            "ledger": self.ledger.to_json(),
            "time": self._time,
            "in_session": self._in_session,
            "known": list(self._known),
            "waiting": [asdict(order) for order in self._waiting],
            "updates": [[*update] for update in self._updates],
        }

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> PaperMarket:
        """Restore a market from the result of `to_json`.

        Raises
        ------
        ConfigError, KeyError, TypeError, ValueError
            If the mapping is not such a result.
        """
        market = cls(str(mapping["symbol"]), 1.0, CostConfig(**mapping["costs"]))
        market.ledger.restore(mapping["ledger"])
        time, in_session = mapping["time"], mapping["in_session"]
        if type(time) is not int or in_session not in (None, True, False):
            raise ValueError(f"not the session of a market: {time!r}, {in_session!r}")
        market._time, market._in_session = time, in_session
        market._known = dict.fromkeys(map(str, mapping["known"]))
        market._waiting = [Order(**order) for order in mapping["waiting"]]
        for name, state, fill, reason in mapping["updates"]:
            executed = None if fill is None else Fill(*fill)
            market._updates.append(OrderUpdate(str(name), state, executed, str(reason)))
        return market

    def _execute(self, order: Order) -> None:
        if self.ledger.ruined:
            self._reject(order, "the account is ruined and cannot trade")
            return
        trade = self.ledger.trade(order.quantity)
        fill = Fill(self._time, order.quantity, trade.price, trade.commission)
        self._updates.append(OrderUpdate(order.client_id, "filled", fill))

    def _reject(self, order: Order, reason: str) -> None:
        self._updates.append(OrderUpdate(order.client_id, "rejected", reason=reason))


class SimulatedBroker:
    """Trade on a paper market, where every order fills completely at the market's costs.

    Parameters
    ----------
    market : PaperMarket
        Market that holds the account.
    """

    def __init__(self, market: PaperMarket) -> None:
        self._market = market

    def submit(self, order: Order) -> None:
        """Send an order."""
        self._market.take(order)

    def poll(self) -> list[OrderUpdate]:
        """Return the updates since the last call."""
        return self._market.updates()

    def positions(self) -> dict[str, float]:
        """Return the shares held."""
        shares = self._market.ledger.shares
        return {self._market.symbol: shares} if shares else {}

    def account(self) -> Account:
        """Return the current money in the account."""
        ledger = self._market.ledger
        return Account(ledger.cash, ledger.equity, ledger.fees_paid, ledger.ruined)
