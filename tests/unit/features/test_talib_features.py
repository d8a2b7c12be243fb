"""TA-Lib's indicators as features: equal to TA-Lib, level-free or refused."""

import numpy as np
import pytest
import talib

from reinforcestrategycreator_pipeline.errors import ConfigError, FeatureError
from reinforcestrategycreator_pipeline.features.audit import audit_features, require_none
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import build_feature, parse_specs
from reinforcestrategycreator_pipeline.features.table import bars_of, compute_features
from reinforcestrategycreator_pipeline.features.variants import at_level
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

FRAME = make_bars(700)
H, L, C = (FRAME[name].to_numpy() for name in ("high", "low", "close"))


def table(function, **params):
    return compute_features(FRAME, [FeatureSpec("talib", {"function": function, **params})], "ACME")


def test_function_without_memory_equals_talib_on_the_whole_series():
    got = table("WILLR", parameters={"timeperiod": 10})
    assert got.names == ("willr_10",)
    assert got.lookback == 9
    np.testing.assert_allclose(got.values[9:, 0], talib.WILLR(H, L, C, 10)[9:], atol=1e-9)


def test_function_with_memory_agrees_with_talib_once_that_is_warm():
    got = table("ADX", parameters={"timeperiod": 14}, window=400)
    assert got.lookback == 399
    np.testing.assert_allclose(got.values[450:, 0], talib.ADX(H, L, C, 14)[450:], atol=1e-6)


def test_default_window():
    assert build_feature(FeatureSpec("talib", {"function": "ADX"})).lookback == 249
    assert build_feature(FeatureSpec("talib", {"function": "SAR"})).lookback == 249
    assert build_feature(FeatureSpec("talib", {"function": "SMA"})).lookback == 29
    long = FeatureSpec("talib", {"function": "EMA", "parameters": {"timeperiod": 300}})
    assert build_feature(long).lookback == 299


def test_units():
    price = table("MOM", parameters={"timeperiod": 5}, units="price")
    np.testing.assert_allclose(price.values[5:, 0], (C[5:] - C[:-5]) / C[5:], atol=1e-12)
    bands = table("BBANDS", units="level")
    assert bands.names == ("bbands_upperband", "bbands_middleband", "bbands_lowerband")
    np.testing.assert_allclose(
        bands.values[30:], np.stack(talib.BBANDS(C, 20), axis=1)[30:] / C[30:, None] - 1, atol=1e-9
    )


def test_candlestick_pattern():
    got = table("CDLDOJI")
    assert set(np.unique(got.values[got.lookback :])) <= {-100.0, 0.0, 100.0}


LEVEL_BOUND = [  # no unit makes these independent of prices and volumes
    *("AD", "ADOSC", "ATAN", "CEIL", "COS", "CUMSUM", "EFI", "FLOOR", "LINEARREG_ANGLE", "LN"),
    *("LOG10", "MARKETFI", "MULT", "OBV", "PVT", "SIN", "SQRT", "SUPERTREND", "TAN", "TANH"),
    *("VAR", "WAD"),
]
UNFIT = ("ACOS", "ASIN", "COSH", "EXP", "MAVP", "SINH")  # of a price neither defined nor finite


def test_units_suit_every_function_of_talib_that_has_one():
    """Ten bars, then the same at another level: equal values of all but the functions above."""
    bars = bars_of(FRAME)
    other = at_level(bars, 1 / 32, 8.0)
    moved, fit = [], [name for name in talib.get_functions() if name not in UNFIT]
    for function in fit:
        (spec,) = parse_specs([f"talib:{function}"])
        feature = build_feature(spec)
        before, after = (
            np.stack([feature._last(b, end) for end in range(690, 700)]) for b in (bars, other)
        )
        assert np.isfinite(before).all(), function
        if not np.allclose(before, after, rtol=1e-9, atol=1e-9):
            moved.append(function)
    assert sorted(moved) == LEVEL_BOUND
    assert len(fit) - len(moved) >= 170


def test_short_form_names_the_function_and_its_parameters():
    given = ["talib:rsi", {"name": "talib:BBANDS", "timeperiod": 9, "nbdevup": 2, "window": 40}]
    short = parse_specs(given)
    long = FeatureSpec("talib", {"function": "RSI"})
    assert short[0] == long
    assert short[1].params == {
        "function": "BBANDS",
        "parameters": {"timeperiod": 9, "nbdevup": 2},
        "window": 40,
    }
    assert parse_specs([spec.to_mapping() for spec in short]) == short
    got = compute_features(FRAME, short, "ACME")
    assert got.names[1:] == tuple(f"bbands_2_9_{b}band" for b in ("upper", "middle", "lower"))
    bands = np.stack(talib.BBANDS(C, 9, 2.0), axis=1)[39:] / C[39:, None] - 1
    np.testing.assert_allclose(got.values[249:, 1:], bands[210:], atol=1e-9)  # RSI is warm
    with pytest.raises(ConfigError, match="talib has no function 'RSX'"):
        parse_specs(["talib:RSX"])


@pytest.mark.parametrize("function", ["SMA", "ATR", "OBV", "AD"])
def test_values_that_move_with_the_level_are_refused(function):
    spec = FeatureSpec("talib", {"function": function, "units": "none"})
    with pytest.raises(FeatureError, match="depends on the level of prices or volume") as caught:
        require_none(audit_features(make_bars(400), [spec], cuts=2))
    assert "units 'price'" in str(caught.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"function": "RSX"}, "talib has no function 'RSX'. Did you mean"),
        ({"function": "MAVP"}, "talib's MAVP needs close, periods, which bars do not have."),
        ({"function": 3}, "function parameter of feature 'talib' must be a string"),
        ({"function": "RSI", "parameters": {"timeperod": 5}}, "Did you mean 'timeperiod'?"),
        (
            {"function": "RSI", "parameters": {"timeperiod": 5.5}},
            "an integer in [-1000000, 1000000]. Got 5.5",
        ),
        (
            {"function": "RSI", "parameters": {"timeperiod": -3}},
            "talib's RSI rejects the values {'timeperiod': -3}.",
        ),
        ({"function": "RSI", "parameters": 14}, "mapping of names to values"),
        ({"function": "RSI", "units": "pric"}, "Did you mean 'price'?"),
        ({"function": "RSI", "window": 3}, "window parameter of talib must be an integer >= 15"),
        ({"parameters": {}}, "needs the parameter 'function'"),
    ],
)
def test_refusals(params, message):
    with pytest.raises(ConfigError) as caught:
        build_feature(FeatureSpec("talib", params))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
