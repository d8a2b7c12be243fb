"""Rewards with a memory: by hand, from their definitions, and refused where they cannot be."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.envs.path_rewards import (
    PATH_REWARDS,
    DifferentialSharpe,
    DrawdownPenalty,
)
from reinforcestrategycreator_pipeline.envs.span import TradingRules
from reinforcestrategycreator_pipeline.envs.trading_env import TradingEnv
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, asset_of, random_asset

GRID = (-1.0, 0.0, 1.0)


def along(reward, growth):
    """Return the rewards and memories of one account over some bars."""
    memory, found, kept = reward.start(1), [], []
    for each in growth:
        value, memory = reward.step(memory, np.array([each]))
        found.append(float(value[0]))
        kept.append(memory[0].copy())
    return np.array(found), np.array(kept)


def test_differential_sharpe_by_hand():
    # eta 1/2, volatility 10%, so A = 0 and B = 0.01. R = 0.1: D = B dA / B^1.5 = 0.1 / 0.1 = 1;
    # then A = 0.05, B = 0.01. R = -0.1: dA = -0.15, dB = 0; D = -0.0015 / 0.0075^1.5.
    found, memory = along(DifferentialSharpe(0.5, 0.1), [1.1, 0.9])
    np.testing.assert_allclose(found, [1.0, -0.0015 / 0.0075**1.5], rtol=1e-12)
    np.testing.assert_allclose(memory[0], [0.5, 1.0], rtol=1e-12)  # both over the volatility
    np.testing.assert_allclose(memory[1], [-0.25, 1.0], rtol=1e-12)


def test_differential_sharpe_is_the_derivative_of_the_sharpe_ratio():
    """By finite differences of S(eta) = A / sqrt(B - A^2), the definition of Moody and Saffell."""
    rng = np.random.default_rng(0)
    growth = 1.0 + 0.01 * rng.standard_normal(50) + 0.002
    found, memory = along(DifferentialSharpe(0.05, 0.012), growth)
    before = np.concatenate([[[0.0, 1.0]], memory[:-1]]) * 0.012
    mean, square, r = before[:, 0], before[:, 1] ** 2, growth - 1.0

    def sharpe(eta):
        a, b = mean + eta * (r - mean), square + eta * (r * r - square)
        return a / np.sqrt(b - a * a)

    np.testing.assert_allclose(found, (sharpe(1e-6) - sharpe(-1e-6)) / 2e-6, rtol=1e-6, atol=1e-8)


def test_differential_sharpe_of_a_flat_account_stays_finite():
    found, memory = along(DifferentialSharpe(), np.ones(5_000))
    assert found.tolist() == [0.0] * 5_000
    assert np.isfinite(memory).all()
    reward, _ = DifferentialSharpe().step(memory[-1][None], np.array([1.01]))
    # No past: B = 0, and the variance is at its floor, so only the terms in R^2 matter: none.
    assert np.isfinite(reward).all()


def test_drawdown_by_hand():
    # Down a half, up a half, up double: the fall costs ln 2 twice more, the recovery nothing.
    found, memory = along(DrawdownPenalty(2.0), [0.5, 1.5, 2.0])
    np.testing.assert_allclose(found, [-3 * np.log(2), np.log(1.5), np.log(2)], rtol=1e-12)
    np.testing.assert_allclose(memory[:, 0], [np.log(2), np.log(4 / 3), 0.0], atol=1e-15)


def test_drawdown_penalties_add_up_to_what_was_lost_from_the_peaks():
    rng = np.random.default_rng(1)
    growth = np.exp(0.02 * rng.standard_normal(300))
    found, memory = along(DrawdownPenalty(0.7), growth)
    equity = np.concatenate([[1.0], growth.cumprod()])
    depth = np.log(np.maximum.accumulate(equity) / equity)
    np.testing.assert_allclose(memory[:, 0], depth[1:], atol=1e-12)
    lost = np.maximum(np.diff(depth), 0.0).sum()
    assert found.sum() == pytest.approx(np.log(equity[-1]) - 0.7 * lost)


@pytest.mark.filterwarnings("ignore:.*A Box observation space")
@pytest.mark.parametrize("reward", sorted(PATH_REWARDS))
def test_in_the_environment(reward):
    bars = random_asset(30)
    check_env(TradingEnv(bars, GRID, reward=reward), skip_render_check=True)
    env = TradingEnv(bars, GRID, DEAR, reward=reward, reward_scale=2.0, initial_equity=1.0)
    state, info = env.reset()
    built = PATH_REWARDS.build(reward)
    memory, before = built.start(1), info["equity"]
    assert state[6:].tolist() == memory[0].tolist()  # 3 features and 3 positions before it
    for action in np.random.default_rng(0).integers(3, size=29):
        state, paid, _, _, info = env.step(action)
        expected, memory = built.step(memory, np.array([info["equity"] / before]))
        before = info["equity"]
        assert paid == pytest.approx(2.0 * float(expected[0]), rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(state[6:], memory[0], rtol=1e-6, atol=1e-9)
    assert env.reset()[0][6:].tolist() == built.start(1)[0].tolist()


def test_one_of_a_users_own():
    class Streak:
        """The growth counts once more for each bar of gain before it."""

        def start(self, count):
            return np.zeros((count, 1))

        def step(self, memory, growth):
            gained = growth > 1.0
            return np.log(growth) * (1 + memory[:, 0]), (memory[:, 0] + gained)[:, None] * gained[
                :, None
            ]

    env = TradingEnv(asset_of([10, 10, 20, 40], [10, 20, 40, 80]), costs=None, reward=Streak())
    assert env.observation_space.shape == (4,)
    env.reset()
    first, second = env.step(1)[1], env.step(1)
    assert second[0][-1] == 2.0
    assert second[1] == pytest.approx(2 * np.log(2), rel=1e-3)
    assert first == pytest.approx(np.log(2), rel=1e-3)


@pytest.mark.parametrize("reward", ["drawdown", {"name": "differential_sharpe", "eta": 0.1}])
def test_a_run_refuses_them_in_one_line(reward):
    rule = r"the reward '\w+' depends on what the account went through.*it is for TradingEnv"
    with pytest.raises(ConfigError, match=rule) as refused:
        from_mapping(TradingRules, {"reward": reward}, "trading")
    assert "\n" not in str(refused.value)


def test_parameters_are_checked():
    with pytest.raises(ConfigError, match="eta"):
        TradingEnv(random_asset(9), reward={"name": "differential_sharpe", "eta": 0.0})
    with pytest.raises(ConfigError, match="penalty"):
        DrawdownPenalty(-1.0)
