"""The statistics of the verdict against foreign packages: as frozen, and where installed."""

import functools
import json
import math
from statistics import NormalDist

import numpy as np
import pytest
from foreign import FROZEN
from foreign_statistics import (
    DRAWS,
    FIGURES,
    P_VALUES,
    PACKAGES,
    UNEQUAL,
    blocks_of,
    excess_of,
    key,
    scores_of,
    series_of,
    unequal_of,
)

from reinforcestrategycreator_pipeline.statistics.across_seeds import (
    interquartile_mean,
    probability_of_improvement,
)
from reinforcestrategycreator_pipeline.statistics.block_bootstrap import (
    counts_of,
    draw_blocks,
    sums_of,
)
from reinforcestrategycreator_pipeline.statistics.block_length import optimal_block_length
from reinforcestrategycreator_pipeline.statistics.bootstrap_mean import natural_error
from reinforcestrategycreator_pipeline.statistics.combine import stouffer
from reinforcestrategycreator_pipeline.statistics.detectable import bars_needed, smallest_strength
from reinforcestrategycreator_pipeline.statistics.false_discoveries import (
    observed_false_discovery_rate,
)
from reinforcestrategycreator_pipeline.statistics.overfitting import probability_of_overfitting
from reinforcestrategycreator_pipeline.statistics.probabilistic_sharpe import (
    Shape,
    deflated_sharpe,
    expected_maximum,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_of,
    sharpe_variance,
)
from reinforcestrategycreator_pipeline.statistics.stepdown import adjusted_p_values
from reinforcestrategycreator_pipeline.statistics.superior_predictive_ability import (
    superior_predictive_ability,
)


@functools.cache
def frozen():
    return json.loads((FROZEN / "statistics.json").read_text("utf-8"))


@pytest.fixture(params=["frozen", "installed"])
def theirs(request):
    """Return what a foreign package makes of a case."""

    def find(name, case):
        if request.param == "frozen":
            return frozen()[name][key(case)]
        packages, make, _ = FIGURES[name]
        for package in packages.split():
            pytest.importorskip(PACKAGES[package], reason=f"{package} is of the extra 'oracles'")
        return make(case)

    return find


def cases(name):
    return pytest.mark.parametrize("case", FIGURES[name][2], ids=key)


@cases("stouffer")
def test_stouffer_is_that_of_scipy(theirs, case):
    p, weights = map(np.array, P_VALUES[case])
    found = [stouffer(p), stouffer(p, weights)]
    np.testing.assert_allclose(found, theirs("stouffer", case), rtol=1e-12)


@cases("bars_needed")
def test_bars_needed_are_those_of_statsmodels(theirs, case):
    expected = theirs("bars_needed", case)
    assert bars_needed(*case) == pytest.approx(expected, rel=1e-12)
    strength, alpha, power = case
    assert smallest_strength(expected, alpha, power) == pytest.approx(strength, rel=1e-12)


@cases("stepdown")
def test_stepdown_is_that_of_holdout_backtest(theirs, case):
    """It divides by the deviation of the draws alone (ddof 1), and does not count the data."""
    x, times = excess_of(*case), blocks_of(*case[:2])
    centered = x[times].mean(axis=1) - x.mean(axis=0)
    scale = (x[times].mean(axis=1)).std(axis=0, ddof=1)
    expected = theirs("stepdown", case)
    np.testing.assert_allclose(x.mean(axis=0) / scale, expected["statistics"], rtol=1e-9)
    found = adjusted_p_values(x.mean(axis=0) / scale, centered / scale, studentize=False)
    shares = np.array(expected["shares"])
    np.testing.assert_allclose(found, (1 + DRAWS * shares) / (1 + DRAWS), rtol=1e-9)


def counts_in(times):
    """Return how often each time is in each row."""
    return np.array([np.bincount(row, minlength=times.shape[1]) for row in times], dtype=float)


@cases("ability")
def test_superior_predictive_ability_is_that_of_holdout_backtest(theirs, case):
    """Its p-values are shares of the draws alone."""
    found = superior_predictive_ability(excess_of(*case), counts_in(blocks_of(*case[:2])))
    expected = theirs("ability", case)
    assert found.statistic == pytest.approx(expected["statistic"], rel=1e-9)
    assert found.best == expected["best"]
    for name in ("lower", "consistent", "upper"):
        share = expected[name]
        assert getattr(found, name) == pytest.approx((1 + DRAWS * share) / (1 + DRAWS), rel=1e-12)


def test_arch_misses_the_winner_of_low_volatility_that_is_found_here(theirs):
    """Its p-value is .003 by Bonferroni, for 20 trials; 40 samples."""
    unstudentized = np.array(theirs("unstudentized", "winners"))
    assert (unstudentized <= 0.05).mean() < 0.1
    found = []
    for seed in UNEQUAL:
        counts = counts_of(draw_blocks(np.random.default_rng(seed), 250, 2.0, DRAWS))
        test = superior_predictive_ability(unequal_of(seed), counts)
        found.append(test.best == 0 and test.consistent <= 0.05)
    assert np.mean(found) > 0.9


