"""The stepdown p-values: by hand, their error rate under the null, and what they find."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.combine import permutation_p
from reinforcestrategycreator_pipeline.statistics.stepdown import adjusted_p_values

NULL = np.array([[1.0, 0.0, 4.0], [0.0, 3.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def test_by_hand():
    """The order is 1, 0, 2. The maxima of all are 4 3 2 1, of 0 and 2 are 4 0 2 1, of 2, 4 0 0 1.

    3.5 is reached by 4 alone; 1.5 by 4 and 2; -1 by all four.
    """
    found = adjusted_p_values(np.array([1.5, 3.5, -1.0]), NULL, studentize=False)
    assert found.tolist() == [3 / 5, 2 / 5, 5 / 5]


def test_no_p_is_below_that_of_a_higher_statistic():
    """Nothing reaches 2.9 in its own column, but the higher 3 is reached twice."""
    drawn = np.array([[9.0, 0.0], [9.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert adjusted_p_values(np.array([3.0, 2.9]), drawn, False).tolist() == [3 / 5, 3 / 5]


def test_one_studentized_trial_by_hand():
    """4 0 0 0 0 has the mean 0.8 and the deviation 1.6: z = 2, and -0.5 in every draw."""
    assert adjusted_p_values(np.array([4.0]), np.zeros((4, 1))).tolist() == [1 / 5]
    assert adjusted_p_values(np.array([0.0]), np.array([[4.0], [0.0]])).tolist() == [3 / 3]


@pytest.mark.parametrize("studentize", [True, False])
def test_one_trial_is_a_permutation_test(studentize):
    rng = np.random.default_rng(1)
    for own in rng.normal(size=20).tolist():
        drawn = rng.normal(size=50)
        found = adjusted_p_values(np.array([own]), drawn[:, None], studentize)
        assert found.tolist() == [permutation_p(own, drawn)]


def test_studentized_p_values_know_neither_unit_nor_center():
    rng = np.random.default_rng(2)
    own, drawn = rng.normal(size=6) + 1, rng.normal(size=(80, 6))
    unit, center = 10.0 ** np.arange(-3, 3), np.arange(6) - 3.0
    found = adjusted_p_values(own, drawn)
    assert adjusted_p_values(own * unit + center, drawn * unit + center).tolist() == found.tolist()


def test_a_trial_that_never_differs_is_no_candidate():
    rng = np.random.default_rng(3)
    own, drawn = rng.normal(size=3) + 1, rng.normal(size=(80, 3))
    with_idle = adjusted_p_values(
        np.insert(own, 1, 0.1), np.insert(drawn, 1, 0.1 + 1e-14 * rng.normal(size=80), axis=1)
    )
    assert with_idle[1] == 1.0
    assert np.delete(with_idle, 1).tolist() == adjusted_p_values(own, drawn).tolist()
    assert adjusted_p_values(np.zeros(2), np.zeros((5, 2))).tolist() == [1.0, 1.0]


def test_what_is_no_statistic_is_rejected():
    for own, drawn in (
        (np.zeros(2), np.zeros((0, 2))),
        (np.array([0.0, math.nan]), np.zeros((3, 2))),
        (np.zeros(2), np.full((3, 2), math.inf)),
    ):
        with pytest.raises(ValueError, match="finite statistics"):
            adjusted_p_values(own, drawn)


def means(rng, bars, draws, volatility, strength=0.0):
    """Return the mean of correlated trials, and means with random signs: a symmetric null."""
    noise = rng.normal(size=(bars, len(volatility))) + 0.7 * rng.normal(size=(bars, 1))
    x = volatility * (noise + strength)
    signs = rng.choice([-1.0, 1.0], size=(draws, bars))
    return x.mean(axis=0), signs @ x / bars


VOLATILITY = 0.01 * 2.0 ** np.arange(-3, 5)


@pytest.mark.parametrize("studentize", [True, False])
def test_noise_passes_as_often_as_the_level_says(studentize):
    """The smallest of eight is <= k / 100 in exactly k% of trials of 99 draws; 1,500, +- 4 sd."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(1_500):
        found.append(adjusted_p_values(*means(rng, 40, 99, VOLATILITY), studentize).min())
    for level in (0.05, 0.2, 0.5):
        share = np.mean(np.array(found) <= level + 1e-12)
        assert share == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 1_500))


def test_true_edges_do_not_make_the_others_pass():
    """Every other trial has an edge: of the rest, none is called one in at least 95%."""
    rng = np.random.default_rng(5)
    edge = np.array([0.0, 0.6] * 4)
    false, true = 0, 0
    for _ in range(800):
        p = adjusted_p_values(*means(rng, 60, 99, VOLATILITY, edge))
        false += bool((p[edge == 0] <= 0.05).any())
        true += int((p[edge > 0] <= 0.05).sum())
    assert false / 800 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 800)
    assert true / 3_200 > 0.5


def test_an_edge_of_low_volatility_is_found_only_if_studentized():
    """A winner of t = 3.6 among 19 trials of up to 30 times its volatility, 100 times."""
    rng = np.random.default_rng(6)
    volatility = np.array([0.002, *np.linspace(0.01, 0.06, 19)])
    edge = np.array([3.6 * math.hypot(1, 0.7) / math.sqrt(250), *[0.0] * 19])
    found = {True: 0, False: 0}
    for _ in range(100):
        own, drawn = means(rng, 250, 199, volatility, edge)
        for studentize in found:
            found[studentize] += bool(adjusted_p_values(own, drawn, studentize)[0] <= 0.05)
    assert found[True] > 60
    assert found[False] < 15
