"""Every shipped feature, and a user's, keeps the contract of features."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.features.base import FEATURES, FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.features.market_features import is_of_market
from reinforcestrategycreator_pipeline.testing.feature_contract import FeatureContract, make_bars

SHIPPED = [
    *DEFAULT_FEATURES,
    FeatureSpec("returns", {"horizons": (3,)}),
    FeatureSpec("realized_volatility", {"periods": (1, 7)}),
    FeatureSpec("rsi", {"period": 1}),
    FeatureSpec("rsi", {"period": 9, "tail": 0.01}),
    FeatureSpec("macd", {"fast": 1, "slow": 2, "signal": 2, "tail": 1e-12}),
    FeatureSpec("bollinger", {"period": 2, "width": 1.5}),
    FeatureSpec("atr", {"period": 1}),
    FeatureSpec("atr", {"period": 5, "tail": 1e-9}),
    FeatureSpec("moving_average_distance", {"periods": (2, 30), "average": "ema"}),
    FeatureSpec("volume_zscore", {"period": 2}),
    FeatureSpec("fractional_difference", {"threshold": 0.01}),
    FeatureSpec("fractional_difference", {"order": 1.3, "threshold": 0.05}),
    FeatureSpec("trend", {"period": 20}),
    FeatureSpec("volatility_regime", {"short": 5, "long": 40}),
    FeatureSpec("bar_volatility", {"period": 5}),
    FeatureSpec("bar_volatility", {"period": 1, "estimator": "parkinson"}),
    FeatureSpec("bar_volatility", {"period": 9, "estimator": "rogers_satchell"}),
    FeatureSpec("corwin_schultz", {"period": 7}),
    FeatureSpec("roll", {"period": 12}),
    FeatureSpec("bulk_volume", {"period": 6, "deviation": 15}),
    FeatureSpec("money_flow", {"period": 5}),
    FeatureSpec("illiquidity", {"short": 4, "long": 30}),
    FeatureSpec("price_impact", {"period": 10}),
    FeatureSpec("rolling_zscore", {"of": {"name": "rsi", "period": 3, "tail": 0.01}, "period": 9}),
    FeatureSpec("lagged", {"of": {"name": "returns", "horizons": [1, 4]}, "bars": 3}),
    FeatureSpec("column", {"columns": ("sentiment", "rate")}),
    FeatureSpec("talib", {"function": "ADX", "parameters": {"timeperiod": 7}, "window": 60}),
    FeatureSpec("talib", {"function": "BBANDS", "units": "level"}),
]


def label(spec):
    return "-".join([spec.name, *(str(v) for v in spec.params.values())])


class TestShippedFeatures(FeatureContract):
    @pytest.fixture(params=SHIPPED, ids=label)
    def spec(self, request):
        return request.param

    @pytest.fixture
    def scale_free(self, spec):
        return spec.name != "column"

    def test_last_bars_alone_give_the_batch_bits(self, spec):
        """Bar by bar with a memory of lookback + 1 bars: the very bytes of the batch."""
        lookback = self.lookback(spec)
        frame = make_bars(lookback + 60)
        batch = self.compute(spec, frame).values
        for t in range(lookback, len(frame)):
            row = self.compute(spec, frame.iloc[t - lookback : t + 1]).values[-1]
            assert row.tobytes() == batch[t].tobytes()

    def test_values_are_of_a_scale_that_a_network_takes(self, spec):
        values = self.compute(spec, make_bars(self.lookback(spec) + 300)).values
        assert np.nanmax(np.abs(values)) <= 100.0


class TestUserFunction(FeatureContract):
    @pytest.fixture(
        params=[
            FeatureSpec("user_features:momentum", {"period": 5, "lookback": 5}),
            FeatureSpec("user_features:momentum", {"period": 8}),
            FeatureSpec("user_features:two_columns"),
            FeatureSpec("user_features:Gap", {"power": 1}),
        ],
        ids=label,
    )
    def spec(self, request):
        return request.param


def test_every_registered_feature_is_in_the_suite():
    known = {spec.name for spec in SHIPPED}
    ours = [n for n in FEATURES if "_pipeline." in FEATURES.get(n).__module__]
    # Those of the market have a suite of their own, test_market_features.
    missing = [n for n in ours if n not in known and not is_of_market(FEATURES.get(n))]
    assert not missing, f"add {missing} to SHIPPED, with parameters that strain it"
