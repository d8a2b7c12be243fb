"""Every shipped benchmark keeps the contract, and the contract catches what breaks it."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.policies.benchmarks import BENCHMARKS
from reinforcestrategycreator_pipeline.testing.benchmark_contract import BenchmarkContract

CONTRACT = BenchmarkContract()
CAUSAL = {
    "buy and hold": True,
    "flat": True,
    "moving-average crossover": True,
    "oracle": False,
    "random (same turnover)": False,  # it has the whole policy's turnover
}


class TestShippedBenchmarks(BenchmarkContract):
    @pytest.fixture(params=sorted(CAUSAL))
    def name(self, request):
        return request.param

    @pytest.fixture
    def causal(self, name):
        return CAUSAL[name]


def test_every_registered_benchmark_is_in_the_suite():
    assert set(BENCHMARKS) == set(CAUSAL)


@pytest.fixture
def plant(monkeypatch):
    def add(benchmark):
        monkeypatch.setitem(BENCHMARKS._members, "broken", benchmark)
        return "broken"

    return add


def n_of(context):
    return len(context.bars.close) - 1


def moods(context):
    return np.random.random(n_of(context))  # noqa: NPY002


def spoils(context):
    context.policy_targets[:] = 0.0
    return np.zeros(n_of(context))


def tomorrow(context):
    close = context.bars.close
    return (close[1:] > close[:-1]).astype(float)


def level(context):
    return (context.bars.close[:-1] > 50.0).astype(float)


def scaled_on_the_whole(context):
    close = context.bars.close
    return (close > close.mean())[:-1].astype(float)


@pytest.mark.parametrize(
    ("promise", "benchmark", "arguments"),
    [
        ("one_finite_target_a_decision", lambda c: np.zeros(n_of(c) + 1), ((0.0, 1.0),)),
        ("one_finite_target_a_decision", lambda c: np.full(n_of(c), np.nan), ((0.0, 1.0),)),
        ("one_finite_target_a_decision", lambda c: np.zeros(n_of(c), dtype=int), ((0.0, 1.0),)),
        ("needs_no_past", lambda c: np.full(n_of(c), np.nan if not len(c.past_close) else 0), ()),
        ("same_generator_same_bytes", moods, ()),
        ("context_is_left_alone", spoils, ()),
        ("future_changes_no_past_target", tomorrow, (True,)),
        ("future_changes_no_past_target", scaled_on_the_whole, (True,)),
        ("scale_of_prices_does_not_matter", level, ()),
    ],
)
def test_contract_catches(plant, promise, benchmark, arguments):
    with pytest.raises(AssertionError):
        getattr(CONTRACT, f"test_{promise}")(plant(benchmark), *arguments)
