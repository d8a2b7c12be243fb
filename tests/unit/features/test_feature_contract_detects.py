"""Each promise of the feature contract fails for a feature that breaks it."""

from dataclasses import dataclass

import numpy as np
import pytest
import talib

from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.base import FEATURES, FeatureSpec
from reinforcestrategycreator_pipeline.testing.feature_contract import (
    FeatureContract,
    make_bars,
    make_flat_bars,
)

CONTRACT = FeatureContract()


def broken(compute, lookback=0, columns=("broken",)):
    """Register a feature for the length of one test."""

    @dataclass(frozen=True)
    class Broken:
        @property
        def lookback(self):
            return lookback

        @property
        def columns(self):
            return columns

        def compute(self, bars):
            return compute(bars)

    return Broken


@pytest.fixture
def plant(monkeypatch):
    def add(*args, **kwargs):
        monkeypatch.setitem(FEATURES._members, "broken", broken(*args, **kwargs))
        return FeatureSpec("broken")

    return add


def late(bars, rows):
    out = bars["close"] / bars["open"]
    out[:rows] = np.nan
    return out


def test_lookback_too_long(plant):
    with pytest.raises(AssertionError):
        CONTRACT.test_lookback_is_the_first_valid_row(plant(lambda b: late(b, 3), 4))


def test_lookback_too_short(plant):
    with pytest.raises(AssertionError):
        CONTRACT.test_lookback_is_the_first_valid_row(plant(lambda b: late(b, 5), 4))


def test_same_column_twice(plant):
    spec = plant(lambda b: np.ones((len(b["close"]), 2)), columns=("a", "a"))
    with pytest.raises(AssertionError):
        CONTRACT.test_columns_are_different_names(spec)


def test_random_values(plant):
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError):
        CONTRACT.test_same_input_gives_the_same_bits(
            plant(lambda b: rng.normal(size=len(b["close"])))
        )


def test_constant_value(plant):
    with pytest.raises(AssertionError):
        CONTRACT.test_other_input_gives_other_values(plant(lambda b: np.ones(len(b["close"]))))


def test_look_ahead(plant):
    spec = plant(lambda b: b["close"] / b["close"].max())
    with pytest.raises(AssertionError):
        CONTRACT.test_causal_in_every_row_at_every_cut(spec)


@pytest.mark.parametrize("name", ["close", "volume"])
def test_depends_on_the_level(plant, name):
    with pytest.raises(AssertionError):
        CONTRACT.test_level_of_prices_and_volume_does_not_matter(plant(lambda b: b[name]), True)


def test_recursive_mean_that_is_not_warm(plant):
    """TA-Lib's RSI with TA-Lib's own lookback: off by far more than 1e-9."""
    spec = plant(lambda b: talib.RSI(b["close"], 14), 14)
    with pytest.raises(AssertionError):
        CONTRACT.test_doubling_the_warm_up_changes_nothing(spec)


def test_recursive_mean_that_a_halt_leaves_cold(plant):
    """On a frozen price the past never decays: with 330 bars of warm-up RSI is still off.

    That is why the shipped RSI sees a window of bars and nothing before it.
    """

    def compute(bars):
        out = talib.RSI(bars["close"], 14)
        out[:330] = np.nan
        return out

    def run(frame):
        return CONTRACT.compute(plant(compute, 330), frame).values[:, 0]

    frame = make_bars(900)
    frame.iloc[340:700, :4] = frame["close"].iloc[339]
    start = 330  # the shorter series holds 10 moving bars, then the halt
    moved = np.abs(run(frame)[start + 330 :] - run(frame.iloc[start:])[330:])
    assert moved.max() > 1.0
    rsi = CONTRACT.compute(FeatureSpec("rsi"), frame).values[:, 0]
    rsi_short = CONTRACT.compute(FeatureSpec("rsi"), frame.iloc[start:]).values[:, 0]
    np.testing.assert_array_equal(rsi[start + 187 :], rsi_short[187:])


def test_flat_price_gives_nan(plant):
    spec = plant(lambda b: (b["close"] - b["close"].min()) / np.ptp(b["close"]))
    assert np.ptp(make_flat_bars(9)["close"]) == 0.0
    with np.errstate(invalid="ignore"), pytest.raises(FeatureError, match="nan at row 0"):
        CONTRACT.test_flat_price_and_volume_give_finite_values(spec)
