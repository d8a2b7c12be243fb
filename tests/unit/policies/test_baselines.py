"""The baselines' own rules: averages against pandas."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.policies.base import Work
from reinforcestrategycreator_pipeline.policies.baselines import (
    BuyAndHold,
    Constant,
    Flat,
    MovingAverageCrossover,
)
from reinforcestrategycreator_pipeline.policies.follow_signal import FollowSignal
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.testing.strategy_contract import (
    asset_with_history,
    make_span,
)
from reinforcestrategycreator_pipeline.testing.trading_cases import DAY


def fitted(strategy, grid=(0.0, 1.0)):
    return strategy.fit(make_span(grid=grid), make_span(grid=grid), Work(Seeds(0)))


@pytest.mark.parametrize(
    ("strategy", "exposure"),
    [(BuyAndHold(), 1.0), (Flat(), 0.0), (Constant(-0.5), -0.5), (Constant(0.0), 0.0)],
)
def test_constants(strategy, exposure):
    assert fitted(strategy).targets(asset_with_history(9, 1)).tolist() == [exposure] * 8


class TestMovingAverageCrossover:
    def targets(self, asset, grid=(0.0, 1.0), **config):
        return fitted(MovingAverageCrossover(**config), grid).targets(asset)

    @pytest.mark.parametrize("past", [0, 1, 5, 39, 40, 41, 300])
    @pytest.mark.parametrize(("fast", "slow"), [(1, 2), (3, 40), (20, 21)])
    @pytest.mark.parametrize("grid", [(0.0, 1.0), (-1.0, 0.0, 1.0), (-0.5, 0.0, 0.7)])
    def test_against_pandas(self, past, fast, slow, grid):
        asset = asset_with_history(120, past + slow, past=past)
        close = pd.Series(asset.columns["close"])
        gap = close.rolling(fast).mean() - close.rolling(slow).mean()
        expected = np.where(gap.isna(), 0.0, np.where(gap > 0, 1.0, min(grid)))[past:-1]
        assert np.abs(gap.dropna()).min() > 1e-9  # no tie that rounding decides
        np.testing.assert_array_equal(self.targets(asset, grid, fast=fast, slow=slow), expected)

    def test_by_hand(self):
        # Closes 4 3 2 (past) 3 4 5 1 1: means of 1 and 2 at the last five: 2.5 3.5 4.5 3 1.
        close = np.array([4.0, 3.0, 2.0, 3.0, 4.0, 5.0, 1.0, 1.0])
        times, features = np.arange(5) * DAY, np.zeros((5, 3))
        asset = AssetBars("A", times, close[3:], close[3:], features, {"close": close})
        assert self.targets(asset, (-1.0, 0.0, 1.0), fast=1, slow=2).tolist() == [1, 1, 1, -1]

    def test_flat_where_history_is_too_short(self):
        asset = asset_with_history(30, 0, past=4)
        targets = self.targets(asset, (-1.0, 0.0, 1.0), fast=2, slow=10)
        assert (targets[:5] == 0.0).all()  # 4 of the past and 5 of the test are 9 bars
        assert (targets[5:] != 0.0).all()

    def test_longer_than_everything(self):
        asset = asset_with_history(20, 0, past=5)
        assert (self.targets(asset, fast=2, slow=100) == 0.0).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"fast": 0}, "fast"),
        ({"slow": 1}, "slow"),
        ({"fast": 100, "slow": 100}, r"above fast \(100\)"),
        ({"fast": 2.5}, "fast"),
    ],
)
def test_bad_config_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        MovingAverageCrossover(**config)


def test_a_signal_is_followed_and_kept_in_between():
    span = make_span(grid=(-1.0, 0.0, 1.0))
    policy = FollowSignal("f1", threshold=0.5).fit(span, span, Work(Seeds(0)))
    signal = np.array([0.6, 0.5, -0.5, -0.6, 0.0])
    features = np.column_stack([np.full(5, 9.0), signal, np.full(5, -9.0)])
    table = policy.choose(features, {})
    assert table.tolist() == [[2, 2, 2], [0, 1, 2], [0, 1, 2], [0, 0, 0], [0, 1, 2]]
    assert policy.describe() == "follows f1: high above 0.5, low below -0.5"


def test_a_signal_that_is_not_there_is_named():
    span = make_span()
    with pytest.raises(ConfigError, match=r"no feature 'f11'.*f1"):
        FollowSignal("f11").fit(span, span, Work(Seeds(0)))