@cases("block_length")
def test_block_length_is_that_of_arch(theirs, case):
    """Theirs is below 1 for data without dependence, where no block can be shorter."""
    expected = max(1.0, theirs("block_length", case))
    assert optimal_block_length(series_of(*case)) == pytest.approx(expected, rel=1e-9)


@cases("mean_variance")
def test_the_error_of_a_bootstrapped_mean_is_that_of_arch(theirs, case):
    x = series_of(*case)
    expected = math.sqrt(theirs("mean_variance", case) / len(x))
    assert natural_error(x - x.mean(), 4.0) == pytest.approx(expected, rel=1e-9)


@cases("bootstrapped_mean")
def test_drawn_means_are_distributed_as_those_of_arch(theirs, case):
    """4,000 draws each: a percentile's error is sqrt(q (1 - q) / 4,000) over the density."""
    x = series_of(*case)
    blocks = draw_blocks(np.random.default_rng(7), len(x), 4.0, 4_000)
    means = np.bincount(blocks.draw, sums_of(x, blocks)) / len(x)
    np.testing.assert_allclose(counts_of(blocks) @ x / len(x), means, rtol=1e-9, atol=1e-12)
    found = np.percentile(means, [5, 25, 50, 75, 95])
    error = (
        natural_error(x - x.mean(), 4.0) * np.array([2.1, 1.4, 1.3, 1.4, 2.1]) / math.sqrt(4_000)
    )
    z = (found - theirs("bootstrapped_mean", case)) / (error * math.sqrt(2.0))
    assert np.abs(z).max() < 4.0


@cases("sharpe_ratio")
def test_sharpe_ratios_are_those_of_jsharpe(theirs, case):
    sharpe, n, benchmark, *shape = case
    shape = Shape(*shape)
    found = [
        sharpe_variance(benchmark, n, shape),
        probabilistic_sharpe(sharpe, n, benchmark, shape),
        *(minimum_track_record(sharpe, benchmark, shape, alpha) for alpha in (0.1, 0.01)),
    ]
    expected = theirs("sharpe_ratio", case)
    if sharpe <= benchmark:  # they square a negative distance
        assert found[2:] == [math.inf, math.inf]
        found, expected = found[:2], expected[:2]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@cases("false_discoveries")
def test_false_discoveries_are_those_of_jsharpe(theirs, case):
    """Its ratio has another variance where there is an edge, so its edge is taken from that."""
    sharpe, edge, bars, prior = case
    lucky = 1.0 - probabilistic_sharpe(sharpe, bars)
    normal = NormalDist()
    away = normal.inv_cdf(1.0 - probabilistic_sharpe(sharpe, bars, edge)) - normal.inv_cdf(lucky)
    found = observed_false_discovery_rate(lucky, away, prior)
    assert found == pytest.approx(theirs("false_discoveries", case), rel=1e-9)


@cases("expected_maximum")
def test_the_expected_maximum_is_that_of_jsharpe_and_skfolio(theirs, case):
    expected = theirs("expected_maximum", case)
    np.testing.assert_allclose([expected_maximum(*case)] * 2, expected, rtol=1e-9)


@cases("deflated")
def test_deflated_sharpe_differs_from_others_by_its_variance_alone(theirs, case):
    """They take it at the observed ratio, with n - 1, and without the autocorrelation."""
    x, expected = excess_of(*case), theirs("deflated", case)
    ratios = x.mean(axis=0) / x.std(axis=0, ddof=1)
    sharpe, shape = sharpe_of(x[:, ratios.argmax()])
    names = ("sharpe", "skewness", "kurtosis", "autocorrelation")
    np.testing.assert_allclose([sharpe, *shape], [expected[name] for name in names], rtol=1e-9)

    best = expected_maximum(len(ratios), ratios.var(ddof=1))
    independent = shape._replace(autocorrelation=0.0)

    def phi(at):
        z = (sharpe - best) / math.sqrt(sharpe_variance(at, len(x) - 1, independent))
        return 0.5 * math.erfc(-z / math.sqrt(2.0))

    assert [phi(sharpe)] * 2 == pytest.approx([expected["holdout"], expected["skfolio"]], rel=1e-9)
    found = deflated_sharpe(sharpe, len(x) - 1, len(ratios), ratios.var(ddof=1), independent)
    assert found == pytest.approx(phi(best), rel=1e-12)


@cases("overfitting")
def test_overfitting_is_that_of_holdout_backtest(theirs, case):
    """A rank on the median, possible for an odd number, is a whole failure there."""
    found, expected = (
        probability_of_overfitting(excess_of(*case[:3]), case[3]),
        theirs("overfitting", case),
    )
    np.testing.assert_allclose(found.ranks[:: expected["every"]], expected["ranks"], rtol=1e-9)
    on_the_median = (np.abs(found.ranks - 0.5) < 1e-9).mean()
    assert found.probability + on_the_median / 2 == pytest.approx(expected["probability"])
    assert (on_the_median > 0) == bool(case[2] % 2)


@cases("across_seeds")
def test_seeds_are_compared_as_by_rliable(theirs, case):
    scores, others = scores_of(*case)
    found = [interquartile_mean(scores), probability_of_improvement(scores, others)]
    np.testing.assert_allclose(found, theirs("across_seeds", case), rtol=1e-12)
