import dataclasses
import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.execution.account import Ledger, shares_to_trade
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


def to_target(ledger, target):
    """Trade to a target at the newest price; return (shares, trade), or None."""
    sized = shares_to_trade(target, ledger.equity, ledger.shares, ledger.price, ledger.costs)
    return (sized, ledger.trade(sized)) if sized else None


def step(ledger, open_, close, target=None, years=DAY):
    """Open, trade, close; return (shares, trade), or None."""
    ledger.open(open_, years)
    done = to_target(ledger, target) if target is not None and not ledger.ruined else None
    ledger.close(close)
    return done


def walk(ledger, asset, targets):
    """Trade a sequence of targets; yield (price, trade or None) after every open and close."""
    for t, target in enumerate(targets):
        open_, close = float(asset.open[t + 1]), float(asset.close[t + 1])
        ledger.open(open_, float(asset.years[t]))
        yield open_, None if ledger.ruined else to_target(ledger, float(target))
        ledger.close(close)
        yield close, None


def equity_of(ledger, asset, targets):
    """Return the equity at every close."""
    return [ledger.equity, *[ledger.equity for _ in walk(ledger, asset, targets)][1::2]]


def random_walks(bars=120):
    """Yield bars and targets on every grid, long, short, fractional and levered."""
    for seed, grid in enumerate(GRIDS):
        yield random_asset(bars, seed), random_targets(bars - 1, grid, seed)


