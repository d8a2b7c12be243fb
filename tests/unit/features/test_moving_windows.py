"""Window statistics against exact sums, and their independence of where the series begins."""

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.features.windows import (
    ema_decay,
    exponential_mean,
    exponential_window,
    moving_mean,
    moving_mean_and_deviation,
    moving_means,
    wilder_decay,
)

series = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=60).map(np.array)


def exact_mean(window, decay):
    weights = [Fraction(decay) ** (len(window) - 1 - i) for i in range(len(window))]
    terms = zip(weights, map(Fraction, window.tolist()), strict=True)
    return float(sum(w * x for w, x in terms) / sum(weights))


@settings(max_examples=60, deadline=None)
@given(series, st.integers(1, 40), st.sampled_from([1.0, 0.9, 0.5, 0.0]))
def test_mean_is_the_exact_weighted_mean_of_each_window(x, window, decay):
    got = moving_mean(x, window, decay)
    assert np.isnan(got[: window - 1]).all()
    for t in range(window - 1, len(x)):
        assert got[t] == pytest.approx(exact_mean(x[t - window + 1 : t + 1], decay), rel=1e-14)


@settings(max_examples=60, deadline=None)
@given(series, st.integers(1, 40))
def test_deviation_is_the_exact_population_deviation_of_each_window(x, window):
    mean, deviation = moving_mean_and_deviation(x, window)
    assert np.isnan(deviation[: window - 1]).all()
    for t in range(window - 1, len(x)):
        part = x[t - window + 1 : t + 1].tolist()
        assert mean[t] == pytest.approx(math.fsum(part) / window, rel=1e-14)
        # pstdev works in exact fractions
        assert deviation[t] == pytest.approx(
            statistics.pstdev(part), rel=1e-9, abs=1e-13 * max(part)
        )


def test_deviation_does_not_cancel_at_a_high_level():
    """1e9 + {0, 1}: sums of squares in float64 are off by more than the deviation itself."""
    x = 1e9 + np.tile([0.0, 1.0], 50)
    _, deviation = moving_mean_and_deviation(x, 10)
    np.testing.assert_allclose(deviation[9:], 0.5, rtol=1e-12)
    squares = np.convolve(x * x, np.ones(10), "valid") / 10
    naive = squares - (np.convolve(x, np.ones(10), "valid") / 10) ** 2
    assert np.abs(naive - 0.25).max() > 1.0


@pytest.mark.parametrize("value", [0.1, 37.3, 60_000.0, 1e-9])
@pytest.mark.parametrize("window", [1, 2, 3, 20, 187, 200])
def test_equal_values_give_that_value_and_no_deviation_exactly(value, window):
    x = np.full(250, value)
    mean, deviation = moving_mean_and_deviation(x, window)
    assert (mean[window - 1 :] == value).all()
    assert (deviation[window - 1 :] == 0.0).all()
    assert (moving_mean(x, window)[window - 1 :] == value).all()
    assert (moving_mean(x, window, 13 / 14)[window - 1 :] == value).all()


@settings(max_examples=40, deadline=None)
@given(series, st.integers(1, 20), st.integers(0, 30), st.integers(0, 10))
def test_bits_depend_on_the_window_alone(x, window, before, after):
    long = np.concatenate([np.full(before, 1e7), x, np.full(after, 1e-3)])
    inner = slice(before + window - 1, before + len(x))
    for statistic in (
        lambda y: moving_mean(y, window),
        lambda y: moving_mean(y, window, 0.8),
        lambda y: moving_mean_and_deviation(y, window)[1],
    ):
        assert statistic(long)[inner].tobytes() == statistic(x)[window - 1 :].tobytes()


def test_mean_over_the_last_axis_of_several_series():
    x = np.arange(12.0).reshape(2, 6) ** 2
    both = moving_mean(x, 3, 0.5)
    for i in range(2):
        np.testing.assert_array_equal(both[i], moving_mean(x[i], 3, 0.5))


def test_several_windows_at_once_give_the_bits_of_each():
    x = np.random.default_rng(0).normal(size=100)
    windows = (7, 101, 1, 64, 100, 20)
    for window, got in zip(windows, moving_means(x, windows, 0.9), strict=True):
        assert got.tobytes() == moving_mean(x, window, 0.9).tobytes()


def test_exponential_mean_worked_by_hand():
    # decay 1/2, tail 1/4: two bars, weights 2/3 and 1/3
    assert exponential_window(0.5, 0.25) == 2
    got = exponential_mean(np.array([3.0, 6.0, 0.0]), 0.5, 0.25)
    np.testing.assert_allclose(got, [np.nan, 5.0, 2.0], rtol=1e-15)


@pytest.mark.parametrize(("decay", "tail"), [(13 / 14, 1e-6), (25 / 27, 1e-10), (0.2, 0.5)])
def test_window_is_the_shortest_that_cuts_off_no_more_than_the_tail(decay, tail):
    window = exponential_window(decay, tail)
    assert decay**window <= tail * (1 + 1e-12)
    assert window == 1 or decay ** (window - 1) > tail


def test_decays():
    assert ema_decay(9) == pytest.approx(1 - 2 / 10)
    assert wilder_decay(14) == pytest.approx(1 - 1 / 14)
    assert exponential_window(ema_decay(1), 1e-6) == 1
