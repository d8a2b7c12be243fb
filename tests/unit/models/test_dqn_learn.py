"""`learn` on tasks whose best values are known, and what it tells."""

import gymnasium as gym
import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

GAMMA = 0.8


class Chain(gym.Env):
    """Five rooms in a row; right (1) in the last pays 1, left (0) walks back.

    If `endless`, the walker stays in the last room and may earn again; a time limit cuts the
    episode off. Else the task is over with the first pay.
    """

    def __init__(self, endless=False, time_limit=20, first_action=0, terminates_at_limit=False):
        self.observation_space = gym.spaces.Box(0, 1, (5,))
        self.action_space = gym.spaces.Discrete(2, start=first_action)
        self.endless, self.time_limit = endless, time_limit
        self.first_action, self.terminates_at_limit = first_action, terminates_at_limit
        self.resets, self.actions = [], []

    def _observation(self):
        return np.eye(5, dtype=np.float32)[self.room]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.resets.append(seed)
        self.room, self.time = int(self.np_random.integers(5)), 0
        return self._observation(), {}

    def step(self, action):
        self.actions.append(action)
        assert self.action_space.contains(action)
        self.time += 1
        right = action - self.first_action == 1
        reward = float(right and self.room == 4)
        terminated = bool(reward) and not self.endless
        self.room = min(self.room + 1, 4) if right else max(self.room - 1, 0)
        cut = self.time >= self.time_limit
        if self.terminates_at_limit:
            return self._observation(), reward, terminated or cut, False, {}
        return self._observation(), reward, terminated, cut and not terminated, {}


def best_values(endless):
    """Q*(room, action) by hand: V(4) is 1, or 1 + g + g^2 + ... = 1 / (1 - g) if endless."""
    v4 = 1 / (1 - GAMMA) if endless else 1.0
    v = [v4 * GAMMA ** (4 - room) for room in range(5)]
    left = [GAMMA * v[max(room - 1, 0)] for room in range(5)]
    right = [*(GAMMA * v[room + 1] for room in range(4)), v4]
    return np.array([left, right]).T


def dqn_of(**hyperparameters):
    settings = {
        "hidden_layers": [32],
        "learning_rate": 2e-3,
        "gamma": GAMMA,
        "target_update_interval": 50,
        "exploration_final": 1.0,
        "learning_starts": 200,
        "train_frequency": 1,
        "buffer_size": 2000,
    }
    return DQN({"hyperparameters": {**settings, **hyperparameters}, "seed": 1})


def learned_values(env, steps=3000, **settings):
    dqn = dqn_of(**settings)
    dqn.learn(env, steps)
    return dqn.predict(np.eye(5))


@pytest.mark.parametrize("double_dqn", [True, False])
def test_values_of_a_task_that_ends(double_dqn):
    values = learned_values(Chain(), double_dqn=double_dqn)
    np.testing.assert_allclose(values, best_values(endless=False), atol=0.02)


def test_values_of_a_task_that_is_only_cut_off():
    values = learned_values(Chain(endless=True))
    np.testing.assert_allclose(values, best_values(endless=True), atol=0.1)


def test_a_cut_taken_for_an_end_would_be_seen():
    values = learned_values(Chain(endless=True, terminates_at_limit=True))
    assert np.abs(values - best_values(endless=True)).max() > 0.5


def test_the_first_action_of_the_space_may_be_any():
    env = Chain(first_action=5)
    values = learned_values(env)
    assert set(env.actions) == {5, 6}
    np.testing.assert_allclose(values, best_values(endless=False), atol=0.02)


def test_it_returns_the_return_of_every_finished_episode():
    env = Chain(endless=True, time_limit=7)
    result = dqn_of(learning_starts=10_000, exploration_initial=1.0).learn(env, 7 * 20 + 3)
    assert len(result.returns) == 20
    assert all(0 <= r <= 7 and r == int(r) for r in result.returns)
    assert result.lengths == [7] * 20
    assert result.ended_at == list(range(7, 141, 7))
    assert result.steps == 143
    assert env.resets[0] == 1  # the seed, once
    assert env.resets[1:] == [None] * 20


