"""Autocorrelations and information coefficients: by hand, by pandas, and their size."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.statistics.information import (
    autocorrelations,
    rank_correlation,
    ranks,
)


def test_autocorrelations_by_hand():
    # Deviations -1, 0, 1, 0, their squares sum to 2: lag 1 gives 0 + 0 + 0, lag 2 gives -1 + 0.
    assert autocorrelations(np.array([1.0, 2.0, 3.0, 2.0]), (1, 2)) == [0.0, -0.5]
    assert np.isnan(autocorrelations(np.full(9, 0.1), (1,))).all()
    assert np.isnan(autocorrelations(np.arange(3.0), (3,))).all()


def test_ranks_share_ties():
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_rank_correlation_equals_pandas():
    rng = np.random.default_rng(1)
    x = np.round(rng.normal(size=200), 1)  # with ties
    y = x + rng.normal(size=200)
    found = rank_correlation(x, y)
    ranked = pd.DataFrame({"x": x, "y": y}).rank()
    assert found.value == pytest.approx(ranked.corr().iloc[0, 1], abs=1e-12)
    assert rank_correlation(x, np.ones(200)) is None


def test_perfect_order_has_no_error():
    assert rank_correlation(np.arange(9.0), np.exp(np.arange(9.0))) is None


def test_error_is_that_of_white_noise_and_holds_for_autocorrelated_signals():
    rng = np.random.default_rng(2)
    t = []
    for _ in range(400):
        noise, y = rng.normal(size=(2, 400))
        x = pd.Series(noise).ewm(alpha=0.1).mean().to_numpy()
        found = rank_correlation(x, y)
        assert 0.03 < found.error < 0.08  # 1 / sqrt(400) = 0.05
        t.append(found.value / found.error)
    beyond = np.mean(np.abs(t) > 1.96)
    assert 0.03 < beyond < 0.09
