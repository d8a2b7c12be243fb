"""Statistics by foreign packages: the cases, and what each package makes of them.

The packages are of the extra `oracles`; their figures are frozen in `frozen/statistics.json`,
written by `frozen/freeze_statistics.py`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

P_VALUES = {
    "one": ([0.05], [2.0]),
    "halves": ([0.5, 0.5], [1.0, 3.0]),
    "three": ([0.01, 0.2, 0.7], [5.0, 2.0, 1.0]),
    "far": ([1e-12, 0.999], [1.0, 4.0]),
    "windows": ([0.04, 0.03, 0.2, 0.6, 0.9], [10.0, 20.0, 15.0, 7.0, 3.0]),
}
STRENGTHS = [(0.05, 0.05, 0.8), (0.1, 0.01, 0.9), (0.02, 0.05, 0.5)]
MATRICES = [(1, 300, 6), (2, 1000, 20), (3, 60, 3)]
"""Seed, bars and trials of a matrix of excess returns."""
DRAWS = 499


def excess_of(seed: int, bars: int, trials: int) -> np.ndarray:
    """Return correlated trials of unequal volatility and strength, some of them autocorrelated."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(bars, trials)) + 0.5 * rng.normal(size=(bars, 1))
    noise[1:, ::3] += 0.3 * noise[:-1, ::3]
    volatility = 0.01 * 3.0 ** rng.uniform(-1, 1, trials)
    strength = rng.normal(0.0, 1.5, trials) / np.sqrt(bars)
    return volatility * (noise + strength)


def blocks_of(seed: int, bars: int, mean_block: float = 4.0) -> np.ndarray:
    """Return drawn times in blocks, one row for each draw, by the plainest of programs."""
    rng = np.random.default_rng(seed + 1000)
    fresh = rng.random((DRAWS, bars)) < 1.0 / mean_block
    times = rng.integers(bars, size=(DRAWS, bars))
    for t in range(1, bars):
        times[:, t] = np.where(fresh[:, t], times[:, t], (times[:, t - 1] + 1) % bars)
    return times


def key(case: Any) -> str:
    """Return the name of a case in the file."""
    return case if isinstance(case, str) else " ".join(map(str, case))


def stouffer(case: str) -> list[float]:
    """Return the p-values without and with weights, by SciPy."""
    from scipy.stats import combine_pvalues

    p, weights = P_VALUES[case]
    found = (combine_pvalues(p, "stouffer"), combine_pvalues(p, "stouffer", weights=weights))
    return [float(x.pvalue) for x in found]


def bars_needed(case: tuple[float, float, float]) -> float:
    """Return the sample size of a one-sided normal test, by statsmodels."""
    from statsmodels.stats.power import normal_sample_size_one_tail

    strength, alpha, power = case
    return float(
        normal_sample_size_one_tail(strength, power, alpha, std_null=1.0, std_alternative=1.0)
    )


@contextmanager
def _drawn_by_us(module: str, times: np.ndarray) -> Any:
    """Give holdout-backtest these drawn times instead of its own."""
    package = importlib.import_module(module)
    theirs = package.stationary_bootstrap_indices
    package.stationary_bootstrap_indices = lambda *_, **__: times
    try:
        yield
    finally:
        package.stationary_bootstrap_indices = theirs


def stepdown(case: tuple[int, int, int]) -> dict[str, list[float]]:
    """Return the statistics, and the share of draws of Romano and Wolf, by holdout-backtest."""
    from holdout.spa import romano_wolf

    with _drawn_by_us("holdout.bootstrap", blocks_of(*case[:2])):
        found = romano_wolf(excess_of(*case), n_bootstrap=DRAWS, block_length=4.0)
    return {
        "statistics": found.statistics.tolist(),
        "shares": found.adjusted_pvalues.tolist(),
    }


PACKAGES = {"scipy": "scipy", "statsmodels": "statsmodels", "holdout-backtest": "holdout"}
"""Names on PyPI, and what one imports."""

FIGURES: dict[str, tuple[str, Callable[[Any], Any], list[Any]]] = {
    "stouffer": ("scipy", stouffer, list(P_VALUES)),
    "bars_needed": ("statsmodels", bars_needed, STRENGTHS),
    "stepdown": ("holdout-backtest", stepdown, MATRICES),
}
"""Package, function and cases of each statistic."""
