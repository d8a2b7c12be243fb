"""What every broker must do. Inherit `BrokerContract`, override the fixture `make`, and run.

class TestMyBroker(BrokerContract):
    @pytest.fixture
    def make(self):
        return lambda cash, costs: MyBroker(cash, costs)
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.backtest.run import run_backtest
from reinforcestrategycreator_pipeline.deployment.broker import OrderError
from reinforcestrategycreator_pipeline.errors import DataError, NonFiniteError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
    random_targets,
)

START = 100_000.0
DAY = 1.0 / 365.0
COMMISSION = CostConfig(100.0, 0.0, 0.0, 0.0, 0.0)  # 1% each way, fills at the open itself
CARRY = CostConfig(0.0, 0.0, 0.0, 100.0, 200.0)  # 1% a year to borrow shares, 2% for money


def step(broker, open_, close, target=None, years=DAY, time=1.0):
    """Order, open, close; return the fill."""
    if target is not None:
        broker.submit_target(target)
    fill = broker.on_open(open_, time=time, years=years)
    broker.on_close(close)
    return fill


def walk(broker, asset, targets):
    """Trade a sequence of targets; yield (price, fill or None) after every open and close."""
    for t, target in enumerate(targets):
        if not broker.ruined:
            broker.submit_target(float(target))
        years = float(asset.years[t])
        fill = broker.on_open(float(asset.open[t + 1]), time=float(t + 1), years=years)
        yield float(asset.open[t + 1]), fill
        broker.on_close(float(asset.close[t + 1]))
        yield float(asset.close[t + 1]), None


def random_walks(bars=120):
    """Yield bars and targets on every grid, long, short, fractional and levered."""
    for seed, grid in enumerate(GRIDS):
        yield random_asset(bars, seed), random_targets(bars - 1, grid, seed)


class BrokerContract:
    """The promises of a broker, each a test."""

    @pytest.fixture
    def make(self):
        raise NotImplementedError("override the fixture make")

    def test_a_new_account_holds_its_cash_and_nothing_else(self, make):
        broker = make(START, DEAR)
        assert (broker.cash, broker.shares, broker.equity) == (START, 0.0, START)
        assert (broker.fees_paid, broker.debt_forgiven, broker.ruined) == (0.0, 0.0, False)
        assert len(broker.fills) == 0

    def test_equity_is_cash_and_shares_at_the_newest_price(self, make):
        for asset, targets in random_walks():
            broker = make(START, DEAR)
            for price, _ in walk(broker, asset, targets):
                worth = broker.cash + broker.shares * price
                assert broker.equity == pytest.approx(worth, rel=1e-12)

    def test_cash_and_shares_are_conserved(self, make):
        for asset, targets in random_walks():
            broker = make(START, DEAR)
            for _ in walk(broker, asset, targets):
                flows = sum(f.cash_flow for f in broker.fills)
                cash = START + flows - broker.fees_paid + broker.debt_forgiven
                assert broker.cash == pytest.approx(cash, rel=1e-9, abs=1e-6)
                shares = sum(f.signed_shares for f in broker.fills)
                assert broker.shares == pytest.approx(shares, rel=1e-9, abs=1e-6)
            assert len(broker.fills) > 20

    def test_the_parts_of_a_fill_agree(self, make):
        for asset, targets in random_walks():
            broker = make(START, DEAR)
            for price, fill in walk(broker, asset, targets):
                if fill is None:
                    continue
                assert fill is broker.fills[-1]
                assert fill.open == price
                assert fill.shares > 0
                sign = {"buy": 1.0, "sell": -1.0}[fill.side]
                assert fill.price == pytest.approx(price * (1 + sign * DEAR.fill_offset), rel=1e-12)
                paid = fill.shares * fill.price * DEAR.commission_bps * 1e-4
                assert fill.commission == pytest.approx(paid, rel=1e-12)

    def test_nothing_is_ever_paid_to_the_trader_as_a_cost(self, make):
        for asset, targets in random_walks():
            broker, fees = make(START, DEAR), 0.0
            for _ in walk(broker, asset, targets):
                assert broker.fees_paid >= fees
                fees = broker.fees_paid
            for fill in broker.fills:
                assert fill.commission >= 0
                assert fill.cost >= 0
                assert (fill.price >= fill.open) if fill.side == "buy" else fill.price <= fill.open

    def test_exposure_after_a_fill_is_exactly_the_target(self, make):
        for asset, targets in random_walks():
            broker = make(START, DEAR)
            for t, (price, _) in enumerate(walk(broker, asset, targets)):
                if t % 2 == 0:
                    exposure = broker.shares * price / broker.equity
                    assert exposure == pytest.approx(targets[t // 2], abs=1e-11)

    def test_buying_by_hand(self, make):
        # 1000 buys s shares at 10 with 1% commission: 10 s + 0.1 s = 1000, s = 1000 / 10.1.
        broker = make(1000.0, COMMISSION)
        fill = step(broker, 10.0, 10.0, target=1.0, time=5.0)
        assert (fill.side, fill.time, fill.target) == ("buy", 5.0, 1.0)
        assert fill.shares == pytest.approx(99.00990099009901, rel=1e-12)
        assert fill.commission == pytest.approx(9.900990099009901, rel=1e-12)
        assert broker.equity == pytest.approx(990.0990099009901, rel=1e-12)
        assert broker.cash == pytest.approx(0.0, abs=1e-9)

    def test_selling_short_by_hand(self, make):
        # s shares at 10 bring 10 s, 0.1 s of it commission; -10 s = -(1000 - 0.1 s).
        broker = make(1000.0, COMMISSION)
        fill = step(broker, 10.0, 10.0, target=-1.0)
        assert fill.side == "sell"
        assert fill.shares == pytest.approx(99.00990099009901, rel=1e-12)
        assert broker.cash == pytest.approx(1980.1980198019803, rel=1e-12)
        assert broker.equity == pytest.approx(990.0990099009901, rel=1e-12)

    def test_spread_and_slippage_by_hand(self, make):
        # Half of 40 bps and 30 bps: 50 bps away from the open, both ways.
        broker = make(1000.0, CostConfig(0.0, 40.0, 30.0, 0.0, 0.0))
        assert step(broker, 20.0, 20.0, target=1.0).price == pytest.approx(20.1, rel=1e-12)
        assert step(broker, 20.0, 20.0, target=0.0).price == pytest.approx(19.9, rel=1e-12)
        assert broker.equity == pytest.approx(1000.0 / 20.1 * 19.9, rel=1e-12)

    def test_borrowed_shares_cost_by_hand(self, make):
        # 100 shares short; worth 1100 at the close, for half a year at 1%: 5.50.
        broker = make(1000.0, CARRY)
        step(broker, 10.0, 11.0, target=-1.0)
        assert broker.fees_paid == 0.0
        broker.on_open(11.0, time=2.0, years=0.5)
        assert broker.fees_paid == pytest.approx(5.5, rel=1e-12)
        assert broker.equity == pytest.approx(1000.0 - 100.0 - 5.5, rel=1e-12)

    def test_borrowed_money_costs_by_hand(self, make):
        # 200 shares with 1000 borrowed, for half a year at 2%: 10, whatever the price.
        broker = make(1000.0, CARRY)
        step(broker, 10.0, 12.0, target=2.0)
        broker.on_open(13.0, time=2.0, years=0.5)
        assert broker.fees_paid == pytest.approx(10.0, rel=1e-12)
        assert broker.equity == pytest.approx(2600.0 - 1000.0 - 10.0, rel=1e-12)

    def test_holding_ones_own_shares_costs_nothing(self, make):
        broker = make(1000.0, CARRY)
        for price in (10.0, 12.0, 7.0, 9.0):
            step(broker, price, price, target=1.0, years=1.0)
        assert broker.fees_paid == pytest.approx(0.0, abs=1e-9)

    def test_an_order_fills_once_and_at_the_next_open_only(self, make):
        broker = make(1000.0, FREE)
        broker.submit_target(1.0)
        assert broker.shares == 0.0
        assert step(broker, 10.0, 12.0).open == 10.0
        assert broker.shares == pytest.approx(100.0, rel=1e-12)
        broker.submit_target(0.5)
        step(broker, 12.0, 30.0)
        held = broker.shares
        assert step(broker, 40.0, 40.0) is None  # the price moved, but nothing was ordered
        assert broker.shares == held
        assert len(broker.fills) == 2

    def test_the_newest_order_counts(self, make):
        broker = make(1000.0, FREE)
        broker.submit_target(1.0)
        broker.submit_target(0.0)
        assert step(broker, 10.0, 10.0) is None
        assert len(broker.fills) == 0

    def test_holding_on_to_a_full_position_is_no_trade(self, make):
        broker = make(1000.0, DEAR)
        for price in (10.0, 11.3, 9.7, 14.1, 3.3):
            step(broker, price, price * 1.01, target=1.0)
        assert len(broker.fills) == 1

    def test_what_comes_after_the_open_does_not_change_the_fill(self, make):
        fills = []
        for close in (5.0, 10.0, 20.0):
            broker = make(1000.0, DEAR)
            step(broker, 10.0, 10.0, target=0.5)
            fills.append(step(broker, 11.0, close, target=1.0))
        assert fills[0] == fills[1] == fills[2]

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_no_order_comes_from_a_number_that_is_not_finite(self, make, bad):
        broker = make(1000.0, FREE)
        with pytest.raises(NonFiniteError):
            broker.submit_target(bad)
        assert step(broker, 10.0, 10.0) is None
        assert (broker.cash, broker.shares) == (1000.0, 0.0)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
    def test_a_price_that_is_none_is_refused_and_changes_nothing(self, make, bad):
        broker = make(1000.0, DEAR)
        step(broker, 10.0, 10.0, target=-0.5)
        before = (broker.cash, broker.shares, broker.equity, len(broker.fills), broker.fees_paid)
        broker.submit_target(1.0)
        with pytest.raises(DataError):
            broker.on_open(bad, time=2.0, years=DAY)
        after = (broker.cash, broker.shares, broker.equity, len(broker.fills), broker.fees_paid)
        assert after == before
        with pytest.raises(DataError):
            broker.on_open(10.0, time=2.0, years=bad if bad else -1.0)
        broker.on_open(10.0, time=2.0, years=DAY)
        with pytest.raises(DataError):
            broker.on_close(bad)

    def test_events_out_of_order_are_refused(self, make):
        broker = make(1000.0, FREE)
        with pytest.raises(OrderError):
            broker.on_close(10.0)
        broker.on_open(10.0, time=1.0, years=DAY)
        with pytest.raises(OrderError):
            broker.on_open(10.0, time=1.0, years=DAY)
        with pytest.raises(OrderError):
            broker.submit_target(1.0)

    @pytest.mark.parametrize(
        ("target", "open_", "close"),
        [(2.0, 4.0, 4.0), (2.0, 10.0, 5.0), (-1.0, 21.0, 21.0), (-1.0, 10.0, 20.0)],
        ids=["long over the gap", "long in the session", "short over the gap", "short in session"],
    )
    def test_ruin_costs_the_stake_and_no_more(self, make, target, open_, close):
        broker = make(1000.0, FREE)
        step(broker, 10.0, 10.0, target=target)
        step(broker, open_, close, target=target)
        assert broker.ruined
        assert broker.shares == 0.0
        assert broker.equity == pytest.approx(1000.0 * 1e-6, rel=1e-12)
        assert broker.debt_forgiven >= 0.0
        with pytest.raises(OrderError):
            broker.submit_target(1.0)
        left = broker.equity
        for price in (1.0, 100.0):
            assert step(broker, price, price) is None
            assert broker.equity == left

    def test_equity_agrees_with_the_accounting_kernel(self, make):
        costs = (FREE, DEAR, dataclasses.replace(CARRY, slippage_bps=5.0))
        for (asset, targets), cost in zip(random_walks(300), (*costs, DEAR), strict=True):
            broker, equity = make(START, cost), [START]
            for t, _ in enumerate(walk(broker, asset, targets)):
                if t % 2:
                    equity.append(broker.equity)
            expected = run_backtest("x", asset, targets, cost, START).equity
            np.testing.assert_allclose(equity, expected, rtol=1e-9)

    def test_ruin_agrees_with_the_accounting_kernel(self, make):
        asset = asset_of([10, 10, 11, 4, 5, 6], [10, 10.5, 10, 4.5, 5, 7])
        targets = np.array([2.0, 2.0, 2.0, 1.0, 0.0])
        broker, equity = make(START, DEAR), [START]
        for t, _ in enumerate(walk(broker, asset, targets)):
            if t % 2:
                equity.append(broker.equity)
        assert broker.ruined
        expected = run_backtest("x", asset, targets, DEAR, START).equity
        np.testing.assert_allclose(equity, expected, rtol=1e-9)

    def test_costs_that_eat_the_whole_account_ruin_it(self, make):
        # 2 x 714 held; worth 857 against a debt of 714, and closing it would cost 171 of the 143.
        costs = CostConfig(0.0, 0.0, 2000.0, 0.0, 0.0)
        for target in (0.0, 1.0):
            asset = asset_of([10, 10, 6, 6, 9], [10, 10, 6, 6, 9])
            targets = np.array([2.0, target, 1.0, 1.0])
            broker = make(1000.0, costs)
            equity = [1000.0, *(broker.equity for _ in walk(broker, asset, targets))][::2]
            assert broker.ruined
            assert broker.debt_forgiven > 0.0
            assert sum(f.signed_shares for f in broker.fills) == pytest.approx(0.0, abs=1e-9)
            expected = run_backtest("x", asset, targets, costs, 1000.0).equity
            assert expected[2] == pytest.approx(1e-6 * expected[1])
            np.testing.assert_allclose(equity, expected, rtol=1e-9)
