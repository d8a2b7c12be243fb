"""The feature matrix: assembly, refused bars, lookback beyond the data."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, FeatureError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.features.table import bars_of, compute_features
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

FRAME = make_bars(400)


def test_columns_in_the_order_of_the_list_and_nan_until_all_are_there():
    specs = (FeatureSpec("bollinger"), FeatureSpec("returns", {"horizons": (2, 1)}))
    table = compute_features(FRAME, specs)
    assert table.names == ("bollinger_20_2", "log_return_2", "log_return_1")
    assert table.values.shape == (400, 3)
    assert table.lookback == 19
    assert np.isnan(table.values[:19]).all()
    assert np.isfinite(table.values[19:]).all()


def test_default_features():
    table = compute_features(FRAME, DEFAULT_FEATURES, "ACME")
    assert table.values.shape == (400, 17)
    assert table.lookback == 240
    assert np.isfinite(table.values[240:]).all()


def test_series_shorter_than_the_lookback_says_how_many_bars_are_needed():
    table = compute_features(FRAME.iloc[:100], DEFAULT_FEATURES)
    assert table.lookback == 240
    assert np.isnan(table.values).all()


def test_same_column_from_two_features_is_refused():
    specs = (
        FeatureSpec("returns", {"horizons": (1, 5)}),
        FeatureSpec("returns", {"horizons": (5,)}),
    )
    with pytest.raises(ConfigError, match="Got 'log_return_5' from 'returns' and 'returns'"):
        compute_features(FRAME, specs)


def test_side_column_with_a_features_name_is_refused():
    frame = FRAME.assign(rsi_14=1.0)
    specs = (FeatureSpec("rsi"), FeatureSpec("column", {"columns": ("rsi_14",)}))
    with pytest.raises(ConfigError, match="Got 'rsi_14' from 'rsi' and 'column'"):
        compute_features(frame, specs)


def test_no_feature_at_all_is_refused():
    with pytest.raises(ConfigError, match="at least one feature"):
        compute_features(FRAME, ())


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("close", np.nan, "ACME: close must be finite and > 0. Got nan at row 7 (2001-01"),
        ("open", 0.0, "open must be finite and > 0. Got 0.0 at row 7"),
        ("low", -1.0, "Got -1.0 at row 7"),
        ("high", np.inf, "Got inf at row 7"),
        ("volume", -1.0, "volume must be finite and >= 0. Got -1.0 at row 7"),
        ("volume", np.nan, "Got nan at row 7"),
    ],
)
def test_bars_that_break_a_rule_are_refused(column, value, message):
    """One NaN would poison every later row of a recursive indicator."""
    frame = FRAME.copy()
    frame.loc[frame.index[7], column] = value
    with pytest.raises(FeatureError) as caught:
        compute_features(frame, (FeatureSpec("rsi"),), "ACME")
    assert message in str(caught.value)


def test_missing_and_non_numeric_columns_are_refused():
    with pytest.raises(FeatureError, match="ACME: the bars have no column low, volume"):
        bars_of(FRAME.drop(columns=["low", "volume"]), "ACME")
    with pytest.raises(FeatureError, match="column 'sentiment' must be numeric"):
        bars_of(FRAME.assign(sentiment="good"))


def test_nan_in_side_data_that_no_feature_uses_does_no_harm():
    frame = FRAME.assign(late=np.nan)
    compute_features(frame, (FeatureSpec("rsi"),))


def test_bits_do_not_depend_on_how_the_frame_was_put_together():
    specs = DEFAULT_FEATURES
    truth = compute_features(FRAME, specs).values.tobytes()
    pieces = pd.concat([FRAME[[name]] for name in reversed(FRAME.columns)], axis=1)
    assert compute_features(pieces, specs).values.tobytes() == truth
    strided = pd.concat([FRAME, FRAME]).sort_index(kind="stable").iloc[::2]
    assert compute_features(strided, specs).values.tobytes() == truth


def test_input_is_left_as_it_was():
    before = FRAME.copy(deep=True)
    compute_features(FRAME, DEFAULT_FEATURES)
    pd.testing.assert_frame_equal(FRAME, before)
