"""The standard error of a Sharpe ratio, and the ratio that is not believed."""

import math

import pytest

from reinforcestrategycreator_pipeline.statistics.sharpe import (
    incredible_sharpe,
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
