"""The contract of metrics. Inherit `MetricContract`, override the fixture `name`, and run.

class TestMyMetric(MetricContract):
    @pytest.fixture
    def name(self):
        return "my_module:my_metric"  # or a registered name
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    Metric,
    MetricValue,
    Performance,
    find_metric,
)
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    random_asset,
    random_targets,
)

ARRAYS = ("equity", "exposure", "turnover", "costs")


def random_result(bars: int = 120, seed: int = 0, money: float = 1_000.0) -> StrategyResult:
    """Return the result of random targets, short and long, on a random walk."""
    targets = random_targets(bars - 1, (-1.0, 0.0, 0.5, 1.0), seed, stay=0.8)
    return run_backtest("s", random_asset(bars, seed), targets, DEAR, money)


def idle_result(bars: int = 120) -> StrategyResult:
    """Return the result of an account that never trades."""
    return run_backtest("s", random_asset(bars, 1), np.zeros(bars - 1), DEAR, 1_000.0)


def ruined_result() -> StrategyResult:
    """Return the result of an account that is ruined after 60 bars."""
    result = random_result()
    return dataclasses.replace(result, equity=np.where(np.arange(120) < 60, result.equity, 0.0))


class MetricContract:
    """The contract of a metric, one test per promise."""

    @pytest.fixture
    def name(self) -> str:
        raise NotImplementedError("override the fixture name")

    @pytest.fixture
    def metric(self, name) -> Metric:
        return find_metric(name)

    def test_defined_in_words(self, metric):
        assert metric.label
        assert metric.definition.endswith(".")

    @pytest.mark.parametrize("seed", range(5))
    def test_finite_number_or_a_reason(self, metric, seed):
        for result in (
            random_result(seed=seed),
            random_result(2, seed),
            random_result(3, seed),
            idle_result(),
            idle_result(2),
            ruined_result(),
        ):
            found = metric(Performance(result, 252.0))
            assert isinstance(found, MetricValue)  # finite, or with a reason

    def test_no_bars_have_a_reason_or_nothing_to_count(self, metric):
        empty = dataclasses.replace(
            idle_result(),
            timestamps=idle_result().timestamps[:1],
            equity=np.array([1_000.0]),
            **{name: np.empty(0) for name in ARRAYS[1:]},
        )
        assert not metric(Performance(empty, 252.0)).value

    def test_input_is_left_alone_and_bits_repeat(self, metric):
        result, twin = random_result(), random_result()
        performance = Performance(result, 252.0)
        first = metric(performance)
        assert metric(performance) == first == metric(Performance(random_result(), 252.0))
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(result, name), getattr(twin, name))
        assert result.trades.equals(twin.trades)

    def test_only_money_has_the_scale_of_money(self, metric):
        """Scale by a power of two, which leaves everything else bit-identical."""
        small, large = (metric(Performance(random_result(money=m), 252.0)) for m in (1e3, 8e3))
        assert small.value is not None
        factor = 8.0 if metric.unit == "money" else 1.0
        assert large.value == pytest.approx(small.value * factor, rel=1e-12)

    def test_nothing_behind_ruin_counts(self, metric):
        result = ruined_result()
        later = dataclasses.replace(result, **{n: getattr(result, n).copy() for n in ARRAYS})
        end = int(np.flatnonzero(result.equity <= 0)[0])
        for name in ARRAYS:
            getattr(later, name)[end + (name == "equity") :] += 7.0
        assert metric(Performance(later, 252.0)) == metric(Performance(result, 252.0))

    def test_counts_are_whole(self, metric):
        found = metric(Performance(random_result(), 252.0)).value
        if metric.unit in ("count", "bars"):
            assert found == int(found) >= 0
