"""Spreads, volatility of bars and order flow: hand-worked cases and foreign formulas."""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

FRAME = make_bars(400, seed=5)


def compute(name, frame=FRAME, **params):
    return evaluate(build_feature(FeatureSpec(name, params)), name, bars_of(frame)).values


def frame_of(*rows):
    """Return bars of (open, high, low, close, volume)."""
    columns = ["open", "high", "low", "close", "volume"]
    index = pd.date_range("2020-01-01", periods=len(rows), tz="UTC", name="timestamp")
    return pd.DataFrame(np.array(rows, dtype=float), index=index, columns=columns)


@pytest.mark.parametrize(
    ("estimator", "variance"),
    [
        # u = ln 2, d = -ln 4, c = ln 1.5
        ("parkinson", math.log(8) ** 2 / (4 * math.log(2))),
        ("garman_klass", math.log(8) ** 2 / 2 - (2 * math.log(2) - 1) * math.log(1.5) ** 2),
        ("rogers_satchell", math.log(2) * math.log(4 / 3) + math.log(4) * math.log(6)),
    ],
)
def test_bar_volatility_by_hand(estimator, variance):
    frame = frame_of((4, 4, 4, 4, 1), (4, 8, 1, 6, 1))
    got = compute("bar_volatility", frame, period=2, estimator=estimator)[1, 0]
    assert got == pytest.approx(math.sqrt(variance / 2), rel=1e-14)


def test_corwin_schultz_by_hand():
    # Twice the same range: two bars span no more than one, so all of it is the spread:
    # beta = 2 x^2, gamma = x^2, alpha = x. The range of the third bar joins that of the second:
    # gamma = 2 beta / 2, alpha = 0. The fourth is the third after a gap, which is taken out.
    x = math.log(1.02)
    b = math.exp((math.sqrt(2) - 1) * x)
    third = (102, 102 * b, 102 * b / 1.02, 102, 1)
    frame = frame_of((101, 102, 100, 101, 1), (101, 102, 100, 102, 1), third)
    frame.loc[pd.Timestamp("2020-01-04", tz="UTC")] = [*(p + 13 for p in third[:4]), 1]
    got = compute("corwin_schultz", frame, period=1)[:, 0]
    spread = 2 * (math.exp(x) - 1) / (math.exp(x) + 1)
    np.testing.assert_allclose(got[1:3], [spread, 0.0], atol=1e-12)
    low = third[2] + 13  # moved back to the close of 102 * b / 1.02
    shifted = [p - (low - third[3]) for p in (third[1] + 13, low)]
    beta = x**2 + math.log(shifted[0] / shifted[1]) ** 2
    gamma = math.log(shifted[0] / third[2]) ** 2
    k = 3 - 2 * math.sqrt(2)
    alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / k - math.sqrt(gamma / k)
    expected = max(0.0, 2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)))
    assert got[3] == pytest.approx(expected, abs=1e-12)


def test_corwin_schultz_finds_a_planted_spread():
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(0.0, 0.0005, (1500, 390)).ravel()).reshape(1500, 390)
    traded = 100 * np.exp(walk + rng.choice([-0.005, 0.005], walk.shape))
    rows = np.stack(
        [traded[:, 0], traded.max(1), traded.min(1), traded[:, -1], np.ones(1500)], axis=1
    )
    got = compute("corwin_schultz", frame_of(*rows), period=1400)[-1, 0]
    assert got == pytest.approx(0.01, rel=0.1)


def test_roll_by_hand_and_by_pandas():
    bounce = frame_of(*[(p, p, p, p, 1) for p in (100, 101) * 5])
    # Returns -s, s, -s, ... with s = ln 1.01: the autocovariance is -s^2.
    got = compute("roll", bounce, period=4)[-1, 0]
    assert got == pytest.approx(2 * math.log(1.01), rel=1e-12)
    returns = np.log(FRAME["close"]).diff()
    covariance = returns.rolling(30).cov(returns.shift(1), ddof=0)
    expected = 2 * np.sqrt((-covariance).clip(lower=0))
    np.testing.assert_allclose(compute("roll", period=30)[31:, 0], expected[31:], atol=1e-9)


def test_bulk_volume_equals_pandas():
    returns, volume = np.log(FRAME["close"]).diff(), FRAME["volume"]
    z = returns / returns.rolling(30).std(ddof=0)
    signed = volume * (2 * z.map(NormalDist().cdf) - 1)
    total = volume.rolling(12).sum()
    got = compute("bulk_volume", period=12, deviation=30)
    np.testing.assert_allclose(got[41:, 0], (signed.rolling(12).sum() / total)[41:], atol=1e-12)
    toxic = signed.abs().rolling(12).sum() / total
    np.testing.assert_allclose(got[41:, 1], toxic[41:], atol=1e-12)


def test_money_flow_by_hand():
    # Closes at the high, in the middle and at a quarter of the range; no range counts as 0.
    rows = (1, 2, 1, 2, 300), (1, 3, 1, 2, 500), (1, 5, 1, 2, 200), (2, 2, 2, 2, 1000)
    got = compute("money_flow", frame_of(*rows), period=3)[2:, 0]
    np.testing.assert_allclose(got, [(300 - 100) / 1000, -100 / 1700], rtol=1e-14)


def test_illiquidity_by_hand():
    # Per dollar: ln 2 / 200, none without volume, ln 2 / 50.
    closes, volumes = (1, 2, 2, 1), (9, 100, 0, 50)
    frame = frame_of(*[(c, c, c, c, v) for c, v in zip(closes, volumes, strict=True)])
    got = compute("illiquidity", frame, short=1, long=3)[3, 0]
    usual = (math.log(2) / 200 + math.log(2) / 50) / 2
    assert got == pytest.approx(math.log(math.log(2) / 50 / usual), rel=1e-12)


def test_price_impact_equals_least_squares():
    returns = np.log(FRAME["close"]).diff().to_numpy()
    volume = FRAME["volume"].to_numpy()
    signed = np.sign(FRAME["close"] - FRAME["open"]).to_numpy() * volume
    got = compute("price_impact", period=40)[:, 0]
    for row in (40, 399):
        window = slice(row - 39, row + 1)
        (slope,), *_ = np.linalg.lstsq(signed[window, None], returns[window], rcond=None)
        assert got[row] == pytest.approx(slope * volume[window].mean(), rel=1e-9)
