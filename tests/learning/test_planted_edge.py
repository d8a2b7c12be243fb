"""The learner finds what is there, and nothing where there is nothing.

Training time is not asserted (machines are noisy): `benchmarks/planted_edge.py` reports it.
"""

from __future__ import annotations

import numpy as np
import pytest
from planted import (
    best_causal_log_growth,
    greedy_log_growth,
    make_splits,
    train,
    value_iteration_policy,
)

from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource
from reinforcestrategycreator_pipeline.policies.oracle import best_choices

pytestmark = pytest.mark.slow

PHASES = (FeatureSpec("column", {"columns": ("sin1", "cos1", "sin2", "cos2")}),)
SIGNAL = (FeatureSpec("column", {"columns": ("signal",)}),)


@pytest.mark.parametrize("seed", range(5))
def test_a_deterministic_edge_is_found_to_98_percent_of_the_oracle(seed):
    source = SyntheticSource(kind="sinusoids", n_bars=7000)
    splits = make_splits(source, PHASES, (4000, 1000, 2000), seed)
    dqn, result = train(splits, seed, steps=3000)
    rewards = splits.test.log_growth[splits.test.decision_rows]
    oracle = best_choices(rewards)[0][splits.test.flat]
    assert greedy_log_growth(dqn, splits.test) >= 0.98 * oracle
    # The loss falls to under 5% of its start; history rows are means over 100 steps each.
    losses = [row["loss"] for row in result.history]
    assert np.mean(losses[-len(losses) // 10 :]) < 0.05 * losses[0]


def test_a_noisy_edge_is_found_to_95_percent_of_the_best_causal_policy():
    grid, table = value_iteration_policy()
    # The policy that was derived is a hysteresis band, symmetric but for the cost of shorts.
    assert (np.diff(table, axis=0) >= 0).all()
    found, best = [], []
    for seed in range(10):
        source = SyntheticSource(kind="ar1_signal", n_bars=45_000)
        splits = make_splits(source, SIGNAL, (20_000, 5_000, 20_000), seed)
        dqn, _ = train(splits, seed, steps=3000, batch_size=128, learning_rate=5e-4)
        found.append(greedy_log_growth(dqn, splits.test))
        best.append(best_causal_log_growth(splits, grid, table))
    assert np.mean(best) > 0
    assert np.mean(found) >= 0.95 * np.mean(best), (found, best)


def test_on_random_walks_the_mean_return_net_of_costs_is_not_above_zero():
    # Log growth, whose expectation on a driftless log price is minus the costs for flat and long.
    specs = (
        FeatureSpec("returns", {"horizons": (1, 5, 20)}),
        FeatureSpec("realized_volatility", {"periods": (20,)}),
        FeatureSpec("rsi", {"period": 14, "tail": 0.01}),
    )
    growth = []
    for seed in range(50):
        source = SyntheticSource(kind="random_walk", n_bars=2600)
        splits = make_splits(source, specs, (1500, 400, 500), seed, positions=(0.0, 1.0))
        dqn, _ = train(splits, seed, steps=1000, hidden_layers=[32])
        growth.append(greedy_log_growth(dqn, splits.test))
    standard_error = np.std(growth, ddof=1) / np.sqrt(len(growth))
    # One-sided at 1%: z = 2.33.
    assert np.mean(growth) < 2.33 * standard_error, (np.mean(growth), standard_error)
