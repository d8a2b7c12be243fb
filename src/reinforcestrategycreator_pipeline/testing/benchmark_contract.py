"""What every benchmark must do. Inherit `BenchmarkContract`, override the fixture `name`, and run.

class TestMyBenchmark(BenchmarkContract):
    @pytest.fixture
    def name(self):
        return "my_module:my_benchmark"

    @pytest.fixture
    def causal(self):  # only for a bound that is meant to know the future
        return False
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.backtest.run import run_backtest
from reinforcestrategycreator_pipeline.policies.benchmarks import (
    BENCHMARKS,
    BenchmarkConfig,
    BenchmarkContext,
)
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    GRIDS,
    AssetBars,
    asset_of,
    random_asset,
    random_targets,
)


def make_context(n: int = 80, grid=(0.0, 1.0), seed: int = 0, past: int = 30) -> BenchmarkContext:
    """Return a context on a random walk of n test bars with `past` bars before them."""
    whole = random_asset(n + past, seed)
    bars = AssetBars(
        "A",
        whole.seconds[past:],
        whole.open[past:],
        whole.close[past:],
        whole.features[past:],
    )
    return BenchmarkContext(
        bars,
        whole.close[:past],
        np.array(grid),
        random_targets(n - 1, grid, seed, stay=0.8),
        DEAR,
        BenchmarkConfig(fast=3, slow=10, random_draws=21),
        np.random.default_rng(seed),
    )


def with_prices(context: BenchmarkContext, open_, close) -> BenchmarkContext:
    """Return `context` with other test bars and a generator in its first state."""
    bars = asset_of(open_, close, context.bars.seconds[: len(close)])
    policy = context.policy_targets[: len(close) - 1]
    rng = np.random.default_rng(0)
    return dataclasses.replace(context, bars=bars, policy_targets=policy, rng=rng)


class BenchmarkContract:
    """The promises of a benchmark, each a test."""

    @pytest.fixture
    def name(self) -> str:
        raise NotImplementedError("override the fixture name")

    @pytest.fixture
    def causal(self) -> bool:
        return True

    @pytest.mark.parametrize("grid", GRIDS, ids=str)
    def test_one_finite_target_a_decision(self, name, grid):
        for n in (2, 3, 80):
            context = make_context(n, grid)
            targets = np.asarray(BENCHMARKS.get(name)(context))
            assert targets.shape == (n - 1,)
            assert targets.dtype == np.float64
            assert np.isfinite(targets).all()
            run_backtest(name, context.bars, targets, context.costs, 1_000.0)

    def test_needs_no_past(self, name):
        context = make_context(past=0)
        assert np.isfinite(BENCHMARKS.get(name)(context)).all()

    def test_same_generator_same_bytes(self, name):
        benchmark = BENCHMARKS.get(name)
        first = benchmark(make_context(seed=3)).tobytes()
        np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
        state = np.random.get_state()[1].copy()  # noqa: NPY002
        assert benchmark(make_context(seed=3)).tobytes() == first
        assert (np.random.get_state()[1] == state).all()  # noqa: NPY002

    def test_context_is_left_alone(self, name):
        context, twin = make_context(), make_context()
        BENCHMARKS.get(name)(context)
        for field in ("past_close", "positions", "policy_targets"):
            np.testing.assert_array_equal(getattr(context, field), getattr(twin, field))
        for field in ("seconds", "open", "close", "features"):
            np.testing.assert_array_equal(getattr(context.bars, field), getattr(twin.bars, field))

    def test_future_changes_no_past_target(self, name, causal):
        """Cut the data after bar t, or change all that follows: targets to t stay."""
        if not causal:
            pytest.skip("knows the future by definition")
        context, rng = make_context(), np.random.default_rng(0)
        benchmark, bars = BENCHMARKS.get(name), make_context().bars
        whole = benchmark(with_prices(context, bars.open, bars.close))
        for t in range(79):  # decided at the close of bar t
            cut = slice(0, t + 2)  # two bars at least; the last is only the outcome
            short = benchmark(with_prices(context, bars.open[cut], bars.close[cut]))
            assert short[: t + 1].tobytes() == whole[: t + 1].tobytes()
            open_, close = bars.open.copy(), bars.close.copy()
            open_[t + 1 :] *= rng.uniform(0.5, 2.0, 79 - t)
            close[t + 1 :] *= rng.uniform(0.5, 2.0, 79 - t)
            changed = benchmark(with_prices(context, open_, close))
            assert changed[: t + 1].tobytes() == whole[: t + 1].tobytes()

    def test_scale_of_prices_does_not_matter(self, name):
        context = make_context(seed=5)
        bars = dataclasses.replace(
            context.bars, open=context.bars.open * 8.0, close=context.bars.close * 8.0
        )
        scaled = dataclasses.replace(
            context, bars=bars, past_close=context.past_close * 8.0, rng=np.random.default_rng(5)
        )
        benchmark = BENCHMARKS.get(name)
        np.testing.assert_array_equal(benchmark(scaled), benchmark(make_context(seed=5)))
