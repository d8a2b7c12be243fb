"""Fractional differences and regimes: hand-worked cases, NumPy and pandas as foreign formulas."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.fractional import fractional_weights
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars, make_flat_bars

FRAME = make_bars(700, seed=5)
LOG = np.log(FRAME["close"])


def compute(name, frame=FRAME, **params):
    return evaluate(build_feature(FeatureSpec(name, params)), name, bars_of(frame)).values


def from_closes(closes):
    frame = make_flat_bars(len(closes))
    for name in ("open", "high", "low", "close"):
        frame[name] = np.array(closes, dtype=float)
    return frame


def test_weights_are_the_binomial_series():
    # (1 - x)^0.4 = 1 - 0.4 x - 0.12 x^2 - 0.064 x^3 - 0.0416 x^4 - ...
    got = fractional_weights(0.4, 0.04)
    np.testing.assert_allclose(got, [1, -0.4, -0.12, -0.064, -0.0416], rtol=1e-14)
    assert fractional_weights(1.0, 1e-6).tolist() == [1.0, -1.0]
    assert fractional_weights(2.0, 1e-6).tolist() == [1.0, -2.0, 1.0]


def test_fractional_difference_is_the_weighted_window_with_the_rest_on_its_oldest_close():
    weights = fractional_weights(0.4, 1e-3)
    n = len(weights)
    log = LOG.to_numpy()
    inside = np.convolve(log, weights)[: len(log)]
    expected = inside[n:] - weights.sum() * log[:-n]
    got = compute("fractional_difference")[:, 0]
    assert np.isnan(got[:n]).all()
    np.testing.assert_allclose(got[n:], expected, atol=1e-12)


def test_fractional_difference_of_order_one_is_the_log_return():
    got = compute("fractional_difference", order=1.0)[2:, 0]
    np.testing.assert_allclose(got, LOG.diff()[2:], atol=1e-14)


def test_fractional_difference_refuses_an_endless_window():
    with pytest.raises(ConfigError, match="more than 20000 weights above the threshold 1e-06"):
        build_feature(FeatureSpec("fractional_difference", {"order": 0.05, "threshold": 1e-6}))


def test_trend_equals_numpy_and_pandas():
    t, efficiency = compute("trend", period=25).T
    for row in (25, 200, 699):
        window = LOG.iloc[row - 24 : row + 1]
        (slope, _), covariance = np.polyfit(np.arange(25), window, 1, cov=True)
        np.testing.assert_allclose(t[row], slope / np.sqrt(covariance[0, 0]), rtol=1e-9)
    moves = LOG.diff()
    expected = moves.rolling(25).sum() / moves.abs().rolling(25).sum()
    np.testing.assert_allclose(efficiency[25:], expected[25:], atol=1e-12)


def test_trend_by_hand():
    # A line in logs has a t without bound and an efficiency of 1; there and back again gives 0.
    line = compute("trend", from_closes([1, 2, 4, 8, 16]), period=3)
    np.testing.assert_allclose(line[3:], [[50, 1], [50, 1]], rtol=1e-12)
    down = compute("trend", from_closes([16, 8, 4, 2]), period=3)
    np.testing.assert_allclose(down[3], [-50, -1], rtol=1e-12)
    back = compute("trend", from_closes([9, 1, 4, 1]), period=3)
    # Of the moves ln 1/9, ln 4, ln 1/4: -ln 9 over ln 9 + 2 ln 4. The last three closes are level.
    np.testing.assert_allclose(back[3], [0, -math.log(9) / math.log(144)], atol=1e-12)
    assert not compute("trend", make_flat_bars(9), period=3)[3:].any()


def test_volatility_regime_equals_pandas():
    squares = LOG.diff() ** 2
    short, long = (np.sqrt(squares.rolling(n).mean()) for n in (10, 90))
    ratio, percentile = compute("volatility_regime", short=10, long=90).T
    np.testing.assert_allclose(ratio[99:], np.log(short / long)[99:], atol=1e-10)
    ranks = short.rolling(90).rank(method="max")  # itself included, and alone: half of it counts
    np.testing.assert_allclose(percentile[99:], ((ranks - 0.5) / 90)[99:], atol=1e-12)


def test_volatility_regime_on_a_flat_price_and_after_a_halt():
    flat = compute("volatility_regime", make_flat_bars(30), short=2, long=8)
    assert flat[9:].tolist() == [[0.0, 0.5]] * 21
    halted = compute("volatility_regime", from_closes([1, 2, 1, 2, 1, 1, 1]), short=1, long=4)
    # Volatilities ln 2 four times, then 0 twice: 0 ties with the other one, of four.
    np.testing.assert_allclose(halted[6], [math.log(0.01), 0.25], rtol=1e-12)


def test_volatility_regime_needs_a_longer_past():
    with pytest.raises(ConfigError, match="long parameter of VolatilityRegime must be larger than"):
        build_feature(FeatureSpec("volatility_regime", {"short": 20, "long": 20}))


def test_rolling_zscore_equals_pandas():
    of = {"name": "realized_volatility", "periods": [5]}
    values = np.sqrt((LOG.diff() ** 2).rolling(5).mean())
    rolling = values.rolling(30)
    expected = (values - rolling.mean()) / rolling.std(ddof=0)
    got = compute("rolling_zscore", of=of, period=30)[:, 0]
    assert np.isnan(got[:34]).all()
    np.testing.assert_allclose(got[34:], expected[34:], atol=1e-6)


def test_lagged_by_hand():
    frame = from_closes([1, 2, 1, 4])
    feature = build_feature(FeatureSpec("lagged", {"bars": 2}))
    assert feature.columns == ("log_return_1_lag_0", "log_return_1_lag_1")
    got = compute("lagged", frame, bars=2)
    np.testing.assert_allclose(got[2:] / math.log(2), [[-1, 1], [2, -1]], rtol=1e-12)
    assert np.isnan(got[:2]).all()


def test_a_feature_of_a_feature_must_be_of_this_package():
    with pytest.raises(ConfigError, match="must be a feature of this package"):
        build_feature(FeatureSpec("lagged", {"of": {"name": "user_features:momentum"}}))
