"""The automatic block length: what theory says of autoregressions, and its limits."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.block_length import optimal_block_length


def autoregressions(coefficient, n, many, seed=0):
    x = np.random.default_rng(seed).normal(size=(n + 100, many))
    for t in range(1, n + 100):
        x[t] += coefficient * x[t - 1]
    return x[100:].T


@pytest.mark.parametrize("coefficient", [0.3, 0.6])
def test_autoregressions_have_the_length_of_theory(coefficient):
    """G / g is 2 c / (1 - c^2): sum |k| c^|k| = 2 c / (1 - c)^2, sum c^|k| = (1 + c) / (1 - c)."""
    n = 20_000
    expected = (2.0 * coefficient / (1.0 - coefficient**2)) ** (2.0 / 3.0) * n ** (1.0 / 3.0)
    found = [optimal_block_length(x) for x in autoregressions(coefficient, n, 20)]
    assert np.median(found) == pytest.approx(expected, rel=0.1)


def test_independent_values_need_no_blocks():
    found = [optimal_block_length(x) for x in autoregressions(0.0, 2_000, 100)]
    assert np.median(found) < 3.0
    assert min(found) == 1.0


@pytest.mark.parametrize("n", [3, 4, 5, 9, 11, 30])
def test_short_series_have_a_length_within_its_limits(n):
    for x in autoregressions(0.9, n, 20, seed=n):
        assert 1.0 <= optimal_block_length(x) <= np.ceil(min(3 * np.sqrt(n), n / 3))


def test_neither_unit_nor_level_matters():
    x = autoregressions(0.5, 500, 1)[0]
    assert optimal_block_length(1e-4 * x + 1.0) == pytest.approx(optimal_block_length(x))


def test_constant_values_have_blocks_of_one():
    assert optimal_block_length(np.full(100, 0.1)) == optimal_block_length(np.zeros(100)) == 1.0
