"""The Sharpe ratio as a mean: its value, its error by a formula of others, its coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reinforcestrategycreator_pipeline.statistics.bootstrap_mean import (
    bootstrap_mean,
    natural_error,
)
from reinforcestrategycreator_pipeline.statistics.sharpe_interval import sharpe_terms


@pytest.fixture
def skewed():
    return np.random.default_rng(5).gamma(0.6, 1.0, 400) - 0.4


def test_by_hand():
    # Mean 1, deviation 1 with divisor 2: z = -1, 1; S (1 + z) / sqrt(2).
    assert sharpe_terms(np.array([0.0, 2.0])) == pytest.approx([0.0, math.sqrt(2.0)])
    assert sharpe_terms(np.full(5, 0.25)) is None


def test_its_mean_is_the_ratio(skewed):
    assert sharpe_terms(skewed).mean() == pytest.approx(skewed.mean() / skewed.std(ddof=1))


def test_its_error_is_that_of_mertens(skewed):
    n, ratio = len(skewed), skewed.mean() / skewed.std()
    skewness, kurtosis = stats.skew(skewed), stats.kurtosis(skewed, fisher=False)
    variance = 1 + ratio**2 / 2 - ratio * skewness + ratio**2 * (kurtosis - 3) / 4
    terms = sharpe_terms(skewed)
    found = natural_error(terms - terms.mean(), 1.0)
    assert found == pytest.approx(math.sqrt(variance / n * (n - 1) / n), rel=1e-9)


def test_its_noise_is_that_of_the_ratio(skewed):
    """Leaving an observation out moves the ratio by its term (the jackknife)."""
    n = len(skewed)
    without = [
        np.delete(skewed, i).mean() / np.delete(skewed, i).std(ddof=1) for i in range(0, n, 7)
    ]
    ratio = skewed.mean() / skewed.std(ddof=1)
    moved = (n - 1) * (ratio - np.array(without))
    terms = sharpe_terms(skewed)[::7] - ratio
    assert np.corrcoef(moved, terms)[0, 1] > 0.999
    assert moved == pytest.approx(terms, abs=0.1)


def test_the_interval_of_a_difference_covers_it():
    """Two strategies on one market: dependent, autocorrelated, with fat tails."""
    rng, inside, trials = np.random.default_rng(11), 0, 300
    for _ in range(trials):
        shocks = rng.standard_t(6, (2, 301)) / math.sqrt(1.5)
        market = shocks[0, 1:] + 0.2 * shocks[0, :-1]
        one, other = 0.08 + market, 0.08 + 0.6 * market + 0.8 * shocks[1, 1:]
        # Deviations: sqrt(1.04), and sqrt(0.36 * 1.04 + 0.64).
        true = 0.08 / math.sqrt(1.04) - 0.08 / math.sqrt(0.36 * 1.04 + 0.64)
        found = bootstrap_mean(sharpe_terms(one) - sharpe_terms(other), rng, draws=299)
        inside += found.low <= true <= found.high
    assert 0.91 < inside / trials < 0.985  # 95% +- 3.2 standard errors, which are 1.26%
