"""The contract of features. Inherit `FeatureContract`, override the fixture `spec`, and run.

class TestMyFeature(FeatureContract):
    @pytest.fixture
    def spec(self):
        return FeatureSpec("my_module:my_feature", {"period": 10})

    @pytest.fixture
    def scale_free(self):  # only for a feature that may depend on the price level
        return False
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.audit import audit_features
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature, parse_specs
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.ohlcv import PRICES


def make_bars(n_rows: int, seed: int = 0, level: float = 100.0) -> pd.DataFrame:
    """Return bars of a random walk with two side columns, ``sentiment`` and ``rate``."""
    rng = np.random.default_rng(seed)
    close = level * np.exp(np.cumsum(rng.normal(0.0, 0.015, n_rows)))
    open_ = close * np.exp(rng.normal(0.0, 0.005, n_rows))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.004, n_rows)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.004, n_rows)))
    columns = {
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "volume": np.round(np.exp(rng.normal(13.0, 0.5, n_rows))),
        "sentiment": rng.normal(size=n_rows),
        "rate": 0.03 + 0.001 * rng.normal(size=n_rows),
    }
    index = pd.date_range("2001-01-02 21:00", periods=n_rows, freq="D", tz="UTC", name="timestamp")
    return pd.DataFrame(columns, index=index)


def make_flat_bars(n_rows: int, level: float = 37.3, volume: float = 1000.0) -> pd.DataFrame:
    """Return bars whose price never moves."""
    frame = make_bars(n_rows)
    frame[list(PRICES)] = level
    frame["volume"] = volume
    return frame


class FeatureContract:
    """The contract of a feature, one test per promise."""

    @pytest.fixture
    def spec(self) -> FeatureSpec:
        raise NotImplementedError("override the fixture spec")

    @pytest.fixture
    def scale_free(self) -> bool:
        return True

    def compute(self, spec, frame):
        return evaluate(build_feature(spec), spec.name, bars_of(frame))

    def lookback(self, spec):
        """Return the declared lookback, or the one observed in a long series."""
        declared = build_feature(spec).lookback
        return self.compute(spec, make_bars(1000)).lookback if declared is None else declared

    def test_spec_survives_the_configuration_file(self, spec):
        assert parse_specs([spec.to_mapping()]) == (spec,)

    def test_unknown_parameter_is_refused_by_name(self, spec):
        with pytest.raises(ConfigError, match="no parameter 'perriod'"):
            build_feature(FeatureSpec(spec.name, {**spec.params, "perriod": 3}))

    def test_columns_are_different_names(self, spec):
        columns = self.compute(spec, make_bars(self.lookback(spec) + 5)).columns
        assert all(columns)
        assert len(set(columns)) == len(columns)

    def test_lookback_is_the_first_valid_row(self, spec):
        lookback = self.lookback(spec)
        raw = np.asarray(build_feature(spec).compute(bars_of(make_bars(lookback + 40))))
        raw = raw.reshape(len(raw), -1)
        assert np.isfinite(raw[lookback:]).all()
        assert np.isnan(raw[:lookback]).any(axis=1).all()

    def test_series_that_is_too_short_has_no_value_and_no_error(self, spec):
        feature = build_feature(spec)
        for n_rows in {1, 2, self.lookback(spec)} - {0}:
            if n_rows <= self.lookback(spec) and feature.lookback is not None:
                assert np.isnan(self.compute(spec, make_bars(n_rows)).values).all()

    def test_one_bar_beyond_the_lookback_is_enough(self, spec):
        lookback = self.lookback(spec)
        values = self.compute(spec, make_bars(lookback + 1)).values
        assert np.isfinite(values[lookback]).all()

    def test_same_input_gives_the_same_bits(self, spec):
        frame = make_bars(self.lookback(spec) + 100)
        before = frame.copy(deep=True)
        first = self.compute(spec, frame).values
        assert self.compute(spec, frame).values.tobytes() == first.tobytes()
        pd.testing.assert_frame_equal(frame, before)

    def test_other_input_gives_other_values(self, spec):
        n_rows = self.lookback(spec) + 100
        one = self.compute(spec, make_bars(n_rows, seed=1))
        other = self.compute(spec, make_bars(n_rows, seed=2))
        rows = slice(one.lookback, None)
        assert (one.values[rows] != other.values[rows]).any(axis=0).all()

    def test_causal_in_every_row_at_every_cut(self, spec):
        frame = make_bars(self.lookback(spec) + 150)
        assert audit_features(frame, [spec]) == ()

    def test_level_of_prices_and_volume_does_not_matter(self, spec, scale_free):
        if not scale_free:
            pytest.skip("may depend on the level")
        frame = make_bars(self.lookback(spec) + 300)
        truth = self.compute(spec, frame)
        typical = np.nanstd(truth.values, axis=0)
        for price, volume in ((0.25, 4.0), (0.37, 1.0), (1.0, 3.1), (700.0, 1e-3)):
            scaled = frame.copy()
            scaled[list(PRICES)] *= price
            scaled["volume"] *= volume
            moved = np.abs(self.compute(spec, scaled).values - truth.values)[truth.lookback :]
            assert (moved <= 1e-9 * typical).all(), (price, volume, moved.max(axis=0))

    def test_doubling_the_warm_up_changes_nothing(self, spec):
        lookback = max(self.lookback(spec), 1)
        for frame in (make_bars(2 * lookback + 300), with_halt(make_bars(2 * lookback + 300))):
            double = self.compute(spec, frame)
            single = self.compute(spec, frame.iloc[lookback:])
            typical = np.nanstd(double.values, axis=0)
            moved = np.abs(double.values[2 * lookback :] - single.values[lookback:])
            assert (moved <= 1e-9 * typical).all(), moved.max(axis=0)

    def test_flat_price_and_volume_give_finite_values(self, spec):
        n_rows = self.lookback(spec) + 50
        for volume in (1000.0, 0.0):
            for level in (37.3, 60_000.0, 1e-6):
                computed = self.compute(spec, make_flat_bars(n_rows, level, volume))
                assert np.isfinite(computed.values[computed.lookback :]).all()

    def test_halted_price_gives_finite_values(self, spec):
        computed = self.compute(spec, with_halt(make_bars(self.lookback(spec) + 300)))
        assert np.isfinite(computed.values[computed.lookback :]).all()


def with_halt(frame: pd.DataFrame, bars: int = 120) -> pd.DataFrame:
    """Return `frame` with a frozen price and no volume over `bars` bars before the last 100."""
    frame = frame.copy()
    stop = len(frame) - 100
    rows = frame.index[stop - bars : stop]
    frame.loc[rows, list(PRICES)] = frame["close"].iloc[stop - bars - 1]
    frame.loc[rows, "volume"] = 0.0
    return frame
