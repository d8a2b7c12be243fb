"""The markets and the informed rules by which the benchmarks judge a learner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.ensemble_report import calibration, ratio_and_error, slope_and_error
from benchmarks.planted_markets import (
    Figures,
    PlantedMarket,
    constant_targets,
    expected,
    figures,
    figures_of_indices,
    fitted_width,
    hysteresis,
    informed_targets,
    planted_market,
    strength,
    value_iteration_targets,
)
from planted import SHORTS, value_iteration_policy

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource

DAY_NS = 86_400 * 10**9


def test_the_spans_are_those_of_a_run_with_all_visible_columns():
    source = SyntheticSource(kind="product_signal", n_bars=1000, irrelevant=2, edge_bps=5.0)
    market = planted_market(source, seed=3)
    # 760 bars with features: 20% each of validation and test, and five unused before each.
    spans = (market.train, market.validation, market.test)
    assert [len(span.assets[0].close) for span in spans] == [446, 152, 152]
    assert market.test.inputs.names[17:] == ("signal_1", "signal_2", "noise_1", "noise_2")
    given = {"kind": "product_signal", "n_bars": 1000, "irrelevant": 2, "edge_bps": 5.0}
    bars = read_bars(source="synthetic", seed=3, **given)["SYN"]
    (asset,) = market.test.assets
    np.testing.assert_array_equal(asset.close, bars["close"].iloc[-152:])
    np.testing.assert_array_equal(asset.features[:, 17:], bars.iloc[-152:, 5:])


def test_hysteresis_keeps_a_side_until_the_other_one_is_strong():
    z = np.array([0.1, 0.6, 0.2, -0.3, -0.6, 0.4, 0.5, 0.7])
    np.testing.assert_array_equal(hysteresis(z, 0.5), [0, 1, 1, 1, -1, -1, -1, 1])


def test_strength_has_the_sign_of_the_planted_mean():
    x, y = np.array([2.0, -2.0, 0.5, -0.5]), np.array([1.0, 1.0, -3.0, -3.0])
    product = strength("product_signal", {"signal_1": x, "signal_2": y})
    np.testing.assert_array_equal(product, [1.0, -1.0, -0.5, 0.5])
    gated = strength("gated_momentum", {"signal": x, "gate": y})
    np.testing.assert_array_equal(gated, [2.0, -2.0, -0.5, 0.5])
    with pytest.raises(ValueError, match="no rule knows the edge of 'random_walk'"):
        strength("random_walk", {})


@pytest.mark.parametrize("edge_bps", [10.0, 30.0])
def test_the_fitted_band_reverses_where_value_iteration_does(edge_bps):
    costs = CostConfig()
    grid, table = value_iteration_policy(edge=edge_bps * 1e-4, cost=costs.buy_cost)
    # From short, it goes flat at `leaves`, and long at `reverses`; from long the other way round,
    # but later, as a short costs more to carry.
    leaves, reverses = grid[table[:, 0] >= 1].min(), -grid[table[:, 2] == 0].max()
    width = fitted_width(SyntheticSource(kind="ar1_signal", edge_bps=edge_bps), costs)
    assert leaves - 0.05 <= width <= reverses + 0.05


def span_of(open_, close, costs):
    times = DAY_NS * np.arange(len(close), dtype=np.int64)
    asset = AssetBars("X", times, np.array(open_), np.array(close), np.zeros((len(close), 0)))
    return MarketSpan((asset,), Inputs(()), TradingRules(SHORTS, costs))


def test_figures_of_a_path_worked_by_hand():
    costs = CostConfig(
        commission_bps=100.0,
        spread_bps=0.0,
        slippage_bps=0.0,
        borrow_bps_per_year=0.0,
        margin_bps_per_year=0.0,
    )
    span = span_of([100.0, 100.0, 110.0, 121.0], [100.0, 110.0, 121.0, 121.0], costs)
    found = figures(span, np.array([1.0, 1.0, 0.0]))
    # 1 / 1.01 is invested and rises by 21%; 1% of the sale is paid. One of the days, from Thursday
    # on, is a Saturday: 365.25 bars a year.
    assert found.log_growth == pytest.approx(np.log(1.21 / 1.01 * 0.99), rel=1e-12)
    assert found.changes == 2
    assert found.costs_a_year == pytest.approx((0.01 / 1.01 + 0.01) / 3 * 365.25, rel=1e-12)
    r = np.array([1.1 / 1.01, 1.1, 0.99]) - 1
    assert found.sharpe == pytest.approx(r.mean() / r.std(ddof=1) * np.sqrt(365.25), rel=1e-12)
    assert found.return_a_year == pytest.approx(r.mean() * 365.25, rel=1e-12)
    assert figures_of_indices(span, np.array([2, 2, 1])) == found
    assert figures(span, np.zeros(3)) == Figures(0.0, 0.0, 0, 0.0, 0.0)
    np.testing.assert_array_equal(constant_targets(span), [1, 1, 1])
    falling = span_of([100.0, 100.0, 90.0], [100.0, 90.0, 80.0], costs)
    np.testing.assert_array_equal(constant_targets(span, chosen_on=falling), [-1, -1, -1])


@pytest.mark.parametrize("kind", ["ar1_signal", "product_signal", "gated_momentum"])
def test_who_knows_the_edge_earns_it(kind):
    market = planted_market(SyntheticSource(kind=kind, n_bars=20_000, edge_bps=30.0), seed=1)
    informed = figures(market.test, informed_targets(market))
    # 3,952 bars. The mean is at most 30 bps (for a sign) or 30 bps times 0.8 = E|s|; a third of it
    # goes to costs and delays at most, and half of the variance, 0.5 bps or 0.6, is lost.
    assert informed.log_growth > 3952 * (24 * 2 / 3 - 0.6) * 1e-4
    assert informed.log_growth > figures(market.test, constant_targets(market.test)).log_growth
    if kind == "ar1_signal":
        best = figures(market.test, value_iteration_targets(market))
        assert best.log_growth == pytest.approx(informed.log_growth, rel=0.05)


# -- what to expect: an AR(1) edge of 100 bps under 10% noise, worked by hand ------------------


@pytest.fixture
def two_percent():
    """Return what to expect of means of 2%, -1% and 3%, at 1% for a trade and 0.1% for a short."""
    costs = CostConfig(
        commission_bps=100.0,
        spread_bps=0.0,
        slippage_bps=0.0,
        borrow_bps_per_year=10.0 * 365,
        margin_bps_per_year=0.0,
    )
    span = span_of(np.ones(4), np.ones(4), costs)
    signal = {"signal": np.array([9.0, 2.0, -1.0, 3.0, 9.0])}  # one bar of history, and the last
    span = replace(span, assets=(replace(span.assets[0], columns=signal),))
    source = SyntheticSource(kind="ar1_signal", edge_bps=100.0, volatility=0.1)
    return expected(PlantedMarket(source, span, span, span))


def test_a_long_earns_the_mean_and_a_short_pays_for_its_variance_and_fee(two_percent):
    held = [[-0.02 - 0.011, 0, 0.02], [0.01 - 0.011, 0, -0.01], [-0.03 - 0.011, 0, 0.03]]
    np.testing.assert_allclose(two_percent.held, held, atol=1e-15)
    np.testing.assert_allclose(
        two_percent.cost, [[0, 0.01, 0.02], [0.01, 0, 0.01], [0.02, 0.01, 0]], atol=1e-15
    )
    # Long, then short at twice the cost, then flat.
    np.testing.assert_allclose(
        two_percent.growth(np.array([2, 0, 1])), [0.01, -0.001 - 0.02, -0.01], atol=1e-15
    )
    # Half of 10% squared is the mean of a simple return above that of its logarithm.
    np.testing.assert_allclose(
        two_percent.returns(np.array([2, 0, 1])), [0.015, -0.016, -0.01], atol=1e-15
    )


def test_the_value_of_a_target_follows_the_table_from_the_next_decision_on(two_percent):
    # Then everybody goes flat, and after that all but the shorts go long.
    table = np.array([[0, 0, 0], [1, 1, 1], [0, 2, 2]])
    # Of two bars, at half the weight for the second: first the target's, then a flat one's, 0, less
    # what going there costs; at the second decision, a short stays and others are or go long.
    short, flat, long = -0.031 - 0.5 * 0.01, 0.0, 0.02 - 0.5 * 0.01
    second = [-0.001 - 0.5 * 0.041, 0.5 * (0.03 - 0.01), -0.01 + 0.5 * 0.03]
    found = two_percent.values(table, gamma=0.5, bars=2)
    np.testing.assert_allclose(found, [[short, flat, long], second], atol=1e-15)
    # Of three bars, from flat the third one is long.
    third = 0.25 * (0.03 - 0.01)
    found = two_percent.values(table, gamma=0.5, bars=3)
    np.testing.assert_allclose(found, [[short + third, flat + third, long + third]], atol=1e-15)


@pytest.mark.parametrize("kind", ["ar1_signal", "product_signal", "gated_momentum", "sinusoids"])
def test_without_noise_what_is_expected_comes_true(kind):
    given = {} if kind == "sinusoids" else {"edge_bps": 10.0}
    market = planted_market(SyntheticSource(kind=kind, volatility=1e-6, **given), seed=4)
    (asset,) = market.test.assets
    path = np.random.default_rng(0).integers(3, size=len(asset.close) - 1)
    targets = np.array(SHORTS)[path]
    result = run_backtest("path", asset, targets, market.test.rules.costs, 1.0)
    realized, r = np.diff(np.log(result.equity)), np.abs(np.diff(np.log(asset.close)))
    # What differs is the square of a return, its product with a cost, as a short drifts from its
    # target by twice the return, and the fee of a short, 0.14 bps, which is due a bar later.
    error = np.abs(expected(market).growth(path) - realized)
    around = r + np.concatenate([[0.0], r[:-1]])
    assert (error <= 1.5 * r**2 + 2e-3 * around + 1.6e-5).all()
    assert np.median(error) < 0.05 * np.abs(realized).mean()


# -- statistics of what the ensemble is worth ---------------------------------------------------


def test_a_ratio_of_sums_and_its_error():
    # 6 / 4; residuals 0.5 and -0.5, of standard deviation 0.707, over a mean of 2.
    ratio, error = ratio_and_error(np.array([2.0, 4.0]), np.array([1.0, 3.0]))
    assert ratio == 1.5
    assert error == pytest.approx(np.std([0.5, -0.5], ddof=1) / np.sqrt(2) / 2)


def test_a_slope_and_its_error_without_one_market_at_a_time():
    rng = np.random.default_rng(1)
    markets = [rng.standard_normal((n, 2)) + k for k, n in enumerate((3, 5, 4))]
    slope, error = slope_and_error(markets)
    assert slope == pytest.approx(np.polyfit(*np.concatenate(markets).T, 1)[0])
    left = [np.polyfit(*np.concatenate(markets[:k] + markets[k + 1 :]).T, 1)[0] for k in range(3)]
    assert error == pytest.approx(np.std(left) * np.sqrt(2))


def test_moves_are_counted_by_how_sure_the_policy_was():
    # Each market: one move at z = 0.5 that brings 1 bps, and k + 1 at z = 2 that bring k.
    markets = [np.array([[1.0, 2.0, 1.0]] + [[4.0, 2.0, k]] * (k + 1)) for k in range(6)]
    found = calibration(markets)
    assert found["moves"] == 6 + 21
    low, high = found["by_z"]
    assert (low["from"], low["moves"], low["predicted"], low["realized"]) == (0.5, 6, 1.0, 1.0)
    assert (high["from"], high["moves"], high["predicted"]) == (2.0, 21, 4.0)
    assert high["realized"] == pytest.approx(sum(k * (k + 1) for k in range(6)) / 21)
    assert sum(group["moves"] for group in found["groups"]) == 27