def test_every_transition_is_stored_with_the_true_next_state():
    env = Chain(time_limit=3)
    dqn = dqn_of(learning_starts=10_000)
    dqn.learn(env, 500)
    batch = dqn.replay_buffer.sample(500)
    rooms, following = batch.s_tm1.argmax(axis=1), batch.s_t.argmax(axis=1)
    right = batch.a_tm1 == 1
    # Never the first room of the next episode, also where the time limit cut one off.
    expected = np.where(right, np.minimum(rooms + 1, 4), np.maximum(rooms - 1, 0))
    assert following.tolist() == expected.tolist()
    assert batch.terminated.tolist() == (right & (rooms == 4)).tolist()
    assert batch.r_t.tolist() == (right & (rooms == 4)).astype(float).tolist()


def steps_trained(total, **settings):
    dqn = dqn_of(**settings)
    dqn.learn(Chain(), total)
    return dqn.q_network["optimizer_state"]["t"]


def test_how_often_it_trains():
    # From 100 stored on: at 100, 104, ..., 400, which is 76 rounds, of 3 steps.
    settings = {"learning_starts": 100, "train_frequency": 4, "gradient_steps": 3}
    assert steps_trained(400, **settings) == 76 * 3
    assert steps_trained(99, **settings) == 0
    # With fewer than a batch nothing can be sampled, whatever learning_starts says.
    assert steps_trained(40, learning_starts=1, batch_size=32) == 9


def test_a_buffer_smaller_than_learning_starts_still_learns():
    # The ring never holds 1000: training begins when it is full.
    assert steps_trained(400, learning_starts=1000, buffer_size=50, batch_size=32) == 351


def test_the_schedule_of_exploration():
    dqn = dqn_of(exploration_initial=0.9, exploration_final=0.1, exploration_fraction=0.5)
    rates = [dqn.exploration_at(p) for p in (0, 0.25, 0.5, 0.75, 1)]
    assert rates == pytest.approx([0.9, 0.5, 0.1, 0.1, 0.1])
    assert dqn.exploration_rate == 0.9
    dqn.learn(Chain(), 100)
    assert dqn.exploration_rate == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("frequency", "gradient_steps", "log_interval"), [(1, 1, 10), (4, 1, 5), (64, 100, 30)]
)
def test_the_callback_sees_every_logged_step_once(frequency, gradient_steps, log_interval):
    rows = []
    dqn = dqn_of(
        learning_starts=100,
        train_frequency=frequency,
        gradient_steps=gradient_steps,
        log_interval=log_interval,
        exploration_final=0.1,
    )
    dqn.learn(Chain(), 512, callback=lambda step, row: rows.append((step, row)))
    trained = dqn.q_network["optimizer_state"]["t"]
    assert trained > 3 * log_interval
    assert [row["step"] for _, row in rows] == list(range(log_interval, trained + 1, log_interval))
    for step, row in rows:
        assert set(row) >= {
            "step",
            "loss",
            "grad_norm",
            "update_norm",
            "q_mean",
            "q_max",
            "exploration_rate",
            "steps_per_second",
        }
        assert row["exploration_rate"] == dqn.exploration_at(step / 512)
        assert all(np.isfinite(value) for value in row.values())
        assert row["steps_per_second"] > 0


def test_no_callback_before_training_or_without_logging():
    rows = []

    def keep(*row):
        rows.append(row)

    dqn_of(learning_starts=100).learn(Chain(), 90, callback=keep)
    dqn_of(learning_starts=100, log_interval=0).learn(Chain(), 300, callback=keep)
    assert rows == []


def test_learning_repeats():
    a, b = (learned_values(Chain(), 600) for _ in range(2))
    assert a.tobytes() == b.tobytes()


def test_a_network_that_was_built_before_is_kept():
    dqn = dqn_of()
    dqn.build((5,), (2,))
    weights = dqn.q_network["weights"]
    dqn.learn(Chain(), 300)
    assert dqn.q_network["weights"] is weights


@pytest.mark.parametrize("observations", [gym.spaces.Discrete(5), gym.spaces.Dict({})])
def test_observations_that_are_no_vectors_are_refused(observations):
    env = Chain()
    env.observation_space = observations
    with pytest.raises(ConfigError, match=r"The env parameter .* must have vector observations"):
        dqn_of().learn(env, 10)


def test_actions_that_are_not_discrete_are_refused():
    env = Chain()
    env.action_space = gym.spaces.Box(-1, 1, (2,))
    with pytest.raises(ConfigError, match="discrete actions"):
        dqn_of().learn(env, 10)
