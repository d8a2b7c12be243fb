"""Scores of seeds by hand."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.across_seeds import (
    interquartile_mean,
    probability_of_improvement,
)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([3.0], 3.0),
        ([9.0, 0.0, 3.0], 4.0),  # a quarter of three is none
        ([100.0, 1.0, 2.0, -50.0, 3.0], 2.0),
        ([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 100.0], 5.5),
    ],
)
def test_the_middle_half_by_hand(scores, expected):
    assert interquartile_mean(np.array(scores)) == expected


def test_pairs_by_hand():
    """2 beats 1 and ties with 2; 3 beats both; 0 none: (1.5 + 2 + 0) of 6."""
    scores, others = np.array([2.0, 3.0, 0.0]), np.array([1.0, 2.0])
    assert probability_of_improvement(scores, others) == pytest.approx(3.5 / 6)
    assert probability_of_improvement(others, scores) == pytest.approx(2.5 / 6)
    assert probability_of_improvement(scores, scores) == 0.5
