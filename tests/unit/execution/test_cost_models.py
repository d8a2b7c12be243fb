"""Commission per share, impact and funding: by hand, and 10,000 random accounts bar by bar."""

import dataclasses

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.execution.account import Ledger, shares_to_trade
from reinforcestrategycreator_pipeline.execution.accounting import (
    RUIN_GROWTH,
    BarPrices,
    bar_growth,
    bar_outcome,
)
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.policies.oracle import best_choices
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, FREE, asset_of

ACCOUNTS, BARS = 10_000, 8
DAY = 1.0 / 365.0
PER_SHARE = dataclasses.replace(FREE, commission_per_share=0.1)
IMPACT = dataclasses.replace(FREE, impact_bps=2_000.0)
FUNDED = dataclasses.replace(FREE, funding_bps_per_year=1_000.0)
ALL = dataclasses.replace(
    DEAR, commission_per_share=0.02, impact_bps=80.0, funding_bps_per_year=900.0
)
CASES = {"per share": PER_SHARE, "impact": IMPACT, "funded": FUNDED, "all": ALL}


def test_commission_per_share_by_hand():
    # 1,010 of money at an open of 10: 100 shares for 1,000, and 0.10 for each. Close 11.
    out = bar_outcome(BarPrices(10, 10, 10, 11, DAY), 0.0, 1.0, PER_SHARE)
    assert out.growth == pytest.approx(1_100 / 1_010, rel=1e-15)
    assert out.trading_cost == pytest.approx(10 / 1_010, rel=1e-13)
    # Sold at an open of 20, the same 0.10 is half of a percent.
    out = bar_outcome(BarPrices(20, 20, 20, 20, DAY), 1.0, 0.0, PER_SHARE)
    assert out.growth == pytest.approx(0.995, rel=1e-15)


def test_impact_by_hand():
    # Equity 1,000; 25 shares at an open of 10 are a quarter of it. Impact moves the fill by 20%
    # times the root of a quarter, to 11: 275 are paid for 250, and 250 of 975 are the target.
    out = bar_outcome(BarPrices(10, 10, 10, 10, DAY), 0.0, 10 / 39, IMPACT)
    assert out.growth == pytest.approx(0.975, rel=1e-14)
    assert out.traded == pytest.approx(0.25, rel=1e-14)
    # All of it sold, at 20% below the open.
    out = bar_outcome(BarPrices(10, 10, 10, 10, DAY), 1.0, 0.0, IMPACT)
    assert out.growth == pytest.approx(0.8, rel=1e-14)
    # With 1% of commission on what is filled: 8 a share, less 0.08.
    costs = dataclasses.replace(IMPACT, commission_bps=100.0)
    out = bar_outcome(BarPrices(10, 10, 10, 10, DAY), 1.0, 0.0, costs)
    assert out.growth == pytest.approx(0.792, rel=1e-14)


def test_funding_by_hand():
    # 10% a year on the value at the close: 0.5 drifted to 10/15 of an equity of 1.5 held for 73
    # days costs 1/75 of equity; a short of as much as its equity receives 2%.
    prices = BarPrices(10, 20, 20, 20, 0.2)
    assert bar_outcome(prices, 0.5, 0.0, FUNDED).carrying_cost == pytest.approx(1 / 75, rel=1e-14)
    flat = BarPrices(10, 10, 10, 10, 0.2)
    assert bar_growth(flat, -1.0, 0.0, FUNDED) == pytest.approx(1.02, rel=1e-15)
    assert bar_growth(flat, 0.0, 0.0, FUNDED) == 1.0


def test_fills_of_the_trades_show_the_impact():
    bars = asset_of([10, 10, 10], [10, 10, 10])
    trade = run_backtest("it", bars, np.array([10 / 39, 0.0]), IMPACT, 1_000.0).trades.iloc[0]
    assert trade.entry_price == pytest.approx(11.0, rel=1e-14)
    # 250 of 975 are sold: 10 (1 - 0.2 sqrt(10 / 39)).
    assert trade.exit_price == pytest.approx(10 - 2 * np.sqrt(10 / 39), rel=1e-13)


