"""The shipped rewards: by hand, by contract, and broken ones that the contract must catch."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.envs.rewards import (
    REWARDS,
    downside,
    log_growth,
    mean_variance,
)
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.testing.reward_contract import RewardContract

CONTRACT = RewardContract()


class TestLogGrowth(RewardContract):
    @pytest.fixture
    def name(self):
        return "log_growth"


class TestMeanVariance(RewardContract):
    @pytest.fixture
    def name(self):
        return "mean_variance"

    @pytest.fixture
    def highest_growth(self):
        return 1.5  # r - r^2 has its maximum at r = 1/2


class TestDownside(RewardContract):
    @pytest.fixture
    def name(self):
        return "downside"


def test_every_registered_reward_is_in_the_suite():
    assert set(REWARDS) == {"downside", "log_growth", "mean_variance"}


def test_by_hand():
    # r = 0.1: 0.1 - 0.01; r = -0.2: -0.2 - 0.04; r = 1: 1 - 1.
    np.testing.assert_allclose(mean_variance(np.array([1.1, 0.8, 2.0])), [0.09, -0.24, 0.0])
    np.testing.assert_allclose(log_growth(np.array([np.e, 1.0, 0.25])), [1.0, 0.0, -2 * np.log(2)])


def test_downside_by_hand():
    # ln is 0.1, and -0.2: less 5/2 of 0.04; with an aversion of 10, less 5 of 0.04.
    growth = np.exp([0.1, -0.2])
    np.testing.assert_allclose(downside(growth), [0.1, -0.3])
    np.testing.assert_allclose(downside(growth, aversion=10.0), [0.1, -0.4])


def test_mean_variance_is_twice_as_averse_as_the_logarithm():
    # Up or down by s, half the time each: mean of r - r^2 is -s^2; of ln, -s^2 / 2 to order s^4.
    s = 0.01
    both = np.array([1 + s, 1 - s])
    assert mean_variance(both).mean() == pytest.approx(-(s**2), rel=1e-9)
    assert log_growth(both).mean() == pytest.approx(-(s**2) / 2, rel=1e-4)


def test_unknown_name_is_offered_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown reward 'log_grwth'.*'log_growth'"):
        REWARDS.get("log_grwth")


@pytest.fixture
def plant(monkeypatch):
    def add(reward):
        monkeypatch.setitem(REWARDS._members, "broken", reward)
        return "broken"

    return add


FAULTS = [
    ("test_finite_from_ruin_to_riches", lambda g: np.where(g < 1e-5, -np.inf, g - 1.0)),
    ("test_finite_from_ruin_to_riches", lambda g: (g - 1.0).astype(np.float32)),
    ("test_elementwise_in_any_shape", lambda g: np.log(g) - np.log(g).mean()),
    ("test_elementwise_in_any_shape", lambda g: np.log(np.ravel(g))),
    ("test_input_is_left_alone_and_bits_repeat", lambda g: np.subtract(g, 1.0, out=g)),
    ("test_bar_that_changes_nothing_is_worth_nothing", lambda g: g),
    ("test_losing_hurts_no_less_than_gaining_pleases", lambda g: g * g - 1.0),
]


@pytest.mark.parametrize(("promise", "reward"), FAULTS)
def test_contract_catches(plant, promise, reward):
    with pytest.raises(AssertionError):
        getattr(CONTRACT, promise)(plant(reward))


def test_contract_catches_a_reward_that_falls(plant):
    with pytest.raises(AssertionError):
        CONTRACT.test_more_money_is_worth_more(plant(mean_variance), 2.0)


@pytest.mark.parametrize(
    "promise", ["test_market_and_environment_pay_the_same", "test_ruin_has_a_finite_reward"]
)
def test_contract_catches_a_reward_with_a_memory(plant, promise):
    calls = []

    def moody(growth):
        calls.append(1)
        return np.log(growth) * (-1.0 if len(calls) == 1 else 1.0)

    with pytest.raises(ConfigError, match="must depend on each growth alone"):
        getattr(CONTRACT, promise)(plant(moody))
