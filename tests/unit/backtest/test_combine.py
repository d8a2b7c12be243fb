"""Portfolios of sub-accounts, also where calendars differ, by hand."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.run import (
    PORTFOLIO,
    combine,
    portfolio_clock,
    run_backtest,
)
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DAY,
    DEAR,
    FREE,
    asset_of,
    random_asset,
    random_targets,
)


def run(bars, targets, costs=FREE, money=100.0):
    return run_backtest("it", bars, np.asarray(targets, dtype=float), costs, money)


def days(index):
    return [int(x.value / DAY) for x in index]


def test_two_assets_of_different_calendars_by_hand():
    # A has days 1 2 3 4, B has days 0 2 4 5: B starts earlier, misses 1 and 3, and ends later.
    a = run(
        asset_of([10, 10, 20, 20], [10, 20, 20, 30], DAY * np.arange(1, 5), symbol="A"), [1, 1, 0]
    )
    b = run(
        asset_of([10, 10, 5, 5], [10, 5, 5, 10], DAY * np.array([0, 2, 4, 5]), symbol="B"),
        [1, 0, -1],
    )
    np.testing.assert_allclose(a.equity, [100, 200, 200, 200])
    np.testing.assert_allclose(b.equity, [100, 50, 50, 0.00005])
    both = combine([a, b])
    assert both.symbol == PORTFOLIO
    assert both.strategy == "it"
    assert days(both.timestamps) == [0, 1, 2, 3, 4, 5]
    #                                     0    1    2    3    4    5
    np.testing.assert_allclose(both.equity, [200, 200, 250, 250, 250, 200.00005])
    # A trades the bars that end on 2 (in at 100) and 4 (out at 200); B those that end on 2, 4, 5.
    # Of the portfolio's equity at the close before: 100 + 100 of 200; 200 + 50 of 250; 50 of 250.
    np.testing.assert_allclose(both.turnover, [0, 1, 0, 1, 0.2], atol=1e-12)
    assert both.costs.tolist() == [0] * 5
    # The last bar: A has ended, B is short 50 of 250.
    assert both.exposure[-1] == pytest.approx(-50 / 250)
    # The bar that ends on 2: both are long with all they have.
    assert both.exposure[1] == pytest.approx(1.0)
    assert both.trades["symbol"].tolist() == ["A", "B", "B"]


def test_one_account_is_itself():
    one = run(random_asset(50), random_targets(49, (-1.0, 0.0, 1.0)), DEAR)
    same = combine([one])
    np.testing.assert_array_equal(same.equity, one.equity)
    np.testing.assert_allclose(same.exposure, one.exposure, rtol=1e-14)
    np.testing.assert_allclose(same.turnover, one.turnover, rtol=1e-14)
    np.testing.assert_array_equal(same.costs, one.costs)
    pd.testing.assert_frame_equal(same.trades, one.trades)


def test_twins_are_one_of_twice_the_money():
    one = run(random_asset(50), random_targets(49, (0.0, 0.5, 1.0)), DEAR)
    both = combine([one, one])
    np.testing.assert_allclose(both.equity, 2 * one.equity, rtol=1e-15)
    np.testing.assert_allclose(both.exposure, one.exposure, rtol=1e-13)
    np.testing.assert_allclose(both.turnover, one.turnover, rtol=1e-13)
    np.testing.assert_allclose(both.costs, 2 * one.costs, rtol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_money_costs_and_trades_add_up(seed):
    rng = np.random.default_rng(seed)
    results = []
    for i in range(4):
        whole = random_asset(60, seed * 10 + i)
        keep = np.sort(rng.choice(60, size=rng.integers(2, 50), replace=False))
        bars = asset_of(whole.open[keep], whole.close[keep], whole.times[keep], symbol=f"S{i}")
        results.append(run(bars, random_targets(len(keep) - 1, (-1.0, 0.0, 1.0), seed + i), DEAR))
    both = combine(results)
    assert both.equity[0] == pytest.approx(400.0)
    assert both.equity[-1] == pytest.approx(sum(r.equity[-1] for r in results))
    assert both.costs.sum() == pytest.approx(sum(r.costs.sum() for r in results))
    assert both.trades["pnl"].sum() == pytest.approx(both.equity[-1] - 400.0)
    assert both.trades["entry_time"].is_monotonic_increasing
    # At every moment: the sum of what each account was worth last.
    table = pd.concat([pd.Series(r.equity, r.timestamps) for r in results], axis=1, sort=True)
    np.testing.assert_allclose(both.equity, table.ffill().fillna(100.0).sum(axis=1), rtol=1e-13)
    assert both.timestamps.equals(pd.DatetimeIndex(table.index))


def test_no_trades_at_all():
    results = [run(random_asset(9, i, symbol=f"S{i}"), np.zeros(8)) for i in range(3)]
    both = combine(results)
    assert len(both.trades) == 0
    assert (both.equity == 300.0).all()


def at(stamps, symbol, seed):
    """A random walk that closes at these times."""
    whole = random_asset(len(stamps), seed)
    times = pd.DatetimeIndex(stamps).as_unit("ns").asi8
    return asset_of(whole.open, whole.close, times, symbol=symbol)


WEEKDAYS = pd.bdate_range("2015-01-01", periods=523, tz="UTC")  # to 2017-01-02: two years
NEW_YORK = WEEKDAYS + pd.Timedelta(hours=21)
LONDON = WEEKDAYS + pd.Timedelta(hours=16, minutes=30)
EVERY_DAY = pd.date_range("2015-01-02", "2017-01-03", tz="UTC")  # midnights: closes of the day past


@pytest.mark.parametrize(
    ("closes", "bars", "a_year"),
    [
        # 522 steps over 732 days. Counted stamp by stamp there were 522 bars a year.
        ([NEW_YORK, LONDON], 523, 522 / 732 * 365.25),
        ([LONDON, NEW_YORK, WEEKDAYS + pd.Timedelta(hours=6)], 523, 522 / 732 * 365.25),
        # The coin trades on all days, so the portfolio does, too; the stock does not.
        ([NEW_YORK, EVERY_DAY], 733, 365.25),
    ],
)
def test_a_portfolio_has_one_bar_a_day_and_each_asset_its_own_year(closes, bars, a_year):
    assets = [at(stamps, f"S{i}", i) for i, stamps in enumerate(closes)]
    results = [
        run(a, random_targets(len(a.close) - 1, (0.0, 1.0), i), DEAR) for i, a in enumerate(assets)
    ]
    both = combine(results)
    assert len(both.timestamps) == bars
    assert infer_periods_per_year(both.timestamps) == pytest.approx(a_year)
    for result, stamps in zip(results, closes, strict=True):
        steps = len(stamps) - 1
        own = steps / ((stamps[-1] - stamps[0]) / pd.Timedelta(days=1)) * 365.25
        assert infer_periods_per_year(result.timestamps) == pytest.approx(own)
    # No money is lost on the way, and the whole is what each account was worth last.
    assert both.costs.sum() == pytest.approx(sum(r.costs.sum() for r in results))
    table = pd.concat([pd.Series(r.equity, r.timestamps) for r in results], axis=1, sort=True)
    worth = table.ffill().fillna(100.0).sum(axis=1)
    np.testing.assert_allclose(both.equity, worth.loc[both.timestamps], rtol=1e-13)


def test_one_move_of_the_market_is_one_return():
    """The same prices, seen at two hours: the portfolio is as volatile as its members.

    Counted stamp by stamp, a day's move came in two halves of the same sign, and volatility was
    lower by the square root of two.
    """
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(WEEKDAYS))))
    results = [
        run(asset_of(close, close, stamps.as_unit("ns").asi8, symbol=name), np.ones(len(close) - 1))
        for name, stamps in (("N", NEW_YORK), ("L", LONDON))
    ]
    both = combine(results)
    np.testing.assert_allclose(both.equity, 2 * results[0].equity, rtol=1e-12)


def test_hours_of_two_markets_and_bars_of_one_hour_are_never_merged():
    first = pd.date_range("2015-01-01 10:00", periods=50, freq="h", tz="UTC")
    half = first + pd.Timedelta(minutes=30)
    assert len(portfolio_clock([first, half])) == 51
    assert portfolio_clock([first]).equals(first)
    # A market with two bars within one hour keeps both.
    odd = first[:40].append(first[40:41] - pd.Timedelta(minutes=61)).sort_values()
    assert portfolio_clock([odd, half]).equals(odd.union(half))
