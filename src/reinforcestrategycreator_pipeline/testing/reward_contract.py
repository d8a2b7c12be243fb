"""The contract of rewards. Inherit `RewardContract`, override the fixture `name`, and run.

class TestMyReward(RewardContract):
    @pytest.fixture
    def name(self):
        return "my_module:my_reward"

    @pytest.fixture
    def highest_growth(self):  # only for a reward that stops rising somewhere
        return 1.5
"""

from __future__ import annotations

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.rewards import REWARDS
from reinforcestrategycreator_pipeline.envs.trading_env import TradingEnv
from reinforcestrategycreator_pipeline.execution.accounting import RUIN_GROWTH
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, asset_of, random_asset

GRID = (-1.0, 0.0, 0.5, 1.0)


class RewardContract:
    """The contract of a reward, one test per promise."""

    @pytest.fixture
    def name(self) -> str:
        raise NotImplementedError("override the fixture name")

    @pytest.fixture
    def highest_growth(self) -> float:
        """Return the growth of a bar up to which the reward must rise."""
        return 100.0

    def test_finite_from_ruin_to_riches(self, name):
        growth = np.concatenate([[RUIN_GROWTH], np.geomspace(1e-5, 100.0, 500)])
        reward = np.asarray(REWARDS.get(name)(growth))
        assert reward.dtype == np.float64
        assert np.isfinite(reward).all()

    def test_elementwise_in_any_shape(self, name):
        measure, rng = REWARDS.get(name), np.random.default_rng(0)
        growth = rng.uniform(0.8, 1.2, (5, 3, 2))
        table = np.asarray(measure(growth))
        assert table.shape == growth.shape
        for index in np.ndindex(growth.shape):
            alone = measure(np.asarray(growth[index]))
            assert np.ndim(alone) == 0
            np.testing.assert_allclose(table[index], float(alone), rtol=1e-14, atol=1e-16)

    def test_input_is_left_alone_and_bits_repeat(self, name):
        growth = np.linspace(0.5, 1.4, 100)
        before = growth.copy()
        first = np.asarray(REWARDS.get(name)(growth)).tobytes()
        assert np.asarray(REWARDS.get(name)(growth)).tobytes() == first
        np.testing.assert_array_equal(growth, before)

    def test_bar_that_changes_nothing_is_worth_nothing(self, name):
        assert float(REWARDS.get(name)(np.asarray(1.0))) == 0.0

    def test_more_money_is_worth_more(self, name, highest_growth):
        growth = np.concatenate([[RUIN_GROWTH], np.linspace(0.01, highest_growth, 2_000)])
        assert (np.diff(REWARDS.get(name)(growth)) > 0).all()

    def test_losing_hurts_no_less_than_gaining_pleases(self, name):
        step = np.linspace(1e-4, 0.3, 50)
        measure = REWARDS.get(name)
        assert (measure(1.0 + step) <= -measure(1.0 - step)).all()

    def test_market_and_environment_pay_the_same(self, name):
        bars = random_asset(40, 3)
        market = ExogenousMarket([bars], GRID, DEAR, name)
        assert np.isfinite(market.rewards).all()
        env = TradingEnv(bars, GRID, DEAR, name, reward_scale=market.reward_scale)
        env.reset()
        held = market.flat
        for t, action in enumerate(np.random.default_rng(1).integers(4, size=39).tolist()):
            reward = env.step(action)[1]
            np.testing.assert_allclose(reward, market.rewards[t, held, action], rtol=1e-6)
            held = action

    def test_ruin_has_a_finite_reward(self, name):
        bars = asset_of([10.0, 10.0, 30.0], [10.0, 10.0, 31.0])
        market = ExogenousMarket([bars], GRID, DEAR, name)
        assert market.ruined[1, 0].all()
        assert np.isfinite(market.rewards).all()
        assert (market.rewards[1, 0] < market.rewards[1, 1]).all()
