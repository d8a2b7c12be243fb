"""The contract of features of the market. Inherit `MarketFeatureContract`, override `spec`, run.

class TestMyFeature(MarketFeatureContract):
    @pytest.fixture
    def spec(self):
        return FeatureSpec("my_module:MyFeature", {"period": 10})
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.deployment.live_bars import LiveBar
from reinforcestrategycreator_pipeline.deployment.live_market import LiveMarket
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature, parse_specs
from reinforcestrategycreator_pipeline.features.joining import joined
from reinforcestrategycreator_pipeline.features.market_audit import audit_market
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars, make_flat_bars


def make_market(n_rows: int, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return four symbols: two complete, one listed late, one with holidays and delisted early."""
    full = {name: make_bars(n_rows, seed + i) for i, name in enumerate("ABCD")}
    rng = np.random.default_rng(seed)
    late, early = n_rows // 4, n_rows - n_rows // 8
    open_days = np.sort(rng.choice(early, early * 9 // 10, replace=False))
    return {**full, "C": full["C"].iloc[late:], "D": full["D"].iloc[open_days]}


class MarketFeatureContract:
    """The contract of a feature of the market, one test per promise."""

    @pytest.fixture
    def spec(self) -> FeatureSpec:
        raise NotImplementedError("override the fixture spec")

    def rows(self, spec):
        """Return a number of bars that is enough for the latest symbol."""
        return 2 * build_feature(spec).lookback + 80

    def test_spec_survives_the_configuration_file(self, spec):
        assert parse_specs([spec.to_mapping()]) == (spec,)

    def test_unknown_parameter_is_refused_by_name(self, spec):
        with pytest.raises(ConfigError, match="no parameter 'perriod'"):
            build_feature(FeatureSpec(spec.name, {**spec.params, "perriod": 3}))

    def test_joined_columns_are_the_values_from_the_lookback_on(self, spec):
        market, feature = make_market(self.rows(spec)), build_feature(spec)
        for symbol, frame in joined(market, [spec]).items():
            computed = evaluate(feature, spec.name, bars_of(frame), symbol)
            assert computed.columns == feature.columns
            assert np.isfinite(computed.values[feature.lookback :]).all()
            assert list(frame.columns[: -len(feature.columns)]) == list(market[symbol].columns)

    def test_causal_and_independent_of_levels(self, spec):
        assert audit_market(make_market(self.rows(spec)), [spec], cuts=12, seed=1) == ()

    def test_bar_by_bar_gives_the_bits_of_the_batch(self, spec):
        market, columns = make_market(self.rows(spec)), build_feature(spec).columns
        batch = joined(market, [spec])
        times = market["A"].index
        start = times[-15 - len(times) // 8]  # before D is delisted
        live = LiveMarket([spec], {s: f[f.index < start] for s, f in market.items()})
        for time in times[times >= start]:
            listed = [s for s, frame in market.items() if time in frame.index]
            bars = [LiveBar(s, time, market[s].loc[time].to_dict()) for s in listed]
            for bar in live.complete(bars):
                expected = batch[bar.symbol].loc[time, list(columns)].to_numpy()
                got = np.array([bar.values[name] for name in columns])
                assert got.tobytes() == expected.tobytes(), (bar.symbol, time)

    def test_flat_market_gives_finite_values(self, spec):
        n = build_feature(spec).lookback + 20
        market = {"A": make_flat_bars(n, 37.3), "B": make_flat_bars(n, 60_000.0, 0.0)}
        for frame in joined(market, [spec]).values():
            assert np.isfinite(frame.to_numpy()).all()

    def test_values_are_of_a_scale_that_a_network_takes(self, spec):
        columns = list(build_feature(spec).columns)
        for frame in joined(make_market(self.rows(spec)), [spec]).values():
            assert np.abs(frame[columns].to_numpy()).max() <= 100.0