class LedgerChecks:
    """What a ledger must do; planted faults in it must be seen."""

    make = Ledger

    def test_equity_is_cash_and_shares_at_the_newest_price(self):
        for asset, targets in random_walks():
            ledger = self.make(START, DEAR)
            assert (ledger.cash, ledger.shares, ledger.equity) == (START, 0.0, START)
            for price, _ in walk(ledger, asset, targets):
                worth = ledger.cash + ledger.shares * price
                assert ledger.equity == pytest.approx(worth, rel=1e-12)

    def test_cash_and_shares_are_conserved(self):
        for asset, targets in random_walks():
            ledger, trades, fees = self.make(START, DEAR), [], 0.0
            for _, done in walk(ledger, asset, targets):
                trades += [done] if done else []
                flows = sum(-shares * trade.price - trade.commission for shares, trade in trades)
                cash = START + flows - ledger.fees_paid + ledger.debt_forgiven
                assert ledger.cash == pytest.approx(cash, rel=1e-9, abs=1e-6)
                held = sum(shares for shares, _ in trades)
                assert ledger.shares == pytest.approx(held, rel=1e-9, abs=1e-6)
                assert ledger.fees_paid >= fees  # nothing is paid to the trader as a cost
                fees = ledger.fees_paid
            assert len(trades) > 20

    def test_a_trade_is_against_the_trader(self):
        for asset, targets in random_walks():
            ledger = self.make(START, DEAR)
            for price, done in walk(ledger, asset, targets):
                if done is None:
                    continue
                shares, trade = done
                offset = math.copysign(DEAR.fill_offset, shares)
                assert trade.price == pytest.approx(price * (1 + offset), rel=1e-12)
                paid = abs(shares) * trade.price * DEAR.commission_bps * 1e-4
                assert trade.commission == pytest.approx(paid, rel=1e-12)

    def test_exposure_after_a_trade_is_exactly_the_target(self):
        for asset, targets in random_walks():
            ledger = self.make(START, DEAR)
            for t, (price, _) in enumerate(walk(ledger, asset, targets)):
                if t % 2 == 0:
                    exposure = ledger.shares * price / ledger.equity
                    assert exposure == pytest.approx(targets[t // 2], abs=1e-11)

    def test_buying_by_hand(self):
        # 1000 buys s shares at 10 with 1% commission: 10 s + 0.1 s = 1000, s = 1000 / 10.1.
        ledger = self.make(1000.0, COMMISSION)
        shares, trade = step(ledger, 10.0, 10.0, target=1.0)
        assert shares == pytest.approx(99.00990099009901, rel=1e-12)
        assert trade.commission == pytest.approx(9.900990099009901, rel=1e-12)
        assert ledger.equity == pytest.approx(990.0990099009901, rel=1e-12)
        assert ledger.cash == pytest.approx(0.0, abs=1e-9)

    def test_selling_short_by_hand(self):
        # s shares at 10 bring 10 s, 0.1 s of it commission; 10 s = 1000 - 0.1 s.
        ledger = self.make(1000.0, COMMISSION)
        shares, trade = step(ledger, 10.0, 10.0, target=-1.0)
        assert shares == pytest.approx(-1000.0 / 10.1, rel=1e-12)
        assert trade.price == 10.0
        assert ledger.equity == pytest.approx(1000.0 - 100.0 / 10.1, rel=1e-12)

    def test_borrowed_shares_cost_by_hand(self):
        # Short 100 shares; at the close they are worth 1100, for half a year at 1%: 5.50.
        ledger = self.make(1000.0, CARRY)
        step(ledger, 10.0, 11.0, target=-1.0)
        assert ledger.fees_paid == 0.0
        ledger.open(11.0, 0.5)
        assert ledger.fees_paid == pytest.approx(5.5, rel=1e-12)
        assert ledger.equity == pytest.approx(1000.0 - 100.0 - 5.5, rel=1e-12)

    def test_borrowed_money_costs_by_hand(self):
        # 200 shares with 1000 borrowed, for half a year at 2%: 10, whatever the price.
        ledger = self.make(1000.0, CARRY)
        step(ledger, 10.0, 12.0, target=2.0)
        ledger.open(13.0, 0.5)
        assert ledger.fees_paid == pytest.approx(10.0, rel=1e-12)
        assert ledger.equity == pytest.approx(2600.0 - 1000.0 - 10.0, rel=1e-12)

    def test_holding_ones_own_shares_costs_nothing(self):
        ledger = self.make(1000.0, CARRY)
        for price in (10.0, 12.0, 7.0, 9.0):
            step(ledger, price, price, target=1.0, years=1.0)
        assert ledger.fees_paid == pytest.approx(0.0, abs=1e-9)

    def test_holding_on_to_a_full_position_is_no_trade(self):
        ledger = self.make(1000.0, DEAR)
        prices = (10.0, 11.3, 9.7, 14.1, 3.3)
        done = [step(ledger, price, price * 1.01, target=1.0) for price in prices]
        assert [trade is None for trade in done] == [False, True, True, True, True]

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
    def test_a_price_that_is_none_is_refused_and_changes_nothing(self, bad):
        ledger = self.make(1000.0, DEAR)
        step(ledger, 10.0, 10.0, target=-0.5)
        before = dict(vars(ledger))
        with pytest.raises(DataError, match="the open of a bar must be finite and > 0"):
            ledger.open(bad, DAY)
        with pytest.raises(DataError, match="the years between two closes"):
            ledger.open(10.0, bad if bad else -1.0)
        with pytest.raises(DataError, match="the close of a bar must be"):
            ledger.close(bad)
        assert vars(ledger) == before

    @pytest.mark.parametrize(
        ("target", "open_", "close"),
        [(2.0, 4.0, 4.0), (2.0, 10.0, 5.0), (-1.0, 21.0, 21.0), (-1.0, 10.0, 20.0)],
        ids=["long over the gap", "long in the session", "short over the gap", "short in session"],
    )
    def test_ruin_costs_the_stake_and_no_more(self, target, open_, close):
        ledger = self.make(1000.0, FREE)
        step(ledger, 10.0, 10.0, target=target)
        step(ledger, open_, close, target=target)
        assert ledger.ruined
        assert ledger.shares == 0.0
        assert ledger.equity == pytest.approx(1000.0 * 1e-6, rel=1e-12)
        assert ledger.debt_forgiven >= 0.0
        left = ledger.equity
        for price in (1.0, 100.0):
            step(ledger, price, price)
            assert ledger.equity == left

    def test_equity_agrees_with_the_accounting_kernel(self):
        costs = (FREE, DEAR, dataclasses.replace(CARRY, slippage_bps=5.0), DEAR)
        for (asset, targets), cost in zip(random_walks(300), costs, strict=True):
            equity = equity_of(self.make(START, cost), asset, targets)
            expected = run_backtest("x", asset, targets, cost, START).equity
            np.testing.assert_allclose(equity, expected, rtol=1e-9)

    def test_ruin_agrees_with_the_accounting_kernel(self):
        asset = asset_of([10, 10, 11, 4, 5, 6], [10, 10.5, 10, 4.5, 5, 7])
        targets = np.array([2.0, 2.0, 2.0, 1.0, 0.0])
        ledger = self.make(START, DEAR)
        equity = equity_of(ledger, asset, targets)
        assert ledger.ruined
        expected = run_backtest("x", asset, targets, DEAR, START).equity
        np.testing.assert_allclose(equity, expected, rtol=1e-9)

    def test_costs_that_eat_the_whole_account_ruin_it(self):
        # 2 x 714 held; worth 857 against a debt of 714, and closing it would cost 171 of the 143.
        costs = CostConfig(0.0, 0.0, 2000.0, 0.0, 0.0)
        for target in (0.0, 1.0):
            asset = asset_of([10, 10, 6, 6, 9], [10, 10, 6, 6, 9])
            targets = np.array([2.0, target, 1.0, 1.0])
            ledger = self.make(1000.0, costs)
            equity = equity_of(ledger, asset, targets)
            assert ledger.ruined
            assert ledger.debt_forgiven > 0.0
            expected = run_backtest("x", asset, targets, costs, 1000.0).equity
            assert expected[2] == pytest.approx(1e-6 * expected[1])
            np.testing.assert_allclose(equity, expected, rtol=1e-9)

    def test_the_ledger_is_the_kernel_in_wild_markets_at_wild_costs(self):
        ruined = 0
        for seed in range(150):
            rng = np.random.default_rng(seed)
            asset = random_asset(40, seed, volatility=float(10 ** rng.uniform(-3, -0.3)))
            trading = (10 ** rng.uniform(-2, 3.2, 3)).tolist()
            costs = CostConfig(*trading, *(10 ** rng.uniform(0, 4, 2)).tolist())
            grid = sorted({0.0, *rng.normal(0, 2, 4).tolist()})
            targets = random_targets(39, grid, seed)
            ledger = self.make(1e5, costs)
            equity = equity_of(ledger, asset, targets)
            expected = run_backtest("x", asset, targets, costs, 1e5).equity
            np.testing.assert_allclose(equity, expected, rtol=1e-9)
            assert ledger.debt_forgiven >= 0.0
            ruined += ledger.ruined
        assert 10 < ruined < 100


class TestLedger(LedgerChecks):
    pass


@pytest.mark.parametrize("cash", [0.0, -1.0, float("nan"), float("inf"), "1"])
def test_money_at_the_start_must_be_positive(cash):
    with pytest.raises(ConfigError, match="The cash parameter of an account"):
        Ledger(cash, DEAR)


class LosesCommission(Ledger):
    """Planted: says the commission, but does not take it."""

    def trade(self, shares):
        trade = super().trade(shares)
        self.cash += trade.commission
        return trade


class FillsAtTheCloseBefore(Ledger):
    """Planted: trades at the price at which it decided."""

    seen = None

    def trade(self, shares):
        open_, self.price = self.price, self.seen or self.price
        trade = super().trade(shares)
        self.price = open_
        return trade

    def close(self, price):
        self.seen = price
        super().close(price)


class PaysForShorting(Ledger):
    """Planted: the borrow fee has the wrong sign."""

    def open(self, price, years):
        fees = self.fees_paid
        super().open(price, years)
        self.cash += 2 * (self.fees_paid - fees)
        self.fees_paid = fees - (self.fees_paid - fees)


class OwesForEver(Ledger):
    """Planted: lets an account fall below zero and go on."""

    def _close_account(self):
        pass


class MarksLate(Ledger):
    """Planted: equity is marked at the open, not at the close."""

    def close(self, price):
        super().close(self.price)


class AsksNoPrice(Ledger):
    """Planted: a missing price becomes the last one."""

    def open(self, price, years):
        super().open(price if 0 < price < math.inf else self.price, years)


@pytest.mark.parametrize(
    ("broken", "test", "arguments"),
    [
        (LosesCommission, "test_cash_and_shares_are_conserved", {}),
        (LosesCommission, "test_buying_by_hand", {}),
        (FillsAtTheCloseBefore, "test_a_trade_is_against_the_trader", {}),
        (FillsAtTheCloseBefore, "test_equity_agrees_with_the_accounting_kernel", {}),
        (PaysForShorting, "test_cash_and_shares_are_conserved", {}),
        (PaysForShorting, "test_borrowed_shares_cost_by_hand", {}),
        (
            OwesForEver,
            "test_ruin_costs_the_stake_and_no_more",
            {"target": 2.0, "open_": 4.0, "close": 4.0},
        ),
        (OwesForEver, "test_ruin_agrees_with_the_accounting_kernel", {}),
        (MarksLate, "test_equity_is_cash_and_shares_at_the_newest_price", {}),
        (
            AsksNoPrice,
            "test_a_price_that_is_none_is_refused_and_changes_nothing",
            {"bad": float("nan")},
        ),
    ],
)
def test_the_checks_catch_a_broken_ledger(broken, test, arguments):
    checks = LedgerChecks()
    checks.make = broken
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(checks, test)(**arguments)


def test_money_paid_in_and_out():
    account = Ledger(100.0, FREE)
    account.close(10.0)
    account.open(10.0, 0.0)
    account.trade(10.0)
    account.deposit(50.0)
    assert (account.cash, account.equity) == (50.0, 150.0)
    account.deposit(-120.0)
    assert (account.cash, account.equity, account.ruined) == (-70.0, 30.0, False)
    account.deposit(-30.0)
    assert account.ruined
    account.deposit(1000.0)
    assert account.equity == pytest.approx(150.0 * 1e-6)
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(DataError, match="a deposit must be finite"):
            account.deposit(wrong)
