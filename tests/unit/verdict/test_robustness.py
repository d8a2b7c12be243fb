"""What a result can bear, by hand."""

import json
import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.testing.trading_cases import DAY, FREE
from reinforcestrategycreator_pipeline.verdict.robustness import Robustness, robustness

NO_FEATURES = Inputs(())


def span_of(close, volume=None, costs=FREE, symbols=("A",)):
    close = np.asarray(close, dtype=np.float64)
    opens = np.concatenate([close[:1], close[:-1]])
    columns = {"open": opens, "close": close}
    if volume is not None:
        columns["volume"] = np.full(len(close), float(volume))
    times = np.arange(len(close)) * DAY
    none = np.empty((len(close), 0))
    assets = tuple(AssetBars(s, times, opens, close, none, columns) for s in symbols)
    return MarketSpan(assets, NO_FEATURES, TradingRules((0.0, 1.0), costs, initial_equity=1000.0))


def results_of(span, **targets):
    """Backtest the same targets on every asset."""
    costs, money = span.rules.costs, 1000.0 / len(span.assets)
    by_asset = {
        bars.symbol: {
            n: run_backtest(n, bars, np.array(x), costs, money) for n, x in targets.items()
        }
        for bars in span.assets
    }
    portfolio = {n: combine([found[n] for found in by_asset.values()]) for n in targets}
    return {PORTFOLIO: portfolio, **by_asset}


def bears(span, hindsight=(), **targets):
    results = results_of(span, **targets)
    name, rng = next(iter(targets)), np.random.default_rng(0)
    return robustness(results, name, span, rng, frozenset(hindsight))


def test_costs_that_leave_nothing():
    """In at 100 and out at 121: 1.21 (1 - c) / (1 + c) = 1 at c = 0.21 / 2.21 = 950 bps."""
    span = span_of([100.0, 110.0, 121.0, 121.0, 121.0])
    found = bears(span, it=[1.0, 1.0, 0.0, 0.0])
    assert found.costs_bps == pytest.approx(0.21 / 2.21 * 1e4, abs=0.01)
    assert found.costs_over_hold_bps is None  # holding earned as much
    assert found.growth == pytest.approx(math.log(1.21))


def test_costs_that_leave_what_is_free():
    """It is out of the market in the bar that halves, and so has twice what holding leaves."""
    span = span_of([100.0, 110.0, 55.0, 60.5, 60.5])
    found = bears(span, it=[1.0, 0.0, 1.0, 0.0])
    # In, out, in, out: 1.1 * 1.1 * ((1 - c) / (1 + c))^2 = 0.605, what holding leaves.
    factor = math.sqrt(0.605 / 1.21)
    expected = (1 - factor) / (1 + factor) * 1e4
    assert found.costs_over_hold_bps == pytest.approx(expected, abs=0.01)
    assert found.costs_bps == pytest.approx((1 - 1 / 1.1) / (1 + 1 / 1.1) * 1e4, abs=0.01)


def test_without_trades_or_gain_there_is_nothing_to_bear():
    span = span_of([100.0, 90.0, 81.0])
    for targets in ([0.0, 0.0], [1.0, 1.0]):
        found = bears(span, it=targets)
        assert (found.costs_bps, found.capacity, found.probability) == (None, None, None)
    still = bears(span_of([100.0, 200.0, 400.0]), it=[1.0, 1.0])  # one trade, and never out
    assert still.costs_bps is None


def test_a_late_bar():
    span = span_of([100.0, 110.0, 99.0, 108.9])
    found = bears(span, it=[1.0, 0.0, 1.0])
    assert found.growth == pytest.approx(2 * math.log(1.1))
    assert found.delayed_growth == pytest.approx(math.log(0.9))  # held in the second bar alone


def test_capacity():
    """Growth ln 1.21; one purchase and one sale of all equity: 2 sigma sqrt(A / V)."""
    close = [100.0, 110.0, 121.0, 121.0, 121.0]
    span = span_of(close, volume=1e4)
    found = bears(span, it=[1.0, 1.0, 0.0, 0.0])
    sigma = np.diff(np.log(close)).std()
    # Bought on the bar that closes at 110, sold on the one that closes at 121.
    per_root = sigma / math.sqrt(1.1e6) + sigma / math.sqrt(1.21e6)
    assert found.capacity == pytest.approx((math.log(1.21) / per_root) ** 2, rel=1e-9)
    assert bears(span_of(close), it=[1.0, 1.0, 0.0, 0.0]).capacity is None
    assert bears(span_of(close, volume=0), it=[1.0, 1.0, 0.0, 0.0]).capacity is None
    # Half of the money in each of two such markets can be twice as much.
    two = bears(span_of(close, 1e4, symbols=("A", "B")), it=[1.0, 1.0, 0.0, 0.0])
    assert two.capacity == pytest.approx(2 * found.capacity, rel=1e-9)


def test_excess_over_each_that_knows_no_future():
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0005, 0.01, 400)))
    span = span_of(close)
    long, flat = np.ones(399), np.zeros(399)
    half = np.where(np.arange(399) < 200, 1.0, 0.0)
    found = bears(span, {"knows"}, it=half, same=half, flat=flat, long=long, knows=flat)
    assert list(found.excess) == ["same", "flat", "long"]
    assert found.excess["same"] is None
    returns = {
        n: np.diff(r.equity) / r.equity[:-1]
        for n, r in results_of(span, a=half, b=long)[PORTFOLIO].items()
    }
    mean = infer_periods_per_year(span.assets[0].timestamps) * (returns["a"] - returns["b"]).mean()
    own = found.excess["long"]
    assert own.mean == pytest.approx(mean)
    assert own.low < own.mean < own.high
    assert bears(span_of(close[:20]), it=half[:19], flat=flat[:19]).excess == {"flat": None}


def test_dearer_trades_come_on_top_of_what_is_paid():
    close = [100.0, 110.0, 121.0, 121.0, 121.0]
    cheap = bears(span_of(close), it=[1.0, 1.0, 0.0, 0.0]).costs_bps
    paid = bears(span_of(close, costs=CostConfig(300.0, 0.0, 0.0)), it=[1.0, 1.0, 0.0, 0.0])
    assert paid.costs_bps == pytest.approx(cheap - 300.0, abs=0.01)


def test_saved_as_it_was():
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.001, 0.01, 100)))
    found = bears(span_of(close, 1e5), it=rng.integers(0, 2, 99).astype(float), long=np.ones(99))
    assert Robustness.from_json(json.loads(json.dumps(found.to_json()))) == found
