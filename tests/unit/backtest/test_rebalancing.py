"""Portfolios between whose accounts money moves, by hand; when it moves; who takes no part."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.compare import RANDOM, Decider, compare, ends_of
from reinforcestrategycreator_pipeline.backtesting.rebalancing import deposits_of, trade_together
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.execution.schedule import common_bars, rebalancing_bars
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DAY,
    DEAR,
    FREE,
    asset_of,
    random_asset,
    random_targets,
)

ONE_PERCENT = CostConfig(100.0, 0.0, 0.0, 0.0, 0.0)


def test_two_symbols_and_three_bars_by_hand():
    """Commission 1%, 101 for each. A doubles on the first day; then both get 150.

    Day 1: both buy 10 shares at 10 and pay 1; at the close A has 200, B has 100.
    Day 2, open: A gives 50 to B. A owes 50 on 200 in shares, and sells until its shares are its
    equity: (150 - 0.01 x 200) / 0.99. B buys, (150 + 0.01 x 100) / 1.01, and gains 10%.
    """
    a = asset_of([9, 10, 20], [9, 20, 20], symbol="A")
    b = asset_of([9, 10, 10], [9, 10, 11], symbol="B")
    long = np.ones(2)
    stamps = np.array([2 * DAY])
    deposits = deposits_of([a, b], [long[None], long[None]], ONE_PERCENT, stamps)
    np.testing.assert_allclose(deposits, [[[0, -50 / 200]], [[0, 50 / 100]]], rtol=1e-14)
    both = trade_together("it", [a, b], [long, long], ONE_PERCENT, 101.0, stamps)
    end_a, end_b = 148 / 0.99, 151 / 1.01 * 1.1
    np.testing.assert_allclose(both.equity, [202, 300, end_a + end_b], rtol=1e-14)
    sold, bought = 200 - 148 / 0.99, 151 / 1.01 - 100
    np.testing.assert_allclose(both.costs, [2, 0.01 * (sold + bought)], rtol=1e-12)
    np.testing.assert_allclose(both.turnover, [200 / 202, (sold + bought) / 300], rtol=1e-12)
    np.testing.assert_allclose(both.exposure, [1, 1], rtol=1e-14)
    # Money that came from the other account is no profit, and what went there is no loss.
    assert both.trades["symbol"].tolist() == ["A", "B"]
    np.testing.assert_allclose(both.trades["pnl"], [end_a + 50 - 101, end_b - 50 - 101], rtol=1e-12)
    np.testing.assert_allclose(both.trades["costs"], [1 + 0.01 * sold, 1 + 0.01 * bought])
    np.testing.assert_allclose(both.trades["return"], both.trades["pnl"] / 101)


def test_exposure_of_the_portfolio_has_the_weights_after_the_move():
    # A has doubled, and goes flat; B goes long with half of the money: exposure one half, not 1/3.
    a = asset_of([9, 10, 20], [9, 20, 20], symbol="A")
    b = asset_of([9, 10, 10], [9, 10, 11], symbol="B")
    parts = [np.array([1.0, 0.0]), np.array([1.0, 1.0])]
    both = trade_together("it", [a, b], parts, FREE, 100.0, np.array([2 * DAY]))
    np.testing.assert_allclose(both.exposure, [1.0, 0.5], rtol=1e-14)
    np.testing.assert_allclose(both.equity, [200, 300, 150 + 150 * 1.1], rtol=1e-14)


def test_a_ruined_account_takes_no_part():
    # Short, and the price trebles: the account is lost on day 1. B and C share theirs on day 2.
    a = asset_of([10, 10, 30, 30], [10, 30, 30, 30], symbol="A")
    b = asset_of([10, 10, 20, 20], [10, 20, 20, 20], symbol="B")
    c = asset_of([10, 10, 10, 10], [10, 10, 10, 20], symbol="C")
    parts = [-np.ones(3), np.ones(3), np.ones(3)]
    both = trade_together("it", [a, b, c], parts, FREE, 100.0, np.array([2 * DAY]))
    lost = 100 * 1e-6
    np.testing.assert_allclose(both.equity, [300, 300 + lost, 300 + lost, 450 + lost], rtol=1e-12)
    # The gap before the very open ruins as well.
    a = asset_of([10, 10, 30, 30], [10, 10, 30, 30], symbol="A")
    both = trade_together("it", [a, b, c], parts, FREE, 100.0, np.array([2 * DAY]))
    np.testing.assert_allclose(both.equity, [300, 400, 300 + lost, 450 + lost], rtol=1e-12)


def test_no_money_moves_between_twins_nor_in_a_portfolio_that_is_never_rebalanced():
    bars, targets = random_asset(50), random_targets(49, (0.0, 0.5, 1.0))
    twin = random_asset(50, symbol="B")
    stamps = bars.times[1:]
    for paid in deposits_of([bars, twin], [targets[None]] * 2, DEAR, stamps):
        assert not paid.any()
    alone = [run_backtest("it", x, targets, DEAR, 50.0) for x in (bars, twin)]
    for at in (stamps, stamps[:0]):
        both = trade_together("it", [bars, twin], [targets] * 2, DEAR, 50.0, at)
        assert both.equity.tolist() == combine(alone).equity.tolist()
        pd.testing.assert_frame_equal(both.trades, combine(alone).trades)


def test_calendars_that_differ_move_money_only_at_bars_of_both():
    # B lacks day 3, so that neither 3 nor 4, whose bars began at different closes, is common.
    assert common_bars([np.arange(7), np.array([0, 1, 2, 4, 5, 6])]).tolist() == [1, 2, 5, 6]
    whole = [random_asset(60, seed, symbol) for seed, symbol in enumerate("AB")]
    keep = np.delete(np.arange(60), [10, 11, 30])
    holes = asset_of(whole[1].open[keep], whole[1].close[keep], whole[1].times[keep], symbol="B")
    bars = [whole[0], holes]
    stamps = rebalancing_bars({b.symbol: b.times for b in bars}, 1)
    assert len(stamps) == 59 - 3 - 2
    targets = [random_targets(len(b.times) - 1, (-1.0, 0.0, 1.0), i) for i, b in enumerate(bars)]
    both = trade_together("it", bars, targets, DEAR, 100.0, stamps)
    assert both.trades["pnl"].sum() == pytest.approx(both.equity[-1] - 200.0)
    # Right after the money moved, the accounts differ by no more than their costs.
    paid = deposits_of(bars, [x[None] for x in targets], DEAR, stamps)
    ends = [
        run_backtest("it", b, x, DEAR, 100.0, d[0])
        for b, x, d in zip(bars, targets, paid, strict=True)
    ]
    moved = [
        pd.Series(d[0] * r.equity[:-1], r.timestamps[1:]) for d, r in zip(paid, ends, strict=True)
    ]
    net = moved[0].add(moved[1], fill_value=0.0)
    np.testing.assert_allclose(net, 0.0, atol=1e-10)


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        # From Wednesday 2020-01-29: the month begins on Saturday the 1st, its first bar is Monday.
        (
            "daily",
            ["01-30", "01-31", "02-03", "02-04", "02-05", "02-06", "02-07", "02-10", "02-11"],
        ),
        ("weekly", ["02-03", "02-10"]),
        ("monthly", ["02-03"]),
        (1, ["01-30", "01-31", "02-03", "02-04", "02-05", "02-06", "02-07", "02-10", "02-11"]),
        (4, ["02-04", "02-10"]),
        (2**63 - 1, []),
        ("never", []),
    ],
)
def test_when_money_moves(rule, days):
    # A bar that ends at midnight belongs to the day before.
    for hour in (pd.Timedelta(hours=21), pd.Timedelta(days=1)):
        stamps = pd.bdate_range("2020-01-29", periods=10, tz="UTC") + hour
        times = stamps.as_unit("ns").asi8
        found = rebalancing_bars({"A": times, "B": times, "C": times[:]}, rule)
        dates = pd.DatetimeIndex(found, tz="UTC") - hour
        assert dates.strftime("%m-%d").tolist() == days
        assert not len(rebalancing_bars({"A": times}, rule))


def test_what_falls_due_where_a_symbol_has_no_bar_waits_for_the_next():
    times = (pd.bdate_range("2020-01-29", periods=10, tz="UTC")).as_unit("ns").asi8 + DAY
    other = np.delete(times, 3)  # no bar on Monday 3 February; Tuesday's is longer
    found = pd.DatetimeIndex(rebalancing_bars({"A": times, "B": other}, "monthly") - DAY)
    assert found.strftime("%m-%d").tolist() == ["02-05"]


def test_hours_of_one_day_count_once():
    times = pd.date_range("2020-01-01 12:00", periods=40, freq="h", tz="UTC").as_unit("ns").asi8
    found = pd.DatetimeIndex(rebalancing_bars({"A": times, "B": times}, "daily"))
    assert found.strftime("%m-%d %H").tolist() == ["01-02 01", "01-03 01"]


def test_symbols_without_a_common_bar_are_refused_by_name():
    times = np.arange(9) * DAY
    with pytest.raises(DataError, match=r"trading\.rebalance: weekly .*Got A and C without"):
        rebalancing_bars({"A": times, "B": times, "C": times + DAY // 2}, "weekly")
    part = [times[:4], times[3:7], np.concatenate([times[1:3], times[5:7]])]
    with pytest.raises(DataError, match=r"Got A and B without such a bar\.$"):
        rebalancing_bars(dict(zip("ABC", part, strict=True)), 1)


@pytest.mark.parametrize("wrong", ["montly", 0, -3, 2.5, True, None, "5"])
def test_a_wrong_rule_is_refused(wrong):
    with pytest.raises(ConfigError, match="rebalance parameter of TradingRules must be 'never'"):
        TradingRules(rebalance=wrong)


class Follows(Decider):
    """Long after a rise."""

    def targets(self, asset):
        return (np.diff(asset.close, prepend=asset.close[0])[:-1] > 0).astype(float)


class Holds(Decider):
    def targets(self, asset):
        return np.ones(len(asset.times) - 1)


def test_policy_benchmarks_and_shifts_are_all_rebalanced_and_assets_are_alone():
    bars = tuple(random_asset(80, seed, symbol) for seed, symbol in enumerate("ABC"))
    spans = [
        MarketSpan(bars, Inputs(("x", "y", "z")), TradingRules(costs=DEAR, rebalance=rule))
        for rule in ("never", "weekly")
    ]
    policies = {"it": Follows(), "hold": Holds()}
    alone, together = (compare(policies, span, 40, Seeds(1)) for span in spans)
    stamps = rebalancing_bars({b.symbol: b.times for b in bars}, "weekly")
    for name in "ABC":
        for label, result in alone.results[name].items():
            if label != RANDOM:
                assert result.equity.tolist() == together.results[name][label].equity.tolist()
    for label, policy in policies.items():
        expected = trade_together(
            label, bars, [policy.targets(b) for b in bars], DEAR, 1e5 / 3, stamps
        )
        assert together.results[PORTFOLIO][label].equity.tolist() == expected.equity.tolist()
        assert (expected.equity != alone.results[PORTFOLIO][label].equity).any()
    # Every shift is traded as a portfolio of its own.
    own = [Follows().targets(b) for b in bars]
    moved = [np.array([np.roll(x, s) for s in range(1, 79)]) for x in own]
    paid = deposits_of(bars, moved, DEAR, stamps)
    for s in (0, 33, 77):
        rows = [x[s] for x in moved]
        one = trade_together("s", bars, rows, DEAR, 1.0, stamps).equity[-1]
        found = sum(ends_of(b, x, DEAR, d)[s] for b, x, d in zip(bars, moved, paid, strict=True))
        assert found == pytest.approx(one, rel=1e-12)
    assert alone.percentile["A"] == together.percentile["A"]
    assert together.percentile[PORTFOLIO] is not None


class Sure(Follows):
    """Follows, as sure as its number in the row, with a spread of 2 bps."""

    def confidence_of_targets(self, asset):
        n = len(asset.times) - 1
        return np.arange(float(n)), np.full(n, 2.0)


@pytest.mark.parametrize("rule", ["never", "weekly"])
def test_each_trade_of_a_comparison_says_how_sure_it_was(rule):
    bars = tuple(random_asset(80, seed, symbol) for seed, symbol in enumerate("AB"))
    span = MarketSpan(bars, Inputs(("x", "y", "z")), TradingRules(costs=DEAR, rebalance=rule))
    results = compare({"it": Sure(), "hold": Holds()}, span, 40, Seeds(1)).results
    for symbol in "AB":
        assert results[symbol]["it"].advantage_bps.tolist() == list(range(79))
    trades = results[PORTFOLIO]["it"].trades
    # It enters at the open after the decision, and the trade is stamped with that bar's close.
    places = [
        int(np.searchsorted(bars["AB".index(t.symbol)].times, t.entry_time.value)) - 1
        for t in trades.itertuples()
    ]
    assert len(trades) > 20
    assert trades["advantage_bps"].tolist() == places
    assert set(trades["spread_bps"]) == {2.0}
    assert results[PORTFOLIO]["it"].advantage_bps is None
    for label in ("hold", RANDOM):
        assert "advantage_bps" not in results[PORTFOLIO][label].trades
