"""How much of a planted edge is found, and how long training takes on one core."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "learning"))

from planted import (
    best_causal_log_growth,
    greedy_log_growth,
    make_splits,
    train,
    value_iteration_policy,
)

from benchmarks.measuring import run
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource
from reinforcestrategycreator_pipeline.policies.oracle import best_choices


def deterministic(seeds: int = 5) -> tuple[list[float], list[float]]:
    """Return, by seed, the share of the oracle's log growth and the training seconds."""
    specs = (FeatureSpec("column", {"columns": ("sin1", "cos1", "sin2", "cos2")}),)
    shares, seconds = [], []
    for seed in range(seeds):
        source = SyntheticSource(kind="sinusoids", n_bars=7000)
        splits = make_splits(source, specs, (4000, 1000, 2000), seed)
        start = time.perf_counter()
        dqn, _ = train(splits, seed, steps=3000)
        seconds.append(time.perf_counter() - start)
        oracle = best_choices(splits.test.log_growth[splits.test.decision_rows])[0][
            splits.test.flat
        ]
        shares.append(greedy_log_growth(dqn, splits.test) / oracle)
    return shares, seconds


def noisy(seeds: int = 10) -> tuple[float, list[float]]:
    """Return the mean share of the best causal policy over the seeds, and the seconds."""
    specs = (FeatureSpec("column", {"columns": ("signal",)}),)
    grid, table = value_iteration_policy()
    found, best, seconds = [], [], []
    for seed in range(seeds):
        source = SyntheticSource(kind="ar1_signal", n_bars=45_000)
        splits = make_splits(source, specs, (20_000, 5_000, 20_000), seed)
        start = time.perf_counter()
        dqn, _ = train(splits, seed, steps=3000, batch_size=128, learning_rate=5e-4)
        seconds.append(time.perf_counter() - start)
        found.append(greedy_log_growth(dqn, splits.test))
        best.append(best_causal_log_growth(splits, grid, table))
    return float(np.mean(found) / np.mean(best)), seconds


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    shares, seconds = deterministic(1 if quick else 5)
    share, noisy_seconds = noisy(1 if quick else 10)
    return [
        "## Planted edges: what is found on unseen bars",
        "",
        "| market | yardstick | found | training, s (median; worst) |",
        "|---|---|---:|---:|",
        "| two sinusoids, deterministic, shorts, 10 bps | perfect-foresight oracle | "
        f"worst of {len(shares)} seeds {min(shares):.2%}, median {statistics.median(shares):.2%} | "
        f"{statistics.median(seconds):.1f}; {max(seconds):.1f} |",
        "| AR(1) signal, 30 bps a sd under 1% noise, shorts, 10 bps | best causal policy "
        f"(value iteration) | mean of {len(noisy_seconds)} seeds {share:.2%} | "
        f"{statistics.median(noisy_seconds):.1f}; {max(noisy_seconds):.1f} |",
    ]


if __name__ == "__main__":
    run(main)
