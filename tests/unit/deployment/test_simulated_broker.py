import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.backtest.run import run_backtest
from reinforcestrategycreator_pipeline.deployment.broker import BROKERS, SimulatedBroker
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.broker_contract import BrokerContract, step, walk
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    random_asset,
    random_targets,
)


class TestSimulatedBroker(BrokerContract):
    @pytest.fixture
    def make(self):
        return BROKERS.get("simulated")


def test_the_register_offers_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no broker is called 'simulatd'\. Did you mean 'sim"):
        BROKERS.get("simulatd")


@pytest.mark.parametrize("cash", [0.0, -1.0, float("nan"), float("inf"), "1"])
def test_money_at_the_start_must_be_positive(cash):
    with pytest.raises(ConfigError, match="The cash parameter of SimulatedBroker"):
        SimulatedBroker(cash, DEAR)


def test_pending_target_shows_the_order():
    broker = SimulatedBroker(1000.0, DEAR)
    broker.submit_target(0.5)
    assert broker.pending_target == 0.5
    step(broker, 10.0, 10.0)
    assert broker.pending_target is None


def test_the_ledger_is_the_kernel_in_wild_markets_at_wild_costs():
    ruined = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        asset = random_asset(40, seed, volatility=float(10 ** rng.uniform(-3, -0.3)))
        trading = (10 ** rng.uniform(-2, 3.2, 3)).tolist()
        costs = CostConfig(*trading, *(10 ** rng.uniform(0, 4, 2)).tolist())
        grid = sorted({0.0, *rng.normal(0, 2, 4).tolist()})
        targets = random_targets(39, grid, seed)
        broker = SimulatedBroker(1e5, costs)
        equity = [1e5, *(broker.equity for _ in walk(broker, asset, targets))][::2]
        expected = run_backtest("x", asset, targets, costs, 1e5).equity
        np.testing.assert_allclose(equity, expected, rtol=1e-9)
        assert broker.debt_forgiven >= 0.0
        ruined += broker.ruined
    assert 10 < ruined < 100


class ExposureBeforeCosts(SimulatedBroker):
    """Planted: buys for the equity it has, not for what is left after costs."""

    def _fill(self, target, time):
        costs, self.costs = self.costs, type(self.costs)(0, 0, 0, 0, 0)
        fill = super()._fill(target, time)
        self.costs = costs
        if fill is not None:
            self.cash -= fill.shares * fill.open * costs.buy_cost
        return fill


class LosesCommission(SimulatedBroker):
    """Planted: records the commission, but does not take it."""

    def _fill(self, target, time):
        fill = super()._fill(target, time)
        if fill is not None:
            self.cash += fill.commission
        return fill


class FillsAtTheCloseBefore(SimulatedBroker):
    """Planted: trades at the price at which it decided."""

    def _fill(self, target, time):
        open_, self._price = self._price, self.seen if self.shares or self.fills else self._price
        fill = super()._fill(target, time)
        self._price = open_
        return fill

    def on_close(self, price):
        self.seen = price
        return super().on_close(price)


class PaysForShorting(SimulatedBroker):
    """Planted: the borrow fee has the wrong sign."""

    def on_open(self, price, *, time, years):
        fees = self.fees_paid
        fill = super().on_open(price, time=time, years=years)
        self.cash += 2 * (self.fees_paid - fees)
        self.fees_paid = fees - (self.fees_paid - fees)
        return fill


class OrdersFromNaN(SimulatedBroker):
    """Planted: takes a NaN for 'go flat'."""

    def submit_target(self, exposure):
        super().submit_target(exposure if math.isfinite(exposure) else 0.0)


class KeepsTheOrder(SimulatedBroker):
    """Planted: fills the same order at every open."""

    def on_open(self, price, *, time, years):
        target = self._pending
        fill = super().on_open(price, time=time, years=years)
        self._pending = target
        return fill


class OwesForEver(SimulatedBroker):
    """Planted: lets an account fall below zero and go on."""

    def _is_ruined(self):
        return False

    def _close_account(self):
        pass


class MarksLate(SimulatedBroker):
    """Planted: equity is marked at the open, not at the close."""

    def on_close(self, price):
        return super().on_close(self._price)


class TradesDust(SimulatedBroker):
    """Planted: rebalances rounding."""

    def _fill(self, target, time):
        fill = super()._fill(target, time)
        if fill is None and self.fills:
            self.fills.append(self.fills[-1])
        return fill


class AsksNoPrice(SimulatedBroker):
    """Planted: a missing price becomes the last one."""

    def on_open(self, price, *, time, years):
        good = math.isfinite(price) and price > 0
        return super().on_open(price if good else self._price, time=time, years=years)


@pytest.mark.parametrize(
    ("broken", "test", "arguments"),
    [
        (ExposureBeforeCosts, "test_exposure_after_a_fill_is_exactly_the_target", {}),
        (ExposureBeforeCosts, "test_equity_agrees_with_the_accounting_kernel", {}),
        (LosesCommission, "test_cash_and_shares_are_conserved", {}),
        (LosesCommission, "test_buying_by_hand", {}),
        (FillsAtTheCloseBefore, "test_the_parts_of_a_fill_agree", {}),
        (FillsAtTheCloseBefore, "test_equity_agrees_with_the_accounting_kernel", {}),
        (PaysForShorting, "test_nothing_is_ever_paid_to_the_trader_as_a_cost", {}),
        (PaysForShorting, "test_borrowed_shares_cost_by_hand", {}),
        (
            OrdersFromNaN,
            "test_no_order_comes_from_a_number_that_is_not_finite",
            {"bad": float("nan")},
        ),
        (KeepsTheOrder, "test_an_order_fills_once_and_at_the_next_open_only", {}),
        (
            OwesForEver,
            "test_ruin_costs_the_stake_and_no_more",
            {"target": 2.0, "open_": 4.0, "close": 4.0},
        ),
        (OwesForEver, "test_ruin_agrees_with_the_accounting_kernel", {}),
        (MarksLate, "test_equity_is_cash_and_shares_at_the_newest_price", {}),
        (TradesDust, "test_holding_on_to_a_full_position_is_no_trade", {}),
        (
            AsksNoPrice,
            "test_a_price_that_is_none_is_refused_and_changes_nothing",
            {"bad": float("nan")},
        ),
    ],
)
def test_the_contract_catches_a_broken_broker(broken, test, arguments):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(BrokerContract(), test)(broken, **arguments)
