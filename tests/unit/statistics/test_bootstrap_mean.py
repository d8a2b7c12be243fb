"""The bootstrapped mean: its error by hand, its level and coverage, and what it finds."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.bootstrap_mean import (
    bootstrap_mean,
    natural_error,
)
from reinforcestrategycreator_pipeline.statistics.newey_west import mean_of


def test_the_error_by_hand():
    """-1 0 1 with p = 1/2: R = 2/3, 0, -1/3; the weights of lag 1 and 2 are 5/12 and 5/12.

    (1 - 1/3) / 2 + 1/3 / 4 = 5/12, and (1 - 2/3) / 4 + 2/3 / 2 = 5/12. So the variance is
    (2/3 + 2 (5/12 x 0 - 5/12 x 1/3)) / 3 = (24/36 - 10/36) / 3 = 7/54.
    """
    assert natural_error(np.array([-1.0, 0.0, 1.0]), 2.0) == pytest.approx(math.sqrt(7 / 54))
    assert natural_error(np.array([-1.0, 0.0, 1.0]), 1.0) == pytest.approx(math.sqrt(2 / 9))


def test_it_knows_no_unit_and_obeys_its_seed():
    x = np.random.default_rng(1).normal(0.1, 1.0, 200)
    one, same, scaled, other = (
        bootstrap_mean(values, np.random.default_rng(seed), 500)
        for values, seed in ((x, 1), (x, 1), (1e-4 * x, 1), (x, 2))
    )
    assert one == same != other
    np.testing.assert_allclose(scaled[:4], 1e-4 * np.array(one[:4]), rtol=1e-9)
    assert scaled[4:] == pytest.approx(one[4:])
    assert one.low < one.mean < one.high
    assert bootstrap_mean(x, np.random.default_rng(1), 50, mean_block=7.0).mean_block == 7.0


def test_draws_that_do_not_fit_into_memory_are_made_in_parts(monkeypatch):
    x = np.random.default_rng(1).normal(0.1, 1.0, 200)
    whole = bootstrap_mean(x, np.random.default_rng(1), 4_000, mean_block=3.0)
    module = "reinforcestrategycreator_pipeline.statistics.bootstrap_mean"
    monkeypatch.setattr(f"{module}._AT_ONCE", 1_000)
    parts = bootstrap_mean(x, np.random.default_rng(2), 4_000, mean_block=3.0)
    assert parts.p == pytest.approx(whole.p, abs=0.02)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.02)


def test_p_and_interval_agree():
    """The lower end of a 90% interval is above 0 where p is below 5%."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = bootstrap_mean(rng.normal(0.15, 1.0, 120), rng, 999, level=0.9)
        if abs(found.p - 0.05) > 0.002:
            assert (found.low > 0.0) == (found.p < 0.05)


def test_without_dispersion_there_is_no_interval():
    for value in (0.0, 0.1):
        assert bootstrap_mean(np.full(30, value), np.random.default_rng(0)) is None


def garch(rng, n):
    shocks = rng.standard_t(5, n + 200) / math.sqrt(5 / 3)
    variance, found = 1.0, []
    for z in shocks.tolist():
        found.append(math.sqrt(variance) * z)
        variance = 0.02 + 0.1 * found[-1] ** 2 + 0.88 * variance
    return np.array(found[200:])


def autoregression(rng, n):
    x = rng.normal(size=n + 50)
    for t in range(1, n + 50):
        x[t] += 0.3 * x[t - 1]
    return x[50:]


def losses(rng, n):
    """Return independent values of mean 0 and skewness -3.8."""
    return math.gamma(2.5) - rng.exponential(size=n) ** 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "n"),
    [(garch, 250), (autoregression, 500), (losses, 100)],
    ids=["garch", "autoregression", "losses"],
)
def test_a_true_null_is_rejected_as_often_as_the_level_says(draw, n):
    """Of 1,000 samples at most 5% + 3 standard errors, and the interval covers about 90%."""
    rng = np.random.default_rng(5)
    found = [bootstrap_mean(draw(rng, n), rng, 299, level=0.9) for _ in range(1_000)]
    assert np.mean([x.p <= 0.05 for x in found]) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000)
    covered = np.mean([x.low <= 0.0 <= x.high for x in found])
    assert covered == pytest.approx(0.9, abs=0.03)


def test_newey_and_west_reject_too_often_where_losses_are_large():
    rng = np.random.default_rng(6)
    share = np.mean([mean_of(losses(rng, 100)).p <= 0.05 for _ in range(2_000)])
    assert share > 0.08


def test_an_edge_is_found_as_often_as_its_strength_says():
    """.2 over 155 bars is the 80% of `bars_needed`; 200 samples, -4 sd."""
    rng = np.random.default_rng(7)
    found = [bootstrap_mean(rng.normal(0.2, 1.0, 155), rng, 199).p <= 0.05 for _ in range(200)]
    assert np.mean(found) == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 200))
