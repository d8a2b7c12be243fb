"""The contract of brokers. Inherit `BrokerContract`, override the fixture `desk`, and run.

class TestMyBroker(BrokerContract):
    @pytest.fixture
    def desk(self):
        return PaperDesk(MyBroker)  # or your own desk: the vendor's sandbox, or a fake server
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.deployment.brokers.base import (
    TRANSITIONS,
    Broker,
    Fill,
    Order,
    Orders,
    OrderUpdate,
)
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR

DAY_NS = 86_400 * 10**9


class Desk(Protocol):
    """A market that the test controls, and an account there."""

    symbol: str
    cash: float

    def connect(self) -> Broker:
        """Return a new client of the same account."""

    def trade_at(self, price: float) -> None:
        """Set the price at which the market trades from now on."""


class PaperDesk:
    """A desk for brokers that trade on a `PaperMarket`.

    Parameters
    ----------
    make : callable
        Function from a market to its broker.
    costs : CostConfig
        Costs of trading and of holding positions on the market.
    """

    def __init__(self, make: Callable[[PaperMarket], Broker], costs: CostConfig = DEAR) -> None:
        self.symbol, self.cash = "ABC", 100_000.0
        self.market = PaperMarket(self.symbol, self.cash, costs)
        self._make, self._bars = make, 0

    def connect(self) -> Broker:
        """Return a new client of the account."""
        return self._make(self.market)

    def trade_at(self, price: float) -> None:
        """End the session at this price, and open the next one at the same price."""
        self.market.close(price, self._bars * DAY_NS)
        self._bars += 1
        self.market.open(price, self._bars * DAY_NS)


def trade(broker: Broker, orders: Orders, order: Order, patience: float = 5.0) -> list[OrderUpdate]:
    """Send an order, poll until it is done, and return the updates."""
    orders.submit(order)
    updates, end = orders.poll(), time.monotonic() + patience
    while TRANSITIONS[orders.states[order.client_id]] and time.monotonic() < end:
        time.sleep(0.01)
        updates += orders.poll()
    assert not TRANSITIONS[orders.states[order.client_id]], "the order is not done"
    return updates


def fills_of(updates: list[OrderUpdate]) -> list[Fill]:
    """Return the fills among the updates."""
    return [update.fill for update in updates if update.fill is not None]


class BrokerContract:
    """The contract of a broker, one test per promise."""

    shorts = True
    """Whether the account may sell short."""

    @pytest.fixture
    def desk(self) -> Desk:
        raise NotImplementedError("override the fixture desk")

    def test_a_new_account_holds_its_cash_and_nothing_else(self, desk):
        desk.trade_at(10.0)
        broker = desk.connect()
        account = broker.account()
        assert (account.cash, account.equity) == (desk.cash, desk.cash)
        assert (account.fees, account.blocked) == (0.0, False)
        assert dict(broker.positions()) == {}
        assert list(broker.poll()) == []

    @pytest.mark.parametrize("quantity", [5.0, 0.125, -5.0])
    def test_an_order_changes_shares_and_cash_by_what_its_fills_say(self, desk, quantity):
        if quantity < 0 and not self.shorts:
            pytest.skip("this account cannot be short")
        desk.trade_at(10.0)
        broker = desk.connect()
        fills = fills_of(trade(broker, Orders(broker), Order("a", desk.symbol, quantity)))
        assert sum(fill.quantity for fill in fills) == pytest.approx(quantity)
        assert dict(broker.positions()) == {desk.symbol: pytest.approx(quantity)}
        for fill in fills:
            assert isinstance(fill.time, int)
            assert fill.price == pytest.approx(10.0, rel=0.1)
            assert fill.commission >= 0.0
        account = broker.account()
        flows = sum(fill.cash_flow for fill in fills)
        assert account.cash == pytest.approx(desk.cash + flows - account.fees, rel=1e-9)
        assert account.equity == pytest.approx(account.cash + quantity * 10.0, rel=1e-9)

    def test_equity_follows_the_market(self, desk):
        desk.trade_at(10.0)
        broker = desk.connect()
        trade(broker, Orders(broker), Order("a", desk.symbol, 100.0))
        desk.trade_at(25.0)
        account = broker.account()
        assert account.equity == pytest.approx(account.cash + 2500.0, rel=1e-9)

    def test_cash_and_shares_are_conserved(self, desk):
        rng = np.random.default_rng(0)
        broker = desk.connect()
        orders, fills, held, spent = Orders(broker), [], 0.0, 0.0
        for i, price in enumerate(20.0 * np.exp(np.cumsum(rng.normal(0, 0.05, 40)))):
            desk.trade_at(float(price))
            low = -200.0 if self.shorts else 0.0
            quantity = float(rng.uniform(low, 800.0)) - held
            fills += fills_of(trade(broker, orders, Order(f"order-{i}", desk.symbol, quantity)))
            held += quantity
            account = broker.account()
            cash = desk.cash + sum(fill.cash_flow for fill in fills) - account.fees
            assert account.cash == pytest.approx(cash, rel=1e-9)
            assert broker.positions()[desk.symbol] == pytest.approx(held, rel=1e-9)
            assert account.fees >= spent  # nothing is paid to the trader as a fee
            spent = account.fees
        assert [fill.time for fill in fills] == sorted(fill.time for fill in fills)

    def test_a_position_that_was_closed_is_left_out(self, desk):
        desk.trade_at(10.0)
        broker = desk.connect()
        orders = Orders(broker)
        trade(broker, orders, Order("in", desk.symbol, 8.0))
        trade(broker, orders, Order("out", desk.symbol, -8.0))
        assert dict(broker.positions()) == {}

    def test_every_update_is_told_once(self, desk):
        desk.trade_at(10.0)
        broker = desk.connect()
        trade(broker, Orders(broker), Order("a", desk.symbol, 1.0))
        assert list(broker.poll()) == []

    def test_an_order_that_is_sent_twice_is_one_order(self, desk):
        desk.trade_at(10.0)
        broker, order = desk.connect(), Order("a", desk.symbol, 3.0)
        orders = Orders(broker)
        orders.submit(order)
        trade(broker, orders, order)
        orders.submit(order)
        orders.poll()
        assert broker.positions()[desk.symbol] == pytest.approx(3.0)

    def test_a_new_client_finds_the_account_and_knows_the_orders(self, desk):
        desk.trade_at(10.0)
        broker, order = desk.connect(), Order("a", desk.symbol, 3.0)
        trade(broker, Orders(broker), order)
        again = desk.connect()
        assert dict(again.positions()) == dict(broker.positions())
        assert again.account() == broker.account()
        again.submit(order)  # as a client would after a restart that lost its state
        again.poll()
        assert again.positions()[desk.symbol] == pytest.approx(3.0)

    def test_orders_are_told_apart(self, desk):
        desk.trade_at(10.0)
        broker = desk.connect()
        orders = Orders(broker)
        orders.submit(Order("a", desk.symbol, 3.0))
        second = trade(broker, orders, Order("b", desk.symbol, 4.0))
        filled = [update.client_id for update in second if update.state == "filled"]
        assert filled == ["a", "b"]
        assert broker.positions()[desk.symbol] == pytest.approx(7.0)

    def test_an_order_that_is_refused_is_told_with_the_reason_and_changes_nothing(self, desk):
        desk.trade_at(10.0)
        broker = desk.connect()
        updates = trade(broker, Orders(broker), Order("a", "NO-SUCH-SYMBOL", 1.0))
        assert updates[-1].state == "rejected"
        assert updates[-1].reason
        assert broker.account().cash == desk.cash
        assert dict(broker.positions()) == {}

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_no_order_comes_from_a_number_that_is_not_finite(self, desk, bad):
        desk.trade_at(10.0)
        broker = desk.connect()
        with pytest.raises(NonFiniteError):
            broker.submit(Order("a", desk.symbol, bad))
        assert dict(broker.positions()) == {}
