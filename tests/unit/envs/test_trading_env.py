"""The Gymnasium environment: its own checker, hand-worked steps, and the market's numbers."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.trading_env import TradingEnv
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.execution.accounting import RUIN_GROWTH
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
    repeatable,
)

# Features have no bounds, and Gymnasium says so of any such observation.
UNBOUNDED = pytest.mark.filterwarnings(
    "ignore:.*A Box observation space (minimum|maximum) value is -?infinity:UserWarning"
)


@UNBOUNDED
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_gymnasiums_own_checker(grid):
    check_env(TradingEnv(random_asset(30), grid), skip_render_check=True)


@UNBOUNDED
def test_checker_sees_a_planted_fault():
    class Wrong(TradingEnv):
        def reset(self, *, seed=None, options=None):
            state, info = super().reset(seed=seed, options=options)
            return state.astype(np.float64), info

    with pytest.raises(AssertionError):
        check_env(Wrong(random_asset(30)), skip_render_check=True)


def test_episode_by_hand():
    # 1% commission. Bars (10, 10), (11, 12), (12, 6): flat to long at 11, then sold at 12.
    bars = asset_of([10, 11, 12], [10, 12, 6], features=[[0.1], [0.2], [0.3]])
    env = TradingEnv(bars, (0.0, 1.0), CostConfig(100, 0, 0, 0, 0), initial_equity=1_010.0)
    state, info = env.reset(seed=1)
    assert state.tolist() == np.float32([0.1, 1, 0]).tolist()
    assert info.pop("action_mask").tolist() == [1, 1]
    assert info == {"equity": 1_010.0, "t": 0, "exposure": 0.0}
    # 1010 buys 1000 of shares at 11, worth 12000 / 11 at the close; 10 of commission.
    state, reward, terminated, truncated, info = env.step(1)
    assert state.tolist() == np.float32([0.2, 0, 1]).tolist()
    assert reward == pytest.approx(np.log(12_000 / 11 / 1_010))
    assert (terminated, truncated) == (False, False)
    assert info["equity"] == pytest.approx(12_000 / 11)
    assert info["cost"] == pytest.approx(10 / 1_010)
    assert info["exposure"] == 1.0
    # Sold at 12, no gap: 1% less.
    state, reward, terminated, truncated, info = env.step(0)
    assert state.tolist() == np.float32([0.3, 1, 0]).tolist()
    assert reward == pytest.approx(np.log(0.99))
    assert (terminated, truncated) == (False, True)
    assert info["equity"] == pytest.approx(12_000 / 11 * 0.99)


@repeatable
@given(st.integers(0, 10_000), st.sampled_from(GRIDS), st.sampled_from([0.02, 0.5]))
def test_same_numbers_as_the_market_and_the_backtest(seed, grid, volatility):
    """Rewards, states, ruin and truncation, bar by bar; a volatility of 50% ruins many."""
    bars = random_asset(25, seed, volatility=volatility)
    market = ExogenousMarket([random_asset(9, 1), bars], grid, DEAR)
    env = TradingEnv(bars, grid, DEAR, reward_scale=market.reward_scale, initial_equity=1e5)
    state, _ = env.reset(seed=0)
    held, equity, actions = market.flat, [1e5], []
    rng = np.random.default_rng(seed)
    for t in range(24):
        row, action = 9 + t, int(rng.integers(len(grid)))
        actions.append(action)
        batch = market.gather(*(np.array([x]) for x in (row, held, action)))
        np.testing.assert_array_equal(state, batch.s_tm1[0])
        state, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_array_equal(state, batch.s_t[0])
        np.testing.assert_allclose(reward, batch.r_t[0], rtol=1e-6, atol=1e-9)
        assert terminated == batch.terminated[0] == market.ruined[row, held, action]
        assert truncated == market.is_last[row + 1] == (t == 23)
        equity.append(info["equity"])
        growth = np.exp(market.log_growth[row, held, action])
        np.testing.assert_allclose(equity[-1] / equity[-2], growth, rtol=1e-13)
        held = action
        if terminated:
            break
    if not terminated:
        targets = market.positions[actions]
        np.testing.assert_allclose(
            equity, run_backtest("it", bars, targets, DEAR, 1e5).equity, rtol=1e-12
        )
        path = market.path_log_growth([np.full(8, market.flat), np.array(actions)])[1]
        np.testing.assert_allclose(np.log(equity[-1] / 1e5), path, rtol=1e-9, atol=1e-12)


def ruinous():
    return asset_of([10, 10, 10, 10], [10, 21, 10, 10])


def test_ruin_terminates_and_is_not_a_truncation():
    env = TradingEnv(ruinous(), (-1.0, 0.0, 1.0), FREE, initial_equity=100.0)
    env.reset()
    _, reward, terminated, truncated, info = env.step(0)
    assert (terminated, truncated) == (True, False)
    assert info["equity"] == pytest.approx(100 * RUIN_GROWTH)
    assert reward == pytest.approx(np.log(RUIN_GROWTH))


@pytest.mark.parametrize("end", ["ruin", "data"])
def test_step_after_the_end_is_refused(end):
    env = TradingEnv(ruinous(), (-1.0, 0.0, 1.0), FREE)
    env.reset()
    for action in [0] if end == "ruin" else [1, 1, 1]:
        env.step(action)
    with pytest.raises(ConfigError, match="the episode has ended; call reset first"):
        env.step(1)
    env.reset()
    env.step(1)


@pytest.mark.parametrize("action", [3, -1, 1.5, np.nan, "1", None])
def test_action_outside_the_space_is_refused(action):
    env = TradingEnv(random_asset(9), (-1.0, 0.0, 1.0))
    env.reset()
    with pytest.raises(ConfigError, match=r"The action of TradingEnv.step .* from 0 to 2"):
        env.step(action)


@pytest.mark.parametrize("action", [1, np.int64(1), np.int32(1), np.uint8(1), np.array(1)])
def test_integer_of_any_kind_is_an_action(action):
    env = TradingEnv(random_asset(9))
    env.reset()
    assert env.step(action)[4]["exposure"] == 1.0


def test_start_option():
    env = TradingEnv(random_asset(9), (0.0, 1.0))
    state, info = env.reset(options={"start": 7})
    assert info["t"] == 7
    np.testing.assert_array_equal(state[:3], env.bars.features[7].astype(np.float32))
    assert env.step(1)[3]
    for start in (8, -1):
        with pytest.raises(ConfigError, match=f"from 0 to 7. Got {start} instead"):
            env.reset(options={"start": start})


def test_reset_forgets_everything():
    env = TradingEnv(random_asset(30), (0.0, 1.0))
    first, _ = env.reset(seed=3)
    seen = [env.step(a)[:4] for a in (1, 0, 1)]
    again, _ = env.reset(seed=4)
    np.testing.assert_array_equal(first, again)
    for old, new in zip(seen, [env.step(a)[:4] for a in (1, 0, 1)], strict=True):
        np.testing.assert_array_equal(old[0], new[0])
        assert old[1:] == new[1:]


def test_next_bars_session_changes_no_earlier_observation():
    bars = random_asset(9)
    close = bars.close.copy()
    close[3] *= 1.3
    other = asset_of(bars.open, close, bars.times, bars.features)
    for t in range(3):  # decisions 0..2 end at bars 1..3
        paths = []
        for b in (bars, other):
            env = TradingEnv(b, (0.0, 1.0), DEAR)
            env.reset()
            paths.append([env.step(1)[1] for _ in range(t + 1)])
        assert (paths[0] == paths[1]) == (t < 2)
