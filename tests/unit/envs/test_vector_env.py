"""The vector of accounts returns what Gymnasium's own vector of single environments does."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from reinforcestrategycreator_pipeline.envs.trading_env import TradingEnv
from reinforcestrategycreator_pipeline.envs.vector_env import TradingVectorEnv
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    asset_of,
    random_asset,
)

GRID = (-1.0, 0.0, 1.0)
REWARDS = ["mean_variance", "differential_sharpe", {"name": "drawdown", "penalty": 3.0}]


def same(found, expected, which=None) -> None:
    """Compare infos where they say that they hold something."""
    assert set(found) == set(expected)
    for key in [key for key in expected if key[0] != "_"]:
        there = expected[f"_{key}"] if which is None else which
        np.testing.assert_array_equal(found[f"_{key}"], expected[f"_{key}"])
        if isinstance(expected[key], dict):
            same(found[key], expected[key], there)
        else:
            for one, other in zip(found[key][there], expected[key][there], strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("reward", REWARDS, ids=str)
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_the_same_as_single_environments(mode, reward):
    """Short bars so wild that accounts are ruined, and restart at different times."""
    bars = random_asset(12, 4, volatility=0.6)
    made = {"bars": bars, "positions": GRID, "costs": DEAR, "reward": reward, "reward_scale": 3.0}
    envs = gymnasium.make_vec("rsc/Trading-v0", 5, autoreset_mode=mode.value, **made)
    assert isinstance(envs, TradingVectorEnv)
    assert envs.metadata["autoreset_mode"] == mode
    singles = [lambda: TradingEnv(**made)] * 5
    reference = SyncVectorEnv(singles, autoreset_mode=mode)
    assert envs.observation_space == reference.observation_space
    assert envs.action_space == reference.action_space
    seen, infos = envs.reset(seed=1)
    expected, others = reference.reset(seed=1)
    np.testing.assert_array_equal(seen, expected)
    same(infos, others)
    rng, ended = np.random.default_rng(0), 0
    for _ in range(60):
        actions = rng.integers(3, size=5)
        found, expected = envs.step(actions), reference.step(actions)
        for one, other in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        same(found[4], expected[4])
        over = found[2] | found[3]
        ended += over.sum()
        if mode == AutoresetMode.DISABLED and over.any():
            again = [env.reset(options={"reset_mask": over}) for env in (envs, reference)]
            np.testing.assert_array_equal(again[0][0], again[1][0])
            same(again[0][1], again[1][1])
    assert ended > 20


def test_random_starts_are_spread_and_repeat():
    envs = TradingVectorEnv(random_asset(50), 400, start="random")
    first = envs.reset(seed=3)[1]["t"]
    assert set(first) == set(range(49))  # the last bar allows no decision
    np.testing.assert_array_equal(envs.reset(seed=3)[1]["t"], first)
    assert (envs.reset(seed=4)[1]["t"] != first).any()
    alone = TradingEnv(random_asset(50), start="random")
    assert len({alone.reset(seed=i)[1]["t"] for i in range(40)}) > 20


def test_what_is_returned_stays_as_it_was():
    envs = TradingVectorEnv(random_asset(9), 2)
    seen, infos = envs.reset()
    kept = seen.copy(), {k: np.copy(v) for k, v in infos.items()}
    envs.step(np.array([1, 0]))
    np.testing.assert_array_equal(seen, kept[0])
    for name, value in kept[1].items():
        np.testing.assert_array_equal(infos[name], value)


def test_refusals():
    envs = TradingVectorEnv(random_asset(4), 2, autoreset_mode="Disabled")
    with pytest.raises(ConfigError, match=r"account 0 has ended; call reset first"):
        envs.step(np.array([0, 0]))
    envs.reset()
    for actions, rule in [([0, 2], "from 0 to 1. Got 0 to 2"), ([0.0, 1.0], "must be 2 integers")]:
        with pytest.raises(ConfigError, match=rule):
            envs.step(np.array(actions))
    with pytest.raises(ConfigError, match=r"must be 2 integers. Got int64 of shape \(3,\)"):
        envs.step(np.zeros(3, dtype=int))
    with pytest.raises(ConfigError, match="must be 2 booleans"):
        envs.reset(options={"reset_mask": np.ones(3, dtype=bool)})
    with pytest.raises(ConfigError, match=r"from 0 to 2\. Got 3 instead"):
        envs.reset(options={"start": 3})
    with pytest.raises(ConfigError, match=r"autoreset_mode.*'NextStep'.*Got 'Next'"):
        TradingVectorEnv(random_asset(4), autoreset_mode="Next")
    with pytest.raises(ConfigError, match="start parameter of TradingVectorEnv"):
        TradingVectorEnv(random_asset(4), start="last")


def test_masks_are_those_of_gymnasium_and_of_sb3():
    env = gymnasium.make("rsc/Trading-v0", bars=random_asset(9), positions=GRID)
    _, info = env.reset(seed=0)
    env.action_space.sample(mask=info["action_mask"])  # Gymnasium wants int8
    masks = env.unwrapped.action_masks()
    assert masks.dtype == bool
    assert masks.tolist() == [True] * 3 == info["action_mask"].tolist()
    info["action_mask"][0] = 0  # belongs to whoever got it
    assert env.unwrapped.action_masks().all()
    envs = TradingVectorEnv(random_asset(9), 2, GRID)
    assert envs.action_masks().shape == (2, 3)


@pytest.mark.filterwarnings("ignore:.*A Box observation space")
def test_the_learner_takes_the_registered_environments():
    bars = random_asset(40)
    for env in (
        gymnasium.make("rsc/Trading-v0", bars=bars, positions=GRID),
        gymnasium.make_vec("rsc/Trading-v0", 4, bars=bars, positions=GRID, start="random"),
    ):
        dqn = DQN(seed=0, hidden_layers=[8], learning_starts=20, buffer_size=200)
        dqn.learn(env, 120)
        assert np.isfinite(dqn.predict(env.reset(seed=0)[0])).all()


def test_an_order_that_waits():
    """By hand: +100% in the session of bar 3 alone; decided on at bar 1, whose feature says so."""
    open_, close = [10, 10, 10, 10, 20], [10, 10, 10, 20, 20]
    bars = asset_of(open_, close, features=[[0.0], [1.0], [0.0], [0.0], [0.0]])
    env = TradingEnv(bars, costs=FREE, initial_equity=1.0, delay=1)
    state, info = env.reset()
    assert (state[0], info["t"]) == (0.0, 1)  # bar 0 is the newest that is seen
    state, _, _, _, info = env.step(0)
    assert (state[0], info["equity"]) == (1.0, 1.0)  # bar 1, seen when bar 2 has closed
    _, _, _, _, info = env.step(1)
    assert (info["equity"], info["t"]) == (2.0, 3)
    envs = TradingVectorEnv(bars, 3, costs=FREE, delay=2, start="random")
    assert set(envs.reset(seed=0)[1]["t"]) <= {2, 3}
    with pytest.raises(ConfigError, match=r"delay parameter of TradingEnv must .* Got 4"):
        TradingEnv(bars, delay=4)
    with pytest.raises(ConfigError, match=r"an integer from 2 to 3\. Got 1"):
        envs.reset(options={"start": 1})


def test_a_delay_changes_what_is_seen_and_not_what_happens():
    bars = random_asset(30)
    late, usual = TradingEnv(bars, GRID, DEAR, delay=3), TradingEnv(bars, GRID, DEAR)
    seen, _ = late.reset()
    usual.reset(options={"start": 3})
    np.testing.assert_array_equal(seen[:3], bars.features[0].astype(np.float32))
    for t, action in enumerate(np.random.default_rng(0).integers(3, size=26)):
        one, other = late.step(action), usual.step(action)
        assert one[1:4] == other[1:4]
        np.testing.assert_array_equal(one[0][:3], bars.features[t + 1].astype(np.float32))
        np.testing.assert_array_equal(one[0][3:], other[0][3:])
