"""What lands in the replay, in each of the ways in which environments reset themselves."""

import gymnasium as gym
import numpy as np
import pytest
from gym_cases import (
    Scripted,
    dqn_of,
    expected_transitions,
    scripted_run,
    stored_transitions,
)

from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError

MODES = ("NextStep", "SameStep", "Disabled")
TOTAL = 70


def makers(n, **arguments):
    return [lambda e=e: Scripted(e, **arguments) for e in range(n)]


def sync(mode, n=3, **arguments):
    return gym.vector.SyncVectorEnv(
        makers(n, **arguments), autoreset_mode=gym.vector.AutoresetMode(mode)
    )


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("mode", MODES)
class TestEachMode:
    def test_transitions(self, mode, n_step):
        dqn = dqn_of(n_step=n_step)
        result = dqn.learn(sync(mode), TOTAL)
        walked, _, steps = scripted_run(3, TOTAL, mode)
        assert result.steps == steps
        assert stored_transitions(dqn) == expected_transitions(walked, n_step)

    def test_episodes(self, mode, n_step):
        result = dqn_of(n_step=n_step).learn(sync(mode), TOTAL)
        walked, finished, _ = scripted_run(3, TOTAL, mode)
        assert result.ended_at == [step for _, _, step in finished]
        assert result.lengths == [walked[e, k][0] for e, k, _ in finished]
        one_step = expected_transitions(walked, 1)
        returns = [sum(r for s, r, *_ in one_step if s[:2] == (e, k)) for e, k, _ in finished]
        np.testing.assert_allclose(result.returns, returns, rtol=1e-4)

    def test_every_state_acted_on_is_observed_once(self, mode, n_step):
        dqn = dqn_of(n_step=n_step, normalize_observations=True)
        dqn.learn(sync(mode), TOTAL)
        walked, _, steps = scripted_run(3, TOTAL, mode)
        seen = np.array([(e, k, t) for (e, k), (made, _) in walked.items() for t in range(made)])
        assert dqn.normalizer.count == steps == len(seen)
        np.testing.assert_allclose(dqn.normalizer.mean[:3], seen.mean(axis=0), rtol=1e-9)

    def test_async_stores_the_same(self, mode, n_step):
        env = gym.vector.AsyncVectorEnv(
            makers(2), autoreset_mode=gym.vector.AutoresetMode(mode), context="forkserver"
        )
        dqn = dqn_of(n_step=n_step)
        try:
            dqn.learn(env, 30)
        finally:
            env.close()
        walked, _, _ = scripted_run(2, 30, mode)
        assert stored_transitions(dqn) == expected_transitions(walked, n_step)


@pytest.mark.parametrize("n_step", [1, 3])
def test_one_environment(n_step):
    dqn = dqn_of(n_step=n_step)
    result = dqn.learn(Scripted(), TOTAL)
    walked, finished, steps = scripted_run(1, TOTAL, "SameStep")
    assert result.steps == steps == TOTAL
    assert stored_transitions(dqn) == expected_transitions(walked, n_step)
    assert result.ended_at == [step for _, _, step in finished]
    assert result.lengths == [walked[e, k][0] for e, k, _ in finished]


def test_the_script_has_ends_of_both_kinds_in_every_environment():
    """Else the comparisons above would show less than they seem to."""
    walked, _, _ = scripted_run(3, TOTAL, "NextStep")
    for e in range(3):
        assert {end for (i, _), (_, end) in walked.items() if i == e} >= {"terminated", "truncated"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("start", [0, -2, 7])
def test_actions_are_those_taken(mode, start):
    env = sync(mode, start=start)
    dqn = dqn_of(exploration_initial=1.0, exploration_final=1.0)
    dqn.learn(env, TOTAL)
    arrays = dqn.replay_buffer.arrays()
    # The state that follows shows the last action, counted from 0.
    assert arrays["a_tm1"].tolist() == arrays["s_t"][:, 3].astype(int).tolist()
    assert set(arrays["a_tm1"].tolist()) == {0, 1, 2}
    for number, scripted in enumerate(env.envs):
        own = arrays["a_tm1"][arrays["s_tm1"][:, 0] == number]
        assert own.tolist() == scripted.actions


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int16])
@pytest.mark.parametrize("shape", [(2, 2), (1, 4), (4,)])
def test_observations_of_other_shapes_and_types(dtype, shape):
    for env, n in ((Scripted(dtype=dtype, shape=shape), 1), (sync("SameStep", 2, shape=shape), 2)):
        dqn = dqn_of()
        dqn.learn(env, 40)
        walked, _, _ = scripted_run(n, 40, "SameStep")
        stored = [(s[:2], r, f[:2], *rest) for s, r, f, *rest in stored_transitions(dqn)]
        expected = [(s[:2], r, f[:2], *rest) for s, r, f, *rest in expected_transitions(walked, 1)]
        assert stored == expected
        assert dqn.n_inputs == 4


class Reusing(Scripted):
    """Shows one and the same array at every step."""

    def __init__(self):
        super().__init__()
        self.buffer = np.zeros(4, np.float32)

    def _observe(self):
        self.buffer[...] = super()._observe()
        return self.buffer


