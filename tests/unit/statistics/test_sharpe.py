"""The Sharpe ratio, the standard error of a Sharpe ratio, and the ratio that is not believed."""

import math

import numpy as np
import pytest
from scipy import stats

from reinforcestrategycreator_pipeline.statistics.sharpe import (
    incredible_sharpe,
    sharpe_ratio,
    sharpe_standard_error,
)


def test_standard_error_by_hand():
    # Per bar 0.5 / sqrt(252) = 0.0315; (1 + 0.0315^2 / 2) / 504 * 252 = 0.50025, root 0.7073.
    assert sharpe_standard_error(0.5, 504, 252) == pytest.approx(0.70728, abs=1e-5)


@pytest.mark.parametrize(
    ("periods", "limit"),
    [
        (12, 3.0),
        (52.18, 3.0),
        (252, 4.0),
        (365.25, 4.0),
        (16 * 366, 8.0),  # sixteen bars a day: twice the limit of one
        (24 * 366, 4 * math.sqrt(math.sqrt(24))),
    ],
)
def test_the_limit_of_belief_by_bar_length(periods, limit):
    assert incredible_sharpe(periods) == pytest.approx(limit)


def test_the_ratio_by_hand():
    # Mean 0.01, deviations -0.02, 0, 0.02: sample deviation 0.02; half of 16.
    assert sharpe_ratio(np.array([-0.01, 0.01, 0.03]), 256.0) == pytest.approx(8.0)
    # numpy and scipy know the parts.
    returns = np.random.default_rng(0).normal(0.001, 0.01, 500)
    expected = math.sqrt(252) * stats.ttest_1samp(returns, 0.0).statistic / math.sqrt(500)
    assert sharpe_ratio(returns, 252.0) == pytest.approx(expected)


@pytest.mark.parametrize("returns", [[], [0.01], [0.01] * 9, [0.0001 + 1e-17, 0.0001] * 50])
def test_equal_returns_have_no_ratio(returns):
    assert sharpe_ratio(np.array(returns, dtype=np.float64), 252.0) is None