def test_a_trade_that_impact_makes_dearer_than_the_equity_ruins():
    costs = dataclasses.replace(FREE, impact_bps=4_999.0)
    out = bar_outcome(BarPrices(10, 10, 10, 10, DAY), 3.0, 0.0, costs)  # 3^1.5 / 2 = 2.6
    assert out.ruined
    assert out.growth == RUIN_GROWTH


@pytest.fixture(scope="module")
def accounts():
    """Prices, previous targets and targets of 10,000 accounts, each with prices of its own."""
    rng = np.random.default_rng(11)
    shape = ACCOUNTS, BARS
    close = 40.0 * np.exp(np.cumsum(0.03 * rng.standard_normal(shape), axis=1))
    open_ = close * np.exp(0.01 * rng.standard_normal(shape))
    years = rng.integers(1, 5, (ACCOUNTS, BARS - 1)) / 365.0
    targets = rng.choice([-1.0, -0.5, 0.0, 0.3, 1.0, 1.5], (ACCOUNTS, BARS - 1))
    previous = np.concatenate([np.zeros((ACCOUNTS, 1)), targets[:, :-1]], axis=1)
    prices = BarPrices(open_[:, :-1], close[:, :-1], open_[:, 1:], close[:, 1:], years)
    return prices, previous, targets


@pytest.mark.parametrize("name", CASES)
def test_money_is_conserved(accounts, name):
    """What the position earned, less all costs, is the growth; the exposure is the target."""
    prices, previous, targets = accounts
    out = bar_outcome(prices, previous, targets, CASES[name])
    assert not out.ruined.any()
    move = prices.close_tm1 / prices.open_tm1
    held = previous * move / (1.0 + previous * (move - 1.0))
    gap = held * (prices.open_t / prices.close_tm1 - 1.0)
    np.testing.assert_allclose(out.equity_at_open, 1.0 + gap - out.carrying_cost, atol=1e-12)
    after = out.equity_at_open - out.trading_cost
    position = out.exposure_at_open * out.equity_at_open + out.traded
    np.testing.assert_allclose(position, targets * after, atol=1e-12)
    session = position * (prices.close_t / prices.open_t - 1.0)
    expected = 1.0 + gap - out.carrying_cost - out.trading_cost + session
    np.testing.assert_allclose(out.growth, expected, atol=1e-12)
    # The trading cost is that of the fill: shares at the price moved, and commission on it.
    costs, size = CASES[name], np.abs(out.traded)
    away = costs.fill_offset + costs.impact * np.sqrt(size / out.equity_at_open)
    fill = 1.0 + np.sign(out.traded) * away
    paid = size * (away + fill * costs.commission_bps * 1e-4)
    paid += size * costs.commission_per_share / prices.open_t
    np.testing.assert_allclose(out.trading_cost, paid, atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "commission_bps",
        "spread_bps",
        "slippage_bps",
        "borrow_bps_per_year",
        "margin_bps_per_year",
        "commission_per_share",
        "impact_bps",
    ],
)
def test_a_cost_never_helps(accounts, name):
    dearer = dataclasses.replace(ALL, **{name: 1.5 * getattr(ALL, name)})
    before, after = (bar_growth(*accounts, costs) for costs in (ALL, dearer))
    assert (after <= before * (1.0 + 1e-13)).all()
    assert (after < before).mean() > 0.1


def test_scale_does_not_matter(accounts):
    """Prices in another unit, and money per share with them: the same bits for a power of 2."""
    prices, previous, targets = accounts
    scaled = BarPrices(*(1_024.0 * x for x in prices[:4]), prices.years)
    costs = dataclasses.replace(ALL, commission_per_share=1_024.0 * ALL.commission_per_share)
    one, other = bar_growth(*accounts, ALL), bar_growth(scaled, previous, targets, costs)
    np.testing.assert_array_equal(one, other)


