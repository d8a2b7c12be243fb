"""Hansen's test: by hand, its level, and what it finds among hopeless trials."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.block_bootstrap import counts_of, draw_blocks
from reinforcestrategycreator_pipeline.statistics.superior_predictive_ability import (
    superior_predictive_ability,
)


def test_by_hand():
    """One trial 0 0 3, mean 1. The draws have the means 3, 1, 0 and 0, of deviation sqrt(2).

    t = 1 / sqrt(2), and of the drawn (2, 0, -1, -1) / sqrt(2) one reaches it: 2 / 5.
    """
    counts = np.array([[0, 0, 3], [1, 1, 1], [3, 0, 0], [0, 3, 0]], dtype=float)
    found = superior_predictive_ability(np.array([[0.0], [0.0], [3.0]]), counts)
    assert found.statistic == pytest.approx(1 / math.sqrt(2))
    assert found.best == 0
    assert found[2:] == (2 / 5, 2 / 5, 2 / 5)


def test_losers_reach_nothing():
    counts = counts_of(draw_blocks(np.random.default_rng(1), 50, 1.0, 99))
    x = np.random.default_rng(2).normal(-1.0, 1.0, (50, 3))
    assert superior_predictive_ability(x, counts)[0] == 0.0
    assert superior_predictive_ability(x, counts)[2:] == (1.0, 1.0, 1.0)


def test_trials_that_never_trade_are_no_candidates():
    counts = counts_of(draw_blocks(np.random.default_rng(1), 50, 1.0, 99))
    x = np.random.default_rng(2).normal(0.3, 1.0, (50, 2))
    idle = np.column_stack([np.zeros(50), x, np.full(50, 1e-4)])
    plain, beside = (superior_predictive_ability(values, counts) for values in (x, idle))
    assert beside == plain._replace(best=plain.best + 1)
    assert superior_predictive_ability(idle[:, :1], counts) == (0.0, -1, 1.0, 1.0, 1.0)


def test_what_cannot_be_tested_is_rejected():
    x, counts = np.ones((5, 2)), np.ones((4, 5))
    for values, drawn in (
        (x[:2], counts[:, :2]),
        (x[:, :0], counts),
        (x, counts[:1]),
        (x * math.nan, counts),
    ):
        with pytest.raises(ValueError, match="are needed"):
            superior_predictive_ability(values, drawn)


def test_hopeless_trials_cost_hansens_test_nothing():
    """Two trials with an edge among 60 that lose: `consistent` finds it, `upper` less often."""
    rng = np.random.default_rng(3)
    found = {"lower": 0, "consistent": 0, "upper": 0}
    for _ in range(100):
        mean = np.array([0.2] * 2 + [-0.8] * 60)
        x = rng.normal(mean, 1.0, (200, 62))
        test = superior_predictive_ability(x, counts_of(draw_blocks(rng, 200, 1.0, 199)))
        assert test.lower <= test.consistent <= test.upper
        for name in found:
            found[name] += getattr(test, name) <= 0.05
    assert found["consistent"] > found["upper"] + 15


@pytest.mark.parametrize("volatility", [[1.0] * 10, (2.0 ** np.arange(10)).tolist()])
def test_noise_passes_as_often_as_the_level_says(volatility):
    """600 samples of ten correlated trials of blocks of 2; 5% and 20%, + 3.5 sd."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(600):
        x = (rng.normal(size=(200, 10)) + 0.7 * rng.normal(size=(200, 1))) * volatility
        counts = counts_of(draw_blocks(rng, 200, 2.0, 199))
        found.append(superior_predictive_ability(x, counts).consistent)
    for level in (0.05, 0.2):
        share = np.mean(np.array(found) <= level)
        assert abs(share - level) <= 3.5 * math.sqrt(level * (1 - level) / 600)
