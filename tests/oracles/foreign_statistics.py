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


def ability(case: tuple[int, int, int]) -> dict[str, float]:
    """Return Hansen's test, its p-values as shares of the draws, by holdout-backtest."""
    from holdout.spa import superior_predictive_ability

    with _drawn_by_us("holdout.bootstrap", blocks_of(*case[:2])):
        found = superior_predictive_ability(excess_of(*case), n_bootstrap=DRAWS, block_length=4.0)
    names = ("statistic", "best", "lower", "consistent", "upper")
    return {name: getattr(found, name) for name in names}


UNEQUAL = range(40)
"""Seeds of `unequal_of`."""


def unequal_of(seed: int) -> np.ndarray:
    """Return a winner of t = 3.6, the first of 20 trials of up to 30 times its volatility."""
    noise = np.random.default_rng(seed).normal(size=(250, 20))
    winner = noise[:, 0] - noise[:, 0].mean()
    noise[:, 0] = winner / winner.std() + 3.6 / np.sqrt(250)
    return noise * np.array([0.002, *np.linspace(0.01, 0.06, 19)])


def unstudentized(case: str) -> list[float]:
    """Return the consistent p-values of arch's SPA, whose flag says that it studentizes."""
    from arch.bootstrap import SPA

    found = []
    for seed in UNEQUAL:
        x = unequal_of(seed)
        test = SPA(np.zeros(len(x)), -x, block_size=2, reps=DRAWS, studentize=True, seed=seed)
        test.compute()
        found.append(float(test.pvalues["consistent"]))
    return found


SERIES = [
    (seed, n, coefficient)
    for seed, (n, coefficient) in enumerate(
        (n, c) for n in (12, 60, 250, 3000) for c in (-0.4, 0.0, 0.1, 0.6, 0.95)
    )
]
"""Seed, length and coefficient of an autoregression."""


def series_of(seed: int, n: int, coefficient: float) -> np.ndarray:
    """Return an autoregression of order 1 whose shocks are skewed."""
    x = np.random.default_rng(seed).exponential(size=n) - 0.9
    for t in range(1, n):
        x[t] += coefficient * x[t - 1]
    return 0.01 * x


def block_length(case: tuple[int, int, float]) -> float:
    """Return the block length of the stationary bootstrap, by arch."""
    from arch.bootstrap import optimal_block_length

    return float(optimal_block_length(series_of(*case))["stationary"].iloc[0])


def mean_variance(case: tuple[int, int, float]) -> float:
    """Return n times the variance of the bootstrapped mean, blocks of 4, as arch's SPA has it."""
    from arch.bootstrap import SPA

    x = series_of(*case)[:, None]
    test = SPA(np.zeros(len(x)), x, block_size=4)
    test._compute_variance()
    return float(test._loss_diff_var[0])


def bootstrapped_mean(case: tuple[int, int, float]) -> list[float]:
    """Return the 5th, 25th, 50th, 75th and 95th percentile of means in blocks of 4, by arch."""
    from arch.bootstrap import StationaryBootstrap

    draws = StationaryBootstrap(4, series_of(*case), seed=1).apply(np.mean, reps=4_000)
    return [float(x) for x in np.percentile(draws, [5, 25, 50, 75, 95])]


SHARPES = [
    (sharpe, n, benchmark, skewness, kurtosis, autocorrelation)
    for sharpe, n in ((0.036 / 0.079, 24), (0.05, 1000))
    for benchmark in (0.0, 0.1)
    for skewness, kurtosis in ((0.0, 3.0), (-2.448, 10.164))
    for autocorrelation in (0.0, 0.2, -0.3)
]


def sharpe_ratio(case: tuple[float, int, float, float, float, float]) -> list[float]:
    """Return variance at the null, probability, and track records of 10% and 1%, by jsharpe."""
    import jsharpe

    sharpe, n, benchmark, skewness, kurtosis, autocorrelation = case
    shape = {"gamma3": skewness, "gamma4": kurtosis, "rho": autocorrelation}
    return [
        jsharpe.sharpe_ratio_variance(benchmark, n, **shape),
        jsharpe.probabilistic_sharpe_ratio(sharpe, benchmark, T=n, **shape),
        *(
            jsharpe.minimum_track_record_length(sharpe, benchmark, alpha=alpha, **shape)
            for alpha in (0.1, 0.01)
        ),
    ]


DISCOVERIES = [
    (sharpe, edge, bars, prior)
    for sharpe, edge, bars in ((0.3, 0.5, 24), (0.8, 0.5, 24), (0.05, 0.063, 1000))
    for prior in (0.02, 0.1, 0.5)
]
"""Observed ratio, that of an edge, observations and prior."""


