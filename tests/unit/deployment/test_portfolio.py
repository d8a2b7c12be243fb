"""Paper trading of a rebalanced portfolio, in one loop, against its backtest."""

import copy

import numpy as np
import pytest
from deployment_cases import frame_of, trader_of
from policy_cases import random_policy

from reinforcestrategycreator_pipeline.backtesting.rebalancing import trade_together
from reinforcestrategycreator_pipeline.deployment.brokers.base import OrderError
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.deployment.portfolio import paper_trade_together
from reinforcestrategycreator_pipeline.deployment.streaming import recorded
from reinforcestrategycreator_pipeline.errors import DataError, RunError
from reinforcestrategycreator_pipeline.execution.schedule import rebalancing_bars
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    asset_of,
    random_asset,
)

MONEY = 50_000.0


def both_ways(assets, policy, rule, costs=DEAR):
    """Return paper trading and backtest of a portfolio."""
    stamps = rebalancing_bars({a.symbol: a.times for a in assets}, rule)
    frames = {a.symbol: frame_of(a) for a in assets}
    traders = {
        name: trader_of(policy, frame, PaperMarket(name, MONEY, costs))
        for name, frame in frames.items()
    }
    paper = paper_trade_together(traders, frames, dict.fromkeys(frames, 0), set(stamps.tolist()))
    targets = [policy.targets(a) for a in assets]
    return paper, trade_together("it", assets, targets, costs, MONEY, stamps)


@pytest.mark.parametrize("rule", ["never", 1, "weekly", "monthly"])
def test_one_loop_over_all_symbols_is_the_backtest(rule):
    policy = random_policy(3, (-1.0, 0.0, 1.0), seed=4)
    paper, expected = both_ways(
        [random_asset(120, i, s) for i, s in enumerate("ABC")], policy, rule
    )
    assert paper.require_equal(expected.timestamps, expected.equity) <= 1e-9
    assert paper.times.equals(expected.timestamps)
    assert paper.transfers == {"never": 0, 1: 119, "weekly": 24, "monthly": 5}[rule]


def test_accounts_that_are_ruined_take_no_part():
    ruined = 0
    for seed in range(4):
        assets = [random_asset(60, 9 * seed + i, s, volatility=0.15) for i, s in enumerate("ABC")]
        paper, expected = both_ways(assets, random_policy(3, (-3.0, 0.0, 3.0), seed), 5)
        assert paper.require_equal(expected.timestamps, expected.equity) <= 1e-9
        ruined += expected.equity[-1] < 0.1 * MONEY
    assert ruined


def test_calendars_that_differ():
    whole = [random_asset(80, i, s) for i, s in enumerate("AB")]
    keep = np.delete(np.arange(80), [0, 1, 30, 55])
    holes = asset_of(
        whole[1].open[keep],
        whole[1].close[keep],
        whole[1].times[keep],
        whole[1].features[keep],
        "B",
    )
    paper, expected = both_ways([whole[0], holes], random_policy(3, (0.0, 1.0), 2), 3)
    assert paper.require_equal(expected.timestamps, expected.equity) <= 1e-9
    assert paper.transfers > 20


def test_a_difference_is_found():
    policy = random_policy(3, (-1.0, 0.0, 1.0), seed=4)
    paper, expected = both_ways([random_asset(60, i, s) for i, s in enumerate("AB")], policy, 10)
    other = copy.copy(expected.equity)
    other[31:] *= 1 + 1e-8
    with pytest.raises(
        RunError, match=f"portfolio: .* differ from {expected.timestamps[31]:%Y-%m-%d}"
    ):
        paper.require_equal(expected.timestamps, other)


def test_money_moves_only_in_a_session_and_after_the_first_decision():
    asset = asset_of([10, 10, 12], [10, 10, 12], features=np.zeros((3, 3)))
    market = PaperMarket("A", 100.0, FREE)
    market.close(10.0, 0)
    with pytest.raises(OrderError, match="after a bar has opened and before it closes"):
        market.deposit(1.0)
    assert market.equity_at_open(12.0, 1) == 100.0
    frame = frame_of(asset)
    trader = trader_of(random_policy(3, (0.0, 1.0), 1), frame, PaperMarket("A", 100.0, FREE))
    first, second, _ = recorded(frame, "A")
    for wrong in (5.0, float("nan")):
        with pytest.raises(DataError, match="a deposit must be finite, and 0 before the first"):
            trader.push(first, confirmed=True, now=first.time, deposit=wrong)
    trader.push(first, confirmed=True, now=first.time)
    assert trader.push(second, confirmed=True, now=second.time, deposit=-40.0).equity == 60.0


def test_what_an_account_will_be_worth_at_an_open():
    # Short 1000 of 500: the gap from 10 to 12 loses 200, to 16 more than all.
    market = PaperMarket("A", 500.0, FREE)
    market.close(10.0, 0)
    market.open(10.0, 1)
    market.ledger.trade(-100.0)
    market.close(10.0, 1)
    assert market.equity_at_open(12.0, 2) == pytest.approx(300.0)
    assert market.equity_at_open(16.0, 2) is None
    assert market.ledger.equity == 500.0
