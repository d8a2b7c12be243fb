"""The length that an edge needs: a textbook case, its limits, and by simulation."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.detectable import bars_needed, smallest_strength


def test_by_the_normal_table():
    """(1.6449 + 0.8416)^2 = 6.1826, the figure of every textbook for 5% and 80%."""
    assert bars_needed(1.0) == pytest.approx(6.1826, abs=1e-4)
    assert bars_needed(0.05) == pytest.approx(6.1826 * 400, rel=1e-5)
    assert smallest_strength(252, periods_per_year=252) == pytest.approx(2.4865, abs=1e-4)
    assert smallest_strength(2520, periods_per_year=252) == pytest.approx(0.7863, abs=1e-4)


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.01, 0.95), (0.1, 0.5)])
def test_one_is_the_inverse_of_the_other(alpha, power):
    for bars in (1, 17, 2_000):
        strength = smallest_strength(bars, alpha, power)
        assert bars_needed(strength, alpha, power) == pytest.approx(bars)


def test_without_an_edge_no_length_is_enough():
    assert bars_needed(0.0) == bars_needed(-0.1) == math.inf
    for alpha, power in ((0.0, 0.8), (0.5, 0.5), (0.05, 1.0), (math.nan, 0.8)):
        with pytest.raises(ValueError, match="alpha < power"):
            bars_needed(0.1, alpha, power)
        with pytest.raises(ValueError, match="alpha < power"):
            smallest_strength(10, alpha, power)


def test_after_so_many_bars_the_edge_is_found_so_often():
    """A t test of 5% on 4,000 samples of the length that .15 needs for 80%, +- 4 sd."""
    bars = math.ceil(bars_needed(0.15))
    x = np.random.default_rng(1).normal(0.15, 1.0, (4_000, bars))
    t = x.mean(axis=1) / x.std(axis=1, ddof=1) * math.sqrt(bars)
    assert (t > 1.6449).mean() == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 4_000))
