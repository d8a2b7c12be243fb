"""Sharpe ratios as probabilities: the paper's example, the two conventions, and by simulation."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.probabilistic_sharpe import (
    Shape,
    deflated_sharpe,
    expected_maximum,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_of,
    sharpe_variance,
)

SHARPE, N = 0.036 / 0.079, 24
SKEWED = Shape(-2.448, 10.164)


def phi(z):
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@pytest.mark.parametrize(
    ("autocorrelation", "at_0", "at_10", "record"),
    [(0.0, 0.9872, 0.9391, 7.909), (0.2, 0.9658, 0.9005, 11.863)],
)
def test_the_papers_example(autocorrelation, at_0, at_10, record):
    shape = SKEWED._replace(autocorrelation=autocorrelation)
    assert probabilistic_sharpe(SHARPE, N, shape=shape) == pytest.approx(at_0, abs=5e-5)
    assert probabilistic_sharpe(SHARPE, N, 0.1, shape) == pytest.approx(at_10, abs=5e-5)
    assert minimum_track_record(SHARPE, 0.0, shape, 0.1) == pytest.approx(record, abs=5e-4)


def test_the_other_convention_gives_other_figures():
    """The variance at the observed ratio, and n - 1: .9127, and one more than V (z / S)^2."""
    observed = sharpe_variance(SHARPE, N - 1, SKEWED)
    assert phi(SHARPE / math.sqrt(observed)) == pytest.approx(0.9127, abs=5e-5)
    z = 1.2815515655446004
    record = 1 + sharpe_variance(SHARPE, 1, SKEWED) * (z / SHARPE) ** 2
    assert record == pytest.approx(21.494, abs=2e-3)
    assert probabilistic_sharpe(SHARPE, N, shape=SKEWED) > 0.98


def test_the_expected_maximum_of_the_paper():
    assert expected_maximum(10, 0.1) == pytest.approx(0.4979, abs=5e-5)
    assert expected_maximum(1, 0.1) == 0.0


@pytest.mark.parametrize(
    ("trials", "exact", "ratio"),
    [(2, 0.56419, 0.921), (5, 1.16296, 1.026), (20, 1.86748, 1.018), (100, 2.50759, 1.009)],
)
def test_the_expected_maximum_is_about_that_of_normal_trials(trials, exact, ratio):
    """The exact ones are the table of expected normal order statistics (Harter 1961)."""
    assert expected_maximum(trials, 0.09) / 0.3 / exact == pytest.approx(ratio, abs=6e-4)


def test_ratio_and_shape_by_hand():
    """0 0 0 4: mean 1, deviation 2 with divisor 3; moments 3, 6 and 21 with divisor 4.

    Skewness 6 / 3^1.5 = 1.1547, kurtosis 21 / 9 = 7/3. 0 0 0 against 0 0 4 has no correlation.
    """
    sharpe, shape = sharpe_of(np.array([0.0, 0.0, 0.0, 4.0]))
    assert sharpe == pytest.approx(0.5)
    assert shape == pytest.approx((1.1547005, 7 / 3, 0.0), rel=1e-6)
    sharpe, shape = sharpe_of(np.array([1.0, 2.0, 3.0, 5.0]))  # 1 2 3 and 2 3 5: 3 / sqrt(28 / 3)
    assert shape.autocorrelation == pytest.approx(0.9819805)
    assert sharpe_of(np.full(9, 0.1)) is None


def test_variance_by_hand():
    """r = .5: a = 3, b = 1 + 1 + 1/3 = 7/3, c = 1 + 2/3 = 5/3; S = .1, g3 = 1, g4 = 5, n = 10.

    (3 - 7/30 + 5/3 x 1 x .01) / 10 = .278333.
    """
    assert sharpe_variance(0.1, 10, Shape(1.0, 5.0, 0.5)) == pytest.approx(0.2783333, rel=1e-6)
    assert sharpe_variance(0.3, 10) == pytest.approx((1 + 0.045) / 10)  # Lo's, for normal returns


def test_limits():
    assert minimum_track_record(0.1, 0.1) == minimum_track_record(-0.1) == math.inf
    assert probabilistic_sharpe(0.1, 100, 0.1) == 0.5
    assert math.isnan(probabilistic_sharpe(0.2, 100, 0.1, Shape(3.0, 10.5, -0.8)))


def test_deflated_is_probabilistic_against_the_maximum():
    found = deflated_sharpe(SHARPE, N, 10, 0.1, SKEWED)
    assert found == probabilistic_sharpe(SHARPE, N, 0.49793170320847435, SKEWED)
    assert deflated_sharpe(SHARPE, N, 1, 0.1, SKEWED) == probabilistic_sharpe(
        SHARPE, N, 0.0, SKEWED
    )


def test_autocorrelated_noise_passes_often_without_its_term():
    """AR(.3), 500 observations, 3,000 samples: 11.4% without in theory, 5% with, + 3.5 sd.

    The mean has 1.3 / .7 of the variance of independent returns: P(Z > 1.645 / 1.363) = 11.4%.
    """
    x = np.random.default_rng(2).normal(size=(550, 3_000))
    for t in range(1, 550):
        x[t] += 0.3 * x[t - 1]
    passed = {True: 0, False: 0}
    for row in x[50:].T:
        sharpe, shape = sharpe_of(row)
        for with_term in passed:
            used = shape if with_term else shape._replace(autocorrelation=0.0)
            passed[with_term] += probabilistic_sharpe(sharpe, 500, shape=used) > 0.95
    assert passed[False] / 3_000 > 0.09
    assert passed[True] / 3_000 <= 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / 3_000)


def test_the_best_of_many_passes_often_and_deflated_hardly_ever():
    """24 trials of noise, 250 observations, 1,000 times. 1 - .95^24 = 71% for independent ones."""
    rng = np.random.default_rng(3)
    passed = {"probabilistic": 0, "deflated": 0}
    for _ in range(1_000):
        x = rng.normal(size=(250, 24))
        ratios = x.mean(axis=0) / x.std(axis=0, ddof=1)
        sharpe, shape = sharpe_of(x[:, ratios.argmax()])
        passed["probabilistic"] += probabilistic_sharpe(sharpe, 250, shape=shape) > 0.95
        deflated = deflated_sharpe(sharpe, 250, 24, ratios.var(ddof=1), shape)
        passed["deflated"] += deflated > 0.95
    assert passed["probabilistic"] > 600
    assert passed["deflated"] < 20


def test_gains_and_losses_in_turn_have_no_variance():
    """Their autocorrelation is -1, for which the formula would divide by 0."""
    sharpe, shape = sharpe_of(np.tile([0.02, -0.01], 50))
    assert shape.autocorrelation == pytest.approx(-1.0)
    assert math.isnan(sharpe_variance(0.0, 100, Shape(autocorrelation=-1.0)))
    assert math.isnan(probabilistic_sharpe(sharpe, 100, 0.0, Shape(autocorrelation=1.0)))
