"""The markets and the informed rules by which the benchmarks judge a learner."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.planted_markets import (
    Figures,
    constant_targets,
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
    assert figures_of_indices(span, np.array([2, 2, 1])) == found
    assert figures(span, np.zeros(3)) == Figures(0.0, 0.0, 0, 0.0)
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