def false_discoveries(case: tuple[float, float, int, float]) -> float:
    """Return the observed false discovery rate, by jsharpe."""
    import jsharpe

    sharpe, edge, bars, prior = case
    return float(jsharpe.oFDR(sharpe, 0.0, edge, bars, prior))


MAXIMA = [(2, 0.1), (10, 0.1), (24, 0.003), (1000, 1.0)]


def expected_maximum(case: tuple[int, float]) -> list[float]:
    """Return the expected maximum, by jsharpe and skfolio."""
    import jsharpe
    from skfolio.measures import expected_max_sharpe_ratio

    trials, variance = case
    return [
        jsharpe.expected_maximum_sharpe_ratio(trials, variance),
        float(expected_max_sharpe_ratio(trials, np.sqrt(variance))),
    ]


def deflated(case: tuple[int, int, int]) -> dict[str, float]:
    """Return ratio and shape of the best trial, and its deflated ratio, by two packages."""
    from holdout.deflated import deflate_trials
    from jsharpe import autocorrelation
    from skfolio.measures import deflated_sharpe_ratio

    x = excess_of(*case)
    found = deflate_trials(x)
    best = x[:, found.selected]
    ratios = x.mean(axis=0) / x.std(axis=0, ddof=1)
    return {
        "sharpe": found.estimate.value,
        "skewness": found.estimate.skewness,
        "kurtosis": found.estimate.kurtosis,
        "autocorrelation": autocorrelation(best[:, None]),
        "holdout": found.deflated,
        "skfolio": deflated_sharpe_ratio(best, ratios),
    }


OVERFITTING = [(1, 300, 6, 8), (2, 1000, 20, 16), (3, 60, 3, 6), (4, 101, 5, 4)]
"""Seed, bars, configurations and blocks."""


def overfitting(case: tuple[int, int, int, int]) -> dict[str, Any]:
    """Return the probability of overfitting and ten of the ranks, by holdout-backtest."""
    from holdout.pbo import probability_of_backtest_overfitting

    found = probability_of_backtest_overfitting(excess_of(*case[:3]), n_blocks=case[3])
    ranks = 1.0 / (1.0 + np.exp(-found.logits))
    every = max(1, len(ranks) // 10)
    return {"probability": found.pbo, "every": every, "ranks": ranks[::every].tolist()}


SEEDS = [(1, 5, 5), (2, 10, 3), (3, 4, 8), (4, 1, 1), (5, 7, 7)]


def scores_of(seed: int, many: int, others: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of two trainings, with ties."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1.0, many).round(1), rng.normal(0.0, 1.0, others).round(1)


def across_seeds(case: tuple[int, int, int]) -> list[float]:
    """Return the interquartile mean and the probability of improvement, by rliable."""
    from rliable import metrics

    scores, others = scores_of(*case)
    return [
        float(metrics.aggregate_iqm(scores[:, None])),
        float(metrics.probability_of_improvement(scores[:, None], others[:, None])),
    ]


PACKAGES = {
    "arch": "arch",
    "holdout-backtest": "holdout",
    "jsharpe": "jsharpe",
    "rliable": "rliable",
    "scipy": "scipy",
    "skfolio": "skfolio",
    "statsmodels": "statsmodels",
}
"""Names on PyPI, and what one imports. All but rliable are of the extra `oracles`: it needs an
older arch."""

FIGURES: dict[str, tuple[str, Callable[[Any], Any], list[Any]]] = {
    "stouffer": ("scipy", stouffer, list(P_VALUES)),
    "bars_needed": ("statsmodels", bars_needed, STRENGTHS),
    "stepdown": ("holdout-backtest", stepdown, MATRICES),
    "ability": ("holdout-backtest", ability, MATRICES),
    "unstudentized": ("arch", unstudentized, ["winners"]),
    "block_length": ("arch", block_length, SERIES),
    "mean_variance": ("arch", mean_variance, SERIES),
    "bootstrapped_mean": ("arch", bootstrapped_mean, SERIES[5:15:3]),
    "sharpe_ratio": ("jsharpe", sharpe_ratio, SHARPES),
    "false_discoveries": ("jsharpe", false_discoveries, DISCOVERIES),
    "expected_maximum": ("jsharpe skfolio", expected_maximum, MAXIMA),
    "deflated": ("holdout-backtest jsharpe skfolio", deflated, MATRICES),
    "overfitting": ("holdout-backtest", overfitting, OVERFITTING),
    "across_seeds": ("rliable", across_seeds, SEEDS),
}
"""Packages, function and cases of each statistic."""
