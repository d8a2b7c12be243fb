"""Newey and West's standard errors: by hand, against statsmodels, and by simulation."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from newey_west_cases import CASES, returns_of

from reinforcestrategycreator_pipeline.statistics.newey_west import bandwidth, mean_of, regress

FROZEN = json.loads(
    (Path(__file__).parent / "frozen" / "newey_west_figures.json").read_text("utf-8")
)["cases"]


def test_by_hand():
    """Four values, one lag: g0 = 5, g1 = 1.25 / ... worked below.

    1 2 3 4 has the mean 2.5 and the deviations -1.5 -0.5 0.5 1.5. Sums of products: lag 0, 5; lag
    1, 0.75 - 0.25 + 0.75 = 1.25. floor(4 (4 / 100)^(2/9)) = floor(1.956) = 1 lag, of weight 1/2:
    (5 + 2 * 1.25 / 2) / 4^2 = 6.25 / 16, whose root is 0.625.
    """
    found = mean_of(np.array([1.0, 2.0, 3.0, 4.0]))
    assert found.value == pytest.approx(2.5)
    assert found.error == pytest.approx(0.625)
    assert found.p == pytest.approx(3.1671e-5, rel=1e-4)  # of the normal table at -4


@pytest.mark.parametrize(("n", "lags"), [(2, 1), (100, 4), (605, 5), (10_000, 11)])
def test_lags(n, lags):
    assert bandwidth(n) == lags


@pytest.mark.parametrize(("seed", "n"), CASES)
def test_as_statsmodels(seed, n):
    own, hold = returns_of(seed, n)
    expected = FROZEN[f"{seed}-{n}"]
    found = {"mean": [mean_of(own - hold)], "regression": list(regress(own, hold))}
    for name, estimates in found.items():
        for part in ("value", "error", "p"):
            ours = [getattr(e, part) for e in estimates]
            np.testing.assert_allclose(ours, expected[name][part], rtol=1e-9, atol=1e-15)


def test_without_dispersion_there_is_no_estimate():
    assert mean_of(np.zeros(50)) is None
    assert mean_of(np.full(50, 0.1)) is None
    returns = np.random.default_rng(0).normal(0, 0.01, 50)
    assert regress(returns, np.full(50, 0.1)) is None
    assert regress(returns, returns) is None
    assert regress(3 * returns + 0.001, returns) is None


def test_the_error_is_that_of_the_spread_of_means():
    """AR(.3) returns: the plain standard error would be 0.73 of it."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, (1500, 600))
    for t in range(1, 600):
        noise[:, t] += 0.3 * noise[:, t - 1]
    errors = [mean_of(row).error for row in noise[:200]]
    spread = noise.mean(axis=1).std()
    assert np.mean(errors) == pytest.approx(spread, rel=0.12)
    plain = noise.std(axis=1).mean() / math.sqrt(600)
    assert plain < 0.78 * spread
