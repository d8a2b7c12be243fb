"""Values of the shipped features: cases worked by hand, pandas and TA-Lib as foreign formulas."""

import math

import numpy as np
import pytest
import talib

from reinforcestrategycreator_pipeline.errors import ConfigError, FeatureError
from reinforcestrategycreator_pipeline.features import windows
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars, make_flat_bars

FRAME = make_bars(1200, seed=5)
EXACT = 1e-12  # a tail so small that the cut-off mean is the endless one


def compute(name, frame=FRAME, **params):
    computed = evaluate(build_feature(FeatureSpec(name, params)), name, bars_of(frame))
    return computed.values


def from_closes(closes, **columns):
    frame = make_flat_bars(len(closes))
    for name in ("open", "high", "low", "close"):
        frame[name] = np.array(closes, dtype=float)
    for name, values in columns.items():
        frame[name] = np.array(values, dtype=float)
    return frame


def test_returns_by_hand():
    got = compute("returns", from_closes([100, 110, 121, 60.5]), horizons=(1, 2))
    expected = [[np.nan] * 2, [np.nan] * 2, [math.log(1.1), math.log(1.21)]]
    expected.append([-math.log(2), math.log(0.55)])
    np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_realized_volatility_by_hand():
    # log returns ln 2, -ln 2, 0: root mean squares of the last two
    got = compute("realized_volatility", from_closes([1, 2, 1, 1]), periods=(2,))[:, 0]
    expected = [np.nan, np.nan, math.log(2), math.log(2) / math.sqrt(2)]
    np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_realized_volatility_equals_pandas():
    returns = np.log(FRAME["close"]).diff()
    expected = np.sqrt((returns**2).rolling(60).mean())
    got = compute("realized_volatility", periods=(60,))[:, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_rsi_by_hand():
    # period 2: weights 1/2, 1/4, ...; tail 1/4 keeps 2 moves, weighing 2/3 and 1/3.
    # moves +1 -1 +2: first 100 * (1/3) / (1/3 + 2/3), then 100 * (4/3) / (4/3 + 1/3)
    got = compute("rsi", from_closes([10, 11, 10, 12]), period=2, tail=0.25)[:, 0]
    np.testing.assert_allclose(got, [np.nan, np.nan, 100 / 3, 80.0], rtol=1e-14)


def test_rsi_equals_talib_once_that_is_warm():
    expected = talib.RSI(FRAME["close"].to_numpy(), 14)
    got = compute("rsi", period=14, tail=EXACT)[:, 0]
    np.testing.assert_allclose(got[700:], expected[700:], atol=1e-9)
    default = compute("rsi")[:, 0]
    np.testing.assert_allclose(default[700:], expected[700:], atol=1e-4)


def test_rsi_equals_pandas():
    moves = FRAME["close"].diff()
    smooth = [
        m.ewm(alpha=1 / 9, adjust=True).mean() for m in (moves.clip(lower=0), -moves.clip(upper=0))
    ]
    expected = 100 - 100 / (1 + smooth[0] / smooth[1])
    got = compute("rsi", period=9, tail=EXACT)[:, 0]
    np.testing.assert_allclose(got[600:], expected[600:], rtol=1e-9)


@pytest.mark.parametrize(
    ("closes", "expected"),
    [([5.0] * 9, 50.0), (list(range(1, 10)), 100.0), (list(range(9, 0, -1)), 0.0)],
)
def test_rsi_at_its_limits(closes, expected):
    got = compute("rsi", from_closes(closes), period=3, tail=0.2)[:, 0]
    assert (got[-2:] == expected).all()


def test_rsi_of_rounding_noise_is_50():
    closes = 100.0 + np.tile([0.0, 1.4e-14, 0.0, -1.4e-14], 5)
    assert compute("rsi", from_closes(closes), period=2, tail=0.1)[-1, 0] == 50.0


def test_macd_equals_pandas():
    close = FRAME["close"]
    line = close.ewm(span=12).mean() - close.ewm(span=26).mean()
    histogram = line - line.ewm(span=9).mean()
    got = compute("macd", tail=EXACT)
    np.testing.assert_allclose(got[700:, 0], (line / close)[700:], atol=1e-11)
    np.testing.assert_allclose(got[700:, 1], (histogram / close)[700:], atol=1e-11)


def test_macd_equals_talib():
    close = FRAME["close"].to_numpy()
    line, _, histogram = talib.MACD(close, 12, 26, 9)
    got = compute("macd", tail=EXACT)
    np.testing.assert_allclose(got[700:, 0], (line / close)[700:], atol=1e-11)
    np.testing.assert_allclose(got[700:, 1], (histogram / close)[700:], atol=1e-11)


def test_macd_by_hand():
    # spans 1 and 3, decays 0 and 1/2; tail 1/4 keeps 2 bars: slow mean (2 new + old) / 3.
    # closes 6 9 6: slow 8, 7; line 1, -1. Signal of 2 bars: decay 1/3, weights 3/4, 1/4.
    got = compute("macd", from_closes([6, 9, 6]), fast=1, slow=3, signal=2, tail=0.25)
    line, signal = -1.0, (3 * -1.0 + 1.0) / 4
    np.testing.assert_allclose(got[2], [line / 6, (line - signal) / 6], rtol=1e-14)


def test_bollinger_by_hand():
    # 1, 2, 3: mean 2, population deviation sqrt(2/3)
    got = compute("bollinger", from_closes([1, 2, 3]), period=3, width=2.0)
    assert got[2, 0] == pytest.approx(1 / (2 * math.sqrt(2 / 3)), rel=1e-14)


def test_bollinger_equals_talib_and_pandas():
    close = FRAME["close"]
    upper, middle, _ = talib.BBANDS(close.to_numpy(), 20, 2.0, 2.0)
    got = compute("bollinger")[:, 0]
    expected = ((close - middle) / (upper - middle)).to_numpy()
    np.testing.assert_allclose(got[19:], expected[19:], atol=1e-9)
    window = close.rolling(20)
    np.testing.assert_allclose(got, (close - window.mean()) / (2 * window.std(ddof=0)), atol=1e-9)


def test_bollinger_of_a_frozen_price_is_0_and_of_rounding_noise_too():
    assert (compute("bollinger", make_flat_bars(30))[19:] == 0.0).all()
    noise = 60_000.0 * (1.0 + np.tile([0.0, 2.3e-16], 15))
    assert (compute("bollinger", from_closes(noise))[19:] == 0.0).all()


def test_atr_by_hand():
    # true ranges: row 1 max(12-9, |12-10|, |9-10|) = 3; row 2, gap up, max(1, |16-11|, 4) = 5
    frame = from_closes([10, 11, 15.5], high=[11, 12, 16], low=[9, 9, 15])
    got = compute("atr", frame, period=2, tail=0.25)[:, 0]
    assert got[2] == pytest.approx((2 * 5 + 3) / 3 / 15.5, rel=1e-14)


def test_atr_equals_talib_once_that_is_warm():
    high, low, close = (FRAME[name].to_numpy() for name in ("high", "low", "close"))
    expected = talib.ATR(high, low, close, 14) / close
    got = compute("atr", tail=EXACT)[:, 0]
    np.testing.assert_allclose(got[700:], expected[700:], rtol=1e-10)


def test_moving_average_distance_equals_pandas():
    close = FRAME["close"]
    got = compute("moving_average_distance", periods=(20, 200))
    for i, period in enumerate((20, 200)):
        expected = np.log(close / close.rolling(period).mean())
        np.testing.assert_allclose(got[199:, i], expected[199:], atol=1e-12)
    got = compute("moving_average_distance", periods=(20,), average="ema", tail=EXACT)[:, 0]
    expected = np.log(close / close.ewm(span=20).mean())
    np.testing.assert_allclose(got[600:], expected[600:], atol=1e-11)


@pytest.mark.parametrize("name", ["realized_volatility", "macd", "moving_average_distance", "atr"])
def test_flat_price_gives_exactly_0(name):
    values = compute(name, make_flat_bars(300, level=60_000.1))
    assert (values[250:] == 0.0).all()


def test_volume_zscore_by_hand():
    # ln: 0, 1, 2 up to a constant: mean 1, deviation sqrt(2/3)
    frame = from_closes([1, 1, 1], volume=[7, 7 * math.e, 7 * math.e**2])
    got = compute("volume_zscore", frame, period=3)
    assert got[2, 0] == pytest.approx(1 / math.sqrt(2 / 3), rel=1e-12)


def test_volume_zscore_equals_pandas():
    logs = np.log(FRAME["volume"])
    window = logs.rolling(20)
    expected = (logs - window.mean()) / window.std(ddof=0)
    np.testing.assert_allclose(compute("volume_zscore")[:, 0], expected, atol=1e-9)


def test_volume_zscore_of_zeros():
    # window 0, 100, 200: mean 100, so 0 counts as 1
    frame = from_closes([1] * 3, volume=[200, 100, 0])
    logs = np.log([200.0, 100.0, 1.0])
    expected = (logs[2] - logs.mean()) / logs.std()
    assert compute("volume_zscore", frame, period=3)[2, 0] == pytest.approx(expected, rel=1e-12)
    for volume in (0.0, 5.0, 1e12 / 3):
        values = compute("volume_zscore", make_flat_bars(30, volume=volume))
        assert (values[19:] == 0.0).all()


def test_column_passes_side_data_through():
    got = compute("column", columns=("rate", "sentiment"))
    np.testing.assert_array_equal(got, FRAME[["rate", "sentiment"]].to_numpy())


def test_column_that_the_data_lacks():
    with pytest.raises(FeatureError, match=r"no column 'sentimnt'. Did you mean 'sentiment'\?"):
        compute("column", columns=("sentimnt",))
    bare = FRAME[["open", "high", "low", "close", "volume"]]
    with pytest.raises(FeatureError, match=r"no column 'rate'\. It has no side data."):
        compute("column", bare, columns=("rate",))


def test_missing_side_data_names_row_and_time():
    frame = FRAME.copy()
    frame.loc[frame.index[44], "rate"] = np.nan
    with pytest.raises(FeatureError, match=r"column 'rate' must be finite.*nan at row 44"):
        compute("column", frame, columns=("rate",))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        (
            "returns",
            {"horizons": ()},
            "horizons parameter of feature 'returns' must be a non-empty list",
        ),
        ("returns", {"horizons": (1, 1)}, "without duplicates"),
        ("returns", {"horizons": 5}, "a non-empty list"),
        ("returns", {"horizons": (1.0,)}, "integer in [1, 1e6]"),
        ("realized_volatility", {"periods": (0,)}, "integer in [1, 1e6]"),
        (
            "rsi",
            {"period": 0},
            "parameter of feature 'rsi' must be an integer in [1, 1e6]. Got 0 instead",
        ),
        ("rsi", {"period": True}, "integer in [1, 1e6]"),
        ("rsi", {"tail": 0.0}, "tail parameter of feature 'rsi' must be a number in [1e-12, 0.5]"),
        ("atr", {"tail": 0.6}, "in [1e-12, 0.5]"),
        ("atr", {"period": 2.5}, "integer"),
        ("macd", {"fast": 26, "slow": 12}, "slow parameter of Macd must be above fast, 26. Got 12"),
        (
            "macd",
            {"signal": 1},
            "signal parameter of feature 'macd' must be an integer in [2",
        ),
        ("bollinger", {"period": 1}, "[2, 1e6]"),
        ("bollinger", {"width": 0}, "width parameter of feature 'bollinger'"),
        ("moving_average_distance", {"average": "smaa"}, "Did you mean 'sma'?"),
        ("volume_zscore", {"period": 1}, "[2, 1e6]"),
        ("column", {}, "needs the parameter 'columns'"),
        ("column", {"columns": "rate"}, "must be a non-empty list"),
        ("column", {"columns": ("rate", "close")}, "whose level a later split changes"),
    ],
)
def test_refused_parameters(name, params, message):
    with pytest.raises(ConfigError) as caught:
        build_feature(FeatureSpec(name, params))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_adjusting_for_a_later_dividend_moves_rounding_only():
    """Back-adjustment multiplies every earlier price; features may move by rounding alone."""
    factor = 1.0 - 0.37 / 52.11
    adjusted = FRAME.copy()
    adjusted[["open", "high", "low", "close"]] *= factor
    for name in ("returns", "rsi", "macd", "bollinger", "atr", "moving_average_distance"):
        before, after = compute(name), compute(name, adjusted)
        np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-12)


def test_volume_in_parts_has_the_same_bits(monkeypatch):
    bars = bars_of(make_bars(400, seed=2))
    whole = build_feature(FeatureSpec("volume_zscore")).compute(bars)
    monkeypatch.setattr(windows, "_CHUNK", 37)
    assert build_feature(FeatureSpec("volume_zscore")).compute(bars).tobytes() == whole.tobytes()
