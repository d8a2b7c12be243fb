import itertools

import pytest

from reinforcestrategycreator_pipeline.deployment.brokers.base import (
    TRANSITIONS,
    Fill,
    Order,
    OrderError,
    Orders,
    OrderUpdate,
)
from reinforcestrategycreator_pipeline.deployment.brokers.catalog import BROKERS
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.testing.broker_contract import BrokerContract, PaperDesk
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, FREE


class TestSimulatedBroker(BrokerContract):
    @pytest.fixture
    def desk(self):
        return PaperDesk(BROKERS.get("simulated"))


def test_the_register_offers_the_nearest_name():
    with pytest.raises(ConfigError, match=r"unknown broker 'simulatd'\. Did you mean 'sim"):
        BROKERS.get("simulatd")


def test_an_order_between_sessions_waits_for_the_next_open():
    market = PaperMarket("A", 1000.0, FREE)
    broker = SimulatedBroker(market)
    broker.submit(Order("early", "A", 1.0))  # before there is a price at all
    market.close(10.0, 1)
    broker.submit(Order("a", "A", 2.0))
    told = [(update.client_id, update.state) for update in broker.poll()]
    assert told == [("early", "accepted"), ("a", "accepted")]
    market.open(11.0, 2)
    fills = {update.client_id: update.fill for update in broker.poll()}
    assert fills == {"early": Fill(2, 1.0, 11.0), "a": Fill(2, 2.0, 11.0)}
    market.close(12.0, 2)
    market.open(13.0, 3)
    assert broker.poll() == []  # filled once


def test_a_ruined_account_takes_no_orders():
    market = PaperMarket("A", 1000.0, FREE)
    broker = SimulatedBroker(market)
    market.close(10.0, 0)
    broker.submit(Order("levered", "A", 200.0))
    market.open(10.0, 1)
    market.close(10.0, 1)
    broker.submit(Order("waiting", "A", 1.0))
    market.open(4.0, 2)
    broker.submit(Order("late", "A", 1.0))
    assert broker.account().blocked
    assert broker.positions() == {}
    told = [(update.client_id, update.state) for update in broker.poll()]
    assert told[2:] == [("waiting", "accepted"), ("waiting", "rejected"), ("late", "rejected")]


def test_events_out_of_order_are_refused():
    market = PaperMarket("A", 1000.0, FREE)
    with pytest.raises(OrderError, match="must close before the next one opens"):
        market.open(10.0, 1)
    market.close(10.0, 1)
    with pytest.raises(OrderError, match="a bar must open before it closes"):
        market.close(10.0, 2)
    market.open(10.0, 2)
    with pytest.raises(OrderError):
        market.open(10.0, 3)
    with pytest.raises(OrderError):
        market.close(10.0, 3)
    market.close(10.0, 2)
    with pytest.raises(DataError, match="the years between two closes"):
        market.open(10.0, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [(a, b) for a, b in itertools.product(TRANSITIONS, TRANSITIONS) if b not in TRANSITIONS[a]],
)
def test_no_state_follows_that_the_table_does_not_have(before, after):
    told = []

    class Teller:
        def submit(self, order):
            pass

        def poll(self):
            return told

    orders = Orders(Teller())
    orders.submit(Order("a", "A", 2.0))
    orders.states["a"] = before
    quantity = 2.0 if after == "filled" else 1.0
    told.append(OrderUpdate("a", after, Fill(0, quantity, 1.0) if "filled" in after else None))
    with pytest.raises(OrderError, match=f"'a' cannot become '{after}': it is '{before}'"):
        orders.poll()