def test_a_bar_alone_is_the_bar_among_others(accounts):
    whole = bar_growth(*accounts, ALL)
    prices, previous, targets = accounts
    for i, t in [(0, 0), (7, 3), (9_999, 6)]:
        one = bar_growth(prices.at((i, t)), previous[i, t], targets[i, t], ALL)
        assert one == whole[i, t]


@pytest.mark.parametrize("name", CASES)
def test_the_ledger_agrees(accounts, name):
    """Shares and money, with bisection where the kernel has Newton: 500 accounts, to 1e-10."""
    prices, _, targets = accounts
    costs = CASES[name]
    growth = bar_growth(*accounts, costs)[:500]
    expected = 1e5 * np.cumprod(growth, axis=1)
    for i in range(500):
        ledger = Ledger(1e5, costs)
        ledger.close(float(prices.close_tm1[i, 0]))
        for t, target in enumerate(targets[i].tolist()):
            open_ = float(prices.open_t[i, t])
            ledger.open(open_, float(prices.years[i, t]))
            shares = shares_to_trade(target, ledger.equity, ledger.shares, open_, costs)
            if shares:
                ledger.trade(shares)
            ledger.close(float(prices.close_t[i, t]))
            assert ledger.equity == pytest.approx(expected[i, t], rel=1e-10)


@pytest.mark.parametrize("name", ["commission_per_share", "impact_bps", "funding_bps_per_year"])
def test_the_comparison_sees_a_planted_fault(accounts, name):
    wrong = dataclasses.replace(ALL, **{name: 1.001 * getattr(ALL, name)})
    one, other = (bar_growth(*accounts, costs).prod(axis=1) for costs in (ALL, wrong))
    assert (np.abs(other / one - 1.0) > 1e-9).mean() > 0.9


def test_the_oracle_is_the_best_of_all_paths():
    rng = np.random.default_rng(3)
    bars = asset_of(*(40 * np.exp(0.03 * rng.standard_normal((2, 7))).cumprod(axis=1)))
    grid = np.array([-1.0, 0.0, 1.0])
    table = np.log(bar_growth(bars.prices.at(np.s_[:, None, None]), grid[:, None], grid, ALL))
    paths = np.stack(np.meshgrid(*[np.arange(3)] * 6, indexing="ij"), axis=-1).reshape(-1, 6)
    ends = [run_backtest("it", bars, grid[path], ALL, 1.0).equity[-1] for path in paths.tolist()]
    assert best_choices(table)[0][1] == pytest.approx(np.log(max(ends)), rel=1e-12)


def test_vanishing_parameters_change_nothing(accounts):
    """Another branch of the kernel, and the numbers of the one for the defaults."""
    plain = bar_growth(*accounts, CostConfig())
    tiny = dataclasses.replace(CostConfig(), commission_per_share=1e-300, impact_bps=1e-300)
    np.testing.assert_allclose(bar_growth(*accounts, tiny), plain, rtol=1e-14)


def test_wild_trades_agree_with_bisection():
    """Impact of up to half the price, and reversals of three times the equity: 2,000 trades."""
    rng = np.random.default_rng(5)
    ruined = 0
    for _ in range(2_000):
        w, q = rng.uniform(-3.0, 3.0, 2).tolist()
        costs = dataclasses.replace(
            FREE,
            commission_bps=float(10 ** rng.uniform(-2, 3)),
            impact_bps=float(10 ** rng.uniform(-3, 3.69)),
        )
        kernel = bar_outcome(BarPrices(10, 10, 10, 10, DAY), w, q, costs)
        ledger = Ledger(1.0, FREE)
        ledger.close(10.0)
        ledger.trade(w / 10.0)
        ledger.costs = costs
        shares = shares_to_trade(q, ledger.equity, ledger.shares, 10.0, costs)
        ledger.trade(shares)
        assert ledger.equity == pytest.approx(float(kernel.growth), rel=1e-9)
        assert ledger.ruined == kernel.ruined
        ruined += ledger.ruined
    assert 20 < ruined < 500
