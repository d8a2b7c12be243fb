"""Features from outside: declared lookbacks, and errors that name feature, symbol and row."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, FeatureError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import parse_specs
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.features.user import UserFunction
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

FRAME = make_bars(60)


def table(function, **params):
    return compute_features(FRAME, [FeatureSpec(f"user_features:{function}", params)], "ACME")


def test_values_and_counted_lookback():
    got = table("momentum", period=3)
    assert got.names == ("momentum_3",)
    assert got.lookback == 3
    close = FRAME["close"].to_numpy()
    np.testing.assert_array_equal(got.values[3:, 0], close[3:] / close[:-3] - 1.0)


def test_several_columns_are_numbered():
    assert table("two_columns").names == ("two_columns_0", "two_columns_1")


def test_lookback_by_the_functions_attribute():
    got = table("declared")
    assert got.lookback == 7
    assert np.isnan(got.values[:7]).all()


def test_lookback_by_the_key_comes_before_the_attribute():
    assert table("declared", lookback=9).lookback == 9


def test_lookback_that_is_the_functions_own_parameter_is_passed_on():
    got = table("own_lookback", lookback=4)
    assert got.names == ("own_lookback_4",)
    assert got.lookback == 4


def test_keyword_arguments_pass():
    assert table("anything", factor=2.0).names == ("anything_2.0",)


def test_dataclass_from_outside():
    got = table("Gap", power=2)
    assert got.names == ("gap_2",)
    assert got.lookback == 1


def test_same_function_twice_with_other_parameters():
    specs = parse_specs([{"name": "user_features:momentum", "period": p} for p in (2, 3)])
    assert compute_features(FRAME, specs).names == ("momentum_2", "momentum_3")


@pytest.mark.parametrize(
    ("function", "params", "message"),
    [
        (
            "short_by_one",
            {},
            "ACME: feature 'user_features:short_by_one' must return an array of shape (60,) or "
            "(60, k). Got (59,) instead.",
        ),
        ("three_dimensional", {}, "Got (60, 1, 1) instead."),
        ("words", {}, "feature 'user_features:words' raised ValueError: could not convert"),
        ("hole", {}, "column 'hole' must be finite from row 0 on. Got nan at row 30 (2001-02-01 "),
        ("infinite", {}, "Got inf at row 31 (2001-02-02 21:00:00+00:00) instead."),
        (
            "raises",
            {},
            "ACME: feature 'user_features:raises' raised KeyError: 'sentiment index' "
            "(user_features.py:101)",
        ),
        ("writes", {}, "raised ValueError: assignment destination is read-only"),
        (
            "momentum",
            {"period": 5, "lookback": 4},
            "'momentum_5' must be finite from row 4 on. Got nan at row 4 (2001-01-06",
        ),
        ("anything", {}, "raised KeyError: 'factor'"),
    ],
)
def test_errors_when_computed(function, params, message):
    with pytest.raises(FeatureError) as caught:
        table(function, **params)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "params", "message"),
    [
        ("momentum", {"perid": 5}, "has no parameter 'perid'. Did you mean 'period'?"),
        (
            "momentum",
            {"lookback": -1},
            "The lookback parameter of feature 'user_features:momentum'",
        ),
        ("momentum", {"lookback": 2.0}, "must be an integer >= 0. Got 2.0 instead."),
        ("own_lookback", {}, "must take (bars, **params): missing a required argument: 'lookback'"),
        ("Gap", {"pwer": 2}, "has no parameter 'pwer'. Did you mean 'power'?"),
    ],
)
def test_errors_when_the_configuration_is_read(function, params, message):
    with pytest.raises(ConfigError) as caught:
        parse_specs([{"name": f"user_features:{function}", **params}])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda bars: bars["clse"], r"The bars have no such column\. Did you mean 'close'\?"),
        (lambda bars: None, "returned None. Does its last line lack a return"),
        (lambda bars: np.append(np.diff(bars["close"]), np.nan), "what shift\\(-1\\) and other"),
    ],
)
def test_the_usual_slips_name_the_way_on(function, said):
    feature = UserFunction(function, "f:mine", {})
    with pytest.raises(FeatureError, match=said):
        evaluate(feature, "f:mine", {name: FRAME[name].to_numpy() for name in FRAME})