def test_an_environment_may_write_over_what_it_has_shown():
    dqn = dqn_of(n_step=3)
    dqn.learn(Reusing(), 40)
    walked, _, _ = scripted_run(1, 40, "SameStep")
    assert stored_transitions(dqn) == expected_transitions(walked, 3)


def test_one_environment_in_a_vector_is_as_one_alone():
    alone, vector = dqn_of(), dqn_of()
    alone.learn(gym.make("CartPole-v1"), 300)
    env = gym.make_vec("CartPole-v1", 1, "sync", vector_kwargs={"autoreset_mode": "SameStep"})
    vector.learn(env, 300)
    for name, tensor in alone.state()[0].items():
        assert tensor.tobytes() == vector.state()[0][name].tobytes(), name


def test_seeds_of_a_vector_differ_by_environment_and_are_given_once():
    env = sync("NextStep")
    dqn_of(seed=4).learn(env, TOTAL)
    assert [e.seeds[0] for e in env.envs] == [4, 5, 6]
    assert {s for e in env.envs for s in e.seeds[1:]} == {None}


def test_gymnasiums_own_vector_of_cartpoles():
    env = gym.make_vec("CartPole-v1", 4, "vector_entry_point")
    dqn = dqn_of()
    result = dqn.learn(env, 400)
    assert 400 <= result.steps < 404
    assert len(dqn.replay_buffer) == result.steps
    # An episode's steps and its reset: the reward is 1 a step.
    assert result.returns == [float(n) for n in result.lengths]


@pytest.mark.parametrize(("n_envs", "frequency", "every", "trained"), [
    (3, 1, 1, 1), (3, 6, 2, 2 / 6), (4, 2, 1, 1 / 2), (4, 8, -1, 1), (2, 3, -1, 1), (1, 4, -1, 1),
])  # fmt: skip
def test_training_steps_are_counted_over_all_environments(n_envs, frequency, every, trained):
    """Of 600 environment steps, those behind the first 100 bring `trained` steps each."""
    env = gym.make_vec("CartPole-v1", n_envs, "sync", vector_kwargs={"autoreset_mode": "SameStep"})
    dqn = dqn_of(train_frequency=frequency, gradient_steps=every, learning_starts=100)
    result = dqn.learn(env, 600)
    t = dqn.q_network["optimizer_state"]["t"]
    assert t == pytest.approx((result.steps - 100) * trained, abs=2 * frequency * trained + 1)


# -- refused ----------------------------------------------------------------------------------


class WithoutFinal(gym.vector.SyncVectorEnv):
    def step(self, actions):
        *rest, infos = super().step(actions)
        infos.pop("final_obs", None)
        return *rest, infos


class WithoutMask(gym.vector.SyncVectorEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)


@pytest.mark.parametrize(
    ("kind", "mode", "message"),
    [
        (WithoutFinal, "SameStep", r'SAME_STEP\) but has no info\["final_obs"\] for environment'),
        (WithoutMask, "Disabled", r'does not respect options\["reset_mask"\]; use Autoreset'),
    ],
)
def test_a_vector_that_does_not_do_as_it_says(kind, mode, message):
    env = kind(makers(3), autoreset_mode=gym.vector.AutoresetMode(mode))
    with pytest.raises(ConfigError, match=message):
        dqn_of().learn(env, TOTAL)


def test_an_unknown_mode():
    env = sync("NextStep")
    env.metadata["autoreset_mode"] = "Sometimes"
    with pytest.raises(ConfigError, match=r"autoreset modes .*Got 'Sometimes' instead"):
        dqn_of().learn(env, TOTAL)


class Broken(Scripted):
    """From some step on, its reward or one number that it shows is not finite."""

    def __init__(self, number, what, at, value):
        super().__init__(number)
        self.what, self.at, self.value, self.made = what, at, value, 0

    def step(self, action):
        observation, reward, *rest = super().step(action)
        self.made += 1
        if self.made == self.at:
            if self.what == "reward":
                reward = self.value
            else:
                observation[2] = self.value
        return observation, reward, *rest


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["reward", "observation"])
@pytest.mark.parametrize("mode", [None, *MODES])
@pytest.mark.parametrize("at", [1, 2, 3])  # the third ends the episode
def test_numbers_that_are_not_finite_are_refused_at_once(mode, what, value, at):
    if mode is None:
        env = Broken(0, what, at, value)
        step = at
    else:
        fns = [lambda: Broken(0, what, at, value), lambda: Broken(0, what, 0, value)]
        env = gym.vector.SyncVectorEnv(fns, autoreset_mode=gym.vector.AutoresetMode(mode))
        step = 2 * at
    dqn = dqn_of()
    with pytest.raises(NonFiniteError, match=rf"environment step {step}: .* in the {what}"):
        dqn.learn(env, TOTAL)
    assert np.isfinite(dqn.replay_buffer.arrays()["s_t"]).all()
    assert len(dqn.replay_buffer) == step - (1 if mode is None else 2)
