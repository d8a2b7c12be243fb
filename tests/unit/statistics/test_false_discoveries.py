"""The share of luck among discoveries: by hand, at its limits, and by simulation."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.false_discoveries import (
    observed_false_discovery_rate,
)


def test_by_hand():
    """Of 1,000 strategies 100 have an edge, all are found; of the 900 others 45 are, at 5%."""
    assert observed_false_discovery_rate(0.05, 100.0, 0.1) == pytest.approx(45 / 145)


def test_at_its_limits():
    assert observed_false_discovery_rate(0.05, 0.0, 0.1) == pytest.approx(0.9)  # nothing learned
    assert observed_false_discovery_rate(0.5, 2.0, 0.0) == 1.0
    assert observed_false_discovery_rate(0.5, 2.0, 1.0) == 0.0
    assert observed_false_discovery_rate(1e-300, -40.0, 1.0) == 1.0  # neither explains it


@pytest.mark.parametrize("p", [0.0, 1.0, math.nan])
def test_a_p_value_is_a_probability(p):
    with pytest.raises(ValueError, match="p must be in"):
        observed_false_discovery_rate(p, 1.0, 0.1)


@pytest.mark.parametrize("prior", [-0.1, 1.1, math.nan])
def test_a_prior_is_a_share(prior):
    with pytest.raises(ValueError, match="the prior must be in"):
        observed_false_discovery_rate(0.05, 1.0, prior)


def test_so_many_are_luck():
    """Of a million normal statistics, a fifth with mean 1.5; +- 4 standard deviations."""
    rng = np.random.default_rng(3)
    edge = rng.random(1_000_000) < 0.2
    best = rng.normal(size=edge.size) + 1.5 * edge > 1.959964  # p <= 2.5%
    expected = observed_false_discovery_rate(0.025, 1.5, 0.2)
    error = math.sqrt(expected * (1.0 - expected) / best.sum())
    assert (~edge[best]).mean() == pytest.approx(expected, abs=4.0 * error)
