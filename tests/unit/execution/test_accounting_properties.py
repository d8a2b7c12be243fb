"""What must hold for every bar, whatever its prices, targets and costs."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.execution.accounting import (
    RUIN_GROWTH,
    BarPrices,
    bar_growth,
    bar_outcome,
    exposure_at_close,
)
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import FREE, repeatable

move = st.floats(0.7, 1.4)
exposure = st.floats(-1.5, 2.5)
bps = st.floats(0.0, 100.0)


@st.composite
def bars(draw):
    open_tm1 = draw(st.floats(0.01, 1e5))
    close_tm1 = open_tm1 * draw(move)
    open_t = close_tm1 * draw(move)
    years = draw(st.floats(0.0, 0.1))
    return BarPrices(*map(np.float64, (open_tm1, close_tm1, open_t, open_t * draw(move), years)))


@st.composite
def costs(draw):
    return CostConfig(*(draw(bps) for _ in range(3)), draw(bps) * 10, draw(bps) * 10)


def scaled(prices, factor):
    return BarPrices(*(x * factor for x in prices[:4]), prices.years)


@repeatable
@given(bars(), exposure, exposure, costs())
def test_exposure_after_costs_is_the_target(prices, p, q, cost):
    out = bar_outcome(prices, p, q, cost)
    assume(out.equity_at_open > 0.01 and not out.ruined)
    held = out.exposure_at_open * out.equity_at_open + out.traded
    after = out.equity_at_open - out.trading_cost
    assert abs(held / after - q) < 1e-12


@repeatable
@given(bars(), exposure, exposure, costs())
def test_cost_is_proportional_to_what_is_traded(prices, p, q, cost):
    out = bar_outcome(prices, p, q, cost)
    assume(out.equity_at_open > 0.01 and not out.ruined)
    rate = cost.buy_cost if out.traded > 0 else cost.sell_cost
    assert abs(out.trading_cost - rate * abs(out.traded)) < 1e-12 * (1 + abs(out.traded))


@repeatable
@given(bars(), exposure, exposure, costs(), st.floats(1e-6, 1e6))
def test_growth_does_not_depend_on_the_scale_of_prices(prices, p, q, cost, factor):
    assume(bar_outcome(prices, p, q, cost).equity_at_open > 0.01)
    growth = bar_growth(prices, p, q, cost)
    np.testing.assert_allclose(bar_growth(scaled(prices, factor), p, q, cost), growth, rtol=1e-11)
    # A power of two changes no digit.
    assert bar_growth(scaled(prices, 2.0**13), p, q, cost) == growth


@repeatable
@given(bars(), exposure, exposure)
def test_without_costs_growth_is_gap_times_session(prices, p, q):
    o0, c0, o1, c1, _ = prices
    # In money and shares: 1 of equity at the close, w of it in shares.
    equity = 1 + p * (c0 / o0 - 1)
    assume(equity > 0.01)
    shares = p / o0 / equity
    at_open = 1 + shares * (o1 - c0)
    assume(at_open > 0.01)
    expected = at_open * (1 + q * (c1 / o1 - 1))
    assume(expected > 0.01)
    np.testing.assert_allclose(bar_growth(prices, p, q, FREE), expected, rtol=1e-11)


@repeatable
@given(bars(), exposure, exposure, costs(), st.sampled_from(range(5)), st.floats(0.0, 200.0))
def test_more_cost_is_never_more_growth(prices, p, q, cost, which, more):
    assume(bar_outcome(prices, p, q, cost).equity_at_open > 0.01)
    values = [
        cost.commission_bps,
        cost.spread_bps,
        cost.slippage_bps,
        cost.borrow_bps_per_year,
        cost.margin_bps_per_year,
    ]
    values[which] += more
    growth = bar_growth(prices, p, q, cost)
    assert bar_growth(prices, p, q, CostConfig(*values)) <= growth * (1 + 1e-12)


@repeatable
@given(bars(), exposure, exposure, costs())
def test_costs_are_never_negative_nor_more_than_there_is(prices, p, q, cost):
    out = bar_outcome(prices, p, q, cost)
    assert out.carrying_cost >= 0.0
    assert -1e-14 <= out.trading_cost <= out.equity_at_open


@repeatable
@given(
    st.tuples(*[st.floats(1e-6, 1e6)] * 4),
    st.floats(-20.0, 20.0),
    st.floats(-20.0, 20.0),
    costs(),
)
def test_growth_is_finite_and_at_least_ruin_for_any_prices(four, p, q, cost):
    prices = BarPrices(*map(np.float64, (*four, 0.01)))
    out = bar_outcome(prices, p, q, cost)
    assert all(np.isfinite(np.asarray(x, dtype=float)) for x in out)
    assert out.growth >= RUIN_GROWTH
    assert out.ruined == (out.growth == RUIN_GROWTH)
    assert np.isfinite(exposure_at_close(p, prices.open_tm1, prices.close_tm1))


@repeatable
@given(bars(), costs())
def test_doing_nothing_costs_nothing(prices, cost):
    out = bar_outcome(prices, 0.0, 0.0, cost)
    assert out.growth == 1.0
    assert out.trading_cost == 0.0
    assert out.traded == 0.0


@repeatable
@given(bars(), exposure, exposure, costs())
def test_close_of_the_next_bar_changes_nothing_before_it(prices, p, q, cost):
    """Look-ahead no. 6: the fill at open(t+1) knows nothing of what follows it."""
    one = bar_outcome(prices, p, q, cost)
    other = bar_outcome(prices._replace(close_t=prices.close_t * 1.37), p, q, cost)
    for name in ("equity_at_open", "exposure_at_open", "traded", "trading_cost", "carrying_cost"):
        assert getattr(one, name) == getattr(other, name)


def test_arrays_broadcast_to_what_single_bars_give():
    rng = np.random.default_rng(3)
    prices = BarPrices(*rng.uniform(5.0, 9.0, (4, 6, 1, 1)), rng.uniform(0.0, 0.01, (6, 1, 1)))
    grid = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    cost = CostConfig()
    table = bar_outcome(prices, grid[:, None], grid, cost)
    for t in range(6):
        for i, p in enumerate(grid):
            for j, q in enumerate(grid):
                one = bar_outcome(BarPrices(*(x[t, 0, 0] for x in prices)), p, q, cost)
                for field, many in zip(one, table, strict=True):
                    whole = np.broadcast_to(many, (6, 5, 5))
                    assert field == whole[t, i, j]
