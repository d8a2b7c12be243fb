"""The agreement of agents on the effect of features, by hand."""

import statistics

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.policies.relevance import (
    ROWS,
    agreement,
    shrunk,
    threshold_for,
)

SLOPES = (1.0, 2.0, 6.0)
RATIO = 9.0 / 7.0  # of their squared mean 3^2 to their variance (4 + 1 + 9) / 2


def market(rows=300, n_features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, n_features))


def agents(effect, slopes=SLOPES, actions=(0.0, 1.0)):
    """Return agents whose value of an action is slope * action * effect(features)."""
    return [lambda x, w=w: w * np.outer(effect(x), actions) for w in slopes]


def ratios(values, features=None, seed=0):
    features = market() if features is None else features
    return agreement(values, features, np.random.default_rng(seed))


@pytest.mark.parametrize("actions", [(0.0, 1.0), (-1.0, 0.0, 1.0), (-0.3, 0.0, 0.4, 5.0)])
@pytest.mark.parametrize("rows", [2, 50, ROWS, 5 * ROWS])
def test_of_linear_agents_it_is_the_squared_mean_over_the_variance(rows, actions):
    # The effect of replacing x by x' is w (x - x') times the action, less the mean of the actions:
    # all but w is the same for all agents, and cancels.
    found = ratios(agents(lambda x: x[:, 1], actions=actions), market(rows))
    np.testing.assert_allclose(found[1], RATIO, rtol=1e-9)
    assert (found[0], found[2]) == (0.0, 0.0)  # ignored by all


def test_features_are_judged_one_by_one():
    weights = np.array([[1.0, 0.5, -1.0], [2.0, 0.4, 1.0], [6.0, 0.6, 0.0]])
    values = [lambda x, w=w: np.outer(x @ w, [0.0, 1.0]) for w in weights]
    expected = [statistics.mean(w) ** 2 / statistics.variance(w) for w in weights.T.tolist()]
    assert expected[1:] == [pytest.approx(25.0), 0.0]
    np.testing.assert_allclose(ratios(values), expected, rtol=1e-9, atol=1e-20)


def test_an_effect_whose_sign_depends_on_another_feature_is_seen():
    # Averaged over the bars, the effect of each of the two features is 0.
    found = ratios(agents(lambda x: x[:, 0] * x[:, 2]))
    np.testing.assert_allclose(found, [RATIO, 0.0, RATIO], rtol=1e-9)
    # So is one that has no linear part.
    found = ratios(agents(lambda x: np.abs(x[:, 1])))
    np.testing.assert_allclose(found, [0.0, RATIO, 0.0], rtol=1e-9)


def test_what_all_actions_have_in_common_is_not_an_effect():
    def with_level(k, slope):
        level = 2.0**k
        return lambda x: np.outer(slope * x[:, 1], [0.0, 1.0]) + level * x[:, [0]]

    features = np.round(8.0 * market()) / 8.0  # so the level cancels without rounding
    found = ratios([with_level(k, slope) for k, slope in enumerate(SLOPES)], features)
    np.testing.assert_allclose(found, [0.0, RATIO, 0.0], rtol=1e-9)


def test_a_feature_that_never_varies_has_no_effect():
    features = market()
    features[:, 1] = 2.0
    assert ratios(agents(lambda x: x[:, 1]), features).tolist() == [0.0, 0.0, 0.0]


def test_agents_without_anything_in_common_agree_by_one_in_their_number():
    # At these frequencies, the values of different agents on a bar are unrelated.
    frequencies = np.random.default_rng(8).uniform(500.0, 5000.0, 8)
    values = [lambda x, w=w: np.outer(np.sin(w * x[:, 0]), [0.0, 1.0]) for w in frequencies]
    found = [ratios(values, market(2_000), seed)[0] for seed in range(10)]
    assert np.mean(found) == pytest.approx(1 / 8, rel=0.1)


def test_agents_that_are_alike_agree_without_limit():
    found = ratios(agents(lambda x: x[:, 0], slopes=(2.0, 2.0)))
    assert found.tolist() == [np.inf, 0.0, 0.0]
    assert shrunk(found, 0.5).tolist() == [1.0, 0.0, 0.0]


def test_it_leaves_the_features_alone_and_equal_seeds_give_equal_ratios():
    features, twin = market(), market()
    values = [lambda x, w=w: np.outer(np.tanh(w * x[:, 0]), [0.0, 1.0]) for w in SLOPES]
    one, same, other = (ratios(values, features, seed) for seed in (1, 1, 2))
    assert features.tobytes() == twin.tobytes()
    assert one.tobytes() == same.tobytes() != other.tobytes()


def test_shrunk_by_hand():
    assert shrunk(2.0, 0.5) == 0.75
    assert shrunk(np.array([0.0, 0.4, 0.5, 0.625, 1.0, 50.0]), 0.5).tolist() == pytest.approx(
        [0.0, 0.0, 0.0, 0.2, 0.5, 0.99]
    )
    assert shrunk(np.array([0.0, 1e-3, 5.0]), 0.0).tolist() == [0.0, 1.0, 1.0]


def test_the_threshold_falls_with_the_number_of_times():
    assert threshold_for(3_000) == pytest.approx(0.65)
    assert threshold_for(600) == pytest.approx(1.45)
    assert threshold_for(1) > threshold_for(2)
