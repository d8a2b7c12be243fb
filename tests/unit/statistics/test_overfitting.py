"""The probability of overfitting: by hand, its null of one half, and its traps."""

import itertools
import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.overfitting import probability_of_overfitting

STEADY = [1.0, 3.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("other", "probability", "ranks"),
    [
        ([3.0, 5.0, -1.0, 1.0], 1.0, [1 / 3, 1 / 3]),  # the best of each half is the other's worst
        ([3.0, 5.0, 3.0, 5.0], 0.0, [2 / 3, 2 / 3]),
        (STEADY, 0.5, [0.5, 0.5]),  # twice the same
        ([0.0, 0.0, 0.0, 0.0], 0.0, [2 / 3, 2 / 3]),  # no dispersion: a ratio of 0
        ([1.0, 1.0, 1.0, 1.0], 0.0, [2 / 3, 2 / 3]),
        ([3.0, 5.0, 0.0, 0.0], 1.0, [1 / 3, 1 / 3]),  # idle in one half
    ],
)
def test_two_configurations_and_two_blocks_by_hand(other, probability, ranks):
    found = probability_of_overfitting(np.column_stack([STEADY, other]), 2)
    assert found.probability == probability
    np.testing.assert_allclose(found.ranks, ranks, rtol=1e-12)


def test_blocks_are_those_of_the_whole_time():
    """Nine bars in four blocks are 3 2 2 2, by the ratios of the halves worked out one by one."""
    x = np.random.default_rng(1).normal(size=(9, 3))
    blocks = [range(3), range(3, 5), range(5, 7), range(7, 9)]
    failed = []
    for chosen in itertools.combinations(range(4), 2):
        rows = [t for b in chosen for t in blocks[b]]
        rest = [t for t in range(9) if t not in rows]
        ratio = [x[r].mean(axis=0) / x[r].std(axis=0, ddof=1) for r in (rows, rest)]
        rank = sorted(ratio[1]).index(ratio[1][ratio[0].argmax()])
        failed.append([1.0, 0.5, 0.0][rank])
    assert probability_of_overfitting(x, 4).probability == pytest.approx(np.mean(failed))


@pytest.mark.parametrize("configurations", [2, 3, 10, 25])
def test_without_skill_it_is_one_half(configurations):
    """The mean over 120 matrices, within 4 of its own standard errors."""
    rng = np.random.default_rng(configurations)
    found = np.array(
        [
            probability_of_overfitting(rng.normal(size=(200, configurations)), 8).probability
            for _ in range(120)
        ]
    )
    error = found.std(ddof=1) / math.sqrt(len(found))
    assert error < 0.04
    assert found.mean() == pytest.approx(0.5, abs=4 * error)


def test_a_true_edge_is_chosen_again():
    x = np.random.default_rng(2).normal(size=(400, 10))
    x[:, 3] += 0.4
    assert probability_of_overfitting(x, 10).probability < 0.01


def test_copies_of_all_configurations_change_nothing():
    """Ranks of 4, with each twice: 2 r - 1/2 of 8. None is on the median, so no share changes."""
    x = np.random.default_rng(3).normal(size=(100, 4))
    once, twice = (probability_of_overfitting(v, 6) for v in (x, np.column_stack([x, x])))
    np.testing.assert_allclose(twice.ranks * 9, 2 * once.ranks * 5 - 0.5, rtol=1e-12)
    assert once.probability == pytest.approx(twice.probability)


def test_configurations_that_do_nothing_are_one_half():
    assert probability_of_overfitting(np.zeros((100, 4)), 4).probability == 0.5


def test_the_transpose_is_rejected():
    x = np.random.default_rng(4).normal(size=(300, 8))
    with pytest.raises(ValueError, match="8 rows of 300 columns look transposed"):
        probability_of_overfitting(x.T, 4)


def test_what_cannot_be_divided_is_rejected():
    x = np.ones((40, 3))
    for blocks in (0, 3, 22):
        with pytest.raises(ValueError, match=rf"from 2 to 20, not {blocks}"):
            probability_of_overfitting(x, blocks)
    for bad in (x[:, :1], x * math.nan):
        with pytest.raises(ValueError, match="at least 2 configurations"):
            probability_of_overfitting(bad, 4)