@pytest.mark.parametrize(
    "updates",
    [
        [OrderUpdate("b", "accepted")],
        [OrderUpdate("a", "filled")],
        [OrderUpdate("a", "accepted", Fill(0, 1.0, 1.0))],
        [OrderUpdate("a", "filled", Fill(0, 1.0, 1.0))],
        [OrderUpdate("a", "filled", Fill(0, 3.0, 1.0))],
        [OrderUpdate("a", "partially_filled", Fill(0, -1.0, 1.0))],
        [OrderUpdate("a", "partially_filled", Fill(0, 1.5, 1.0))] * 2,
        [OrderUpdate("a", "canceled", Fill(0, 2.5, 1.0))],
    ],
    ids=[
        "unknown",
        "no fill",
        "early",
        "less",
        "more",
        "other side",
        "too often",
        "more, canceled",
    ],
)
def test_an_update_that_cannot_be_is_refused(updates):
    class Teller:
        def submit(self, order):
            pass

        def poll(self):
            return updates

    orders = Orders(Teller())
    orders.submit(Order("a", "A", 2.0))
    with pytest.raises(OrderError):
        orders.poll()


def test_a_client_id_names_one_order():
    orders = Orders(SimulatedBroker(PaperMarket("A", 1000.0, FREE)))
    orders.submit(Order("a", "A", 2.0))
    orders.submit(Order("a", "A", 2.0))
    with pytest.raises(OrderError, match="'a' belongs to a different order"):
        orders.submit(Order("a", "A", 3.0))


@pytest.mark.parametrize("changes", [{"client_id": ""}, {"quantity": 0.0}])
def test_an_order_needs_a_name_and_a_size(changes):
    with pytest.raises(ConfigError, match="parameter of an order must be"):
        Order(**{"client_id": "a", "symbol": "A", "quantity": 1.0, **changes})


class Forgets(SimulatedBroker):
    """Planted: sends what it is given, whether it was sent before or not."""

    count = 0

    def submit(self, order):
        Forgets.count += 1
        super().submit(Order(f"{order.client_id}/{Forgets.count}", order.symbol, order.quantity))

    def poll(self):
        return [u._replace(client_id=u.client_id.partition("/")[0]) for u in super().poll()]


class Repeats(SimulatedBroker):
    """Planted: tells everything again and again."""

    told = ()

    def poll(self):
        self.told = [*self.told, *super().poll()]
        return self.told


class RoundsDown(SimulatedBroker):
    """Planted: trades whole shares and says that it was all."""

    def submit(self, order):
        super().submit(Order(order.client_id, order.symbol, float(int(order.quantity) or 1)))


class KeepsCommission(SimulatedBroker):
    """Planted: does not say what it charged."""

    def poll(self):
        return [u._replace(fill=u.fill and u.fill._replace(commission=0.0)) for u in super().poll()]


class ListsNothing(SimulatedBroker):
    """Planted: lists positions of no shares."""

    def positions(self):
        return {"ABC": 0.0, **super().positions()}


class Raises(SimulatedBroker):
    """Planted: an order that is refused is an exception."""

    def submit(self, order):
        if order.symbol != "ABC":
            raise ValueError("no such symbol")
        super().submit(order)


class MarksLate(SimulatedBroker):
    """Planted: equity is that of the moment at which it connected."""

    def account(self):
        account = super().account()
        self.equity = getattr(self, "equity", account.equity)
        return account._replace(equity=self.equity)


CONSERVED = "test_cash_and_shares_are_conserved"


@pytest.mark.parametrize(
    ("broken", "test", "arguments"),
    [
        (Forgets, "test_an_order_that_is_sent_twice_is_one_order", {}),
        (Forgets, "test_a_new_client_finds_the_account_and_knows_the_orders", {}),
        (Repeats, "test_every_update_is_told_once", {}),
        (RoundsDown, CONSERVED, {}),
        (KeepsCommission, CONSERVED, {}),
        (ListsNothing, "test_a_position_that_was_closed_is_left_out", {}),
        (Raises, "test_an_order_that_is_refused_is_told_with_the_reason_and_changes_nothing", {}),
    ],
)
def test_the_contract_catches_a_broken_broker(broken, test, arguments):
    with pytest.raises((AssertionError, OrderError, ValueError)):
        getattr(BrokerContract(), test)(PaperDesk(broken), **arguments)


def test_the_contract_catches_equity_that_is_marked_late():
    class Marked(MarksLate):
        def __init__(self, market):
            super().__init__(market)
            self.account()

    with pytest.raises(AssertionError):
        BrokerContract().test_equity_follows_the_market(PaperDesk(Marked, DEAR))
