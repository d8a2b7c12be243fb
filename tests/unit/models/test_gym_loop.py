"""What `learn` tells, when it evaluates and stops, and what it refuses."""

import math
import re
import signal

import gymnasium as gym
import numpy as np
import pytest
from gym_cases import Scripted, dqn_of, learning_hash
from rich.console import Console
from threadpoolctl import threadpool_info, threadpool_limits

from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.models.gym.progress import ProgressBar


def cartpole():
    return gym.make("CartPole-v1")


class Task(gym.Env):
    """The state tells the best action; each right one pays 1, for 10 steps."""

    def __init__(self):
        self.observation_space = gym.spaces.Box(-1, 1, (1,))
        self.action_space = gym.spaces.Discrete(2, start=3)
        self.seeds, self.steps = [], 0

    def _observe(self):
        self.right = int(self.np_random.integers(2))
        return np.array([2.0 * self.right - 1.0], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action):
        self.steps += 1
        self.t += 1
        reward = float(action - 3 == self.right)
        return self._observe(), reward, False, self.t == 10, {}


def test_the_products_of_learning_take_one_thread():
    def threads():
        return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}

    class Looking(Task):
        def step(self, action):
            self.threads = threads()
            return super().step(action)

    task = Looking()
    with threadpool_limits(2):
        dqn_of(seed=1).learn(task, 20)
        assert (task.threads, threads()) == ({1}, {2})


# -- callbacks --------------------------------------------------------------------------------


def test_several_callbacks_see_the_same():
    seen = [[], []]
    callbacks = [lambda step, row, rows=rows: rows.append((step, dict(row))) for rows in seen]
    dqn_of().learn(Scripted(), 100, callbacks)
    assert seen[0] == seen[1]
    assert len(seen[0]) == 16  # of 81 training steps, every fifth


@pytest.mark.parametrize("several", [False, True])
def test_a_callback_that_returns_false_ends_training_there(several):
    def stop_at_30(step, row):
        return row["step"] < 30

    dqn = dqn_of(gradient_steps=7, train_frequency=3)
    result = dqn.learn(Scripted(), 500, [stop_at_30, lambda *_: None] if several else stop_at_30)
    assert dqn.q_network["optimizer_state"]["t"] == 30
    assert result.steps == 33  # rounds of 7 at 21, 24, 27, 30, 33: the 30th is in the fifth
    assert len(dqn.replay_buffer) == 33


@pytest.mark.parametrize("answer", [None, True, 0, []])
def test_only_false_itself_ends_training(answer):
    assert dqn_of().learn(Scripted(), 100, lambda *_: answer).steps == 100


def test_a_second_training_does_not_continue_the_episodes_of_the_first():
    dqn = dqn_of(n_step=3, learning_starts=25)
    dqn.learn(Scripted(), 60, lambda *_: False)  # stopped in the middle of an episode
    assert dqn.replay_buffer.arrays()["window.pending"].sum() == 2
    before = len(dqn.replay_buffer)
    dqn.learn(Scripted(), 1)
    arrays = dqn.replay_buffer.arrays()
    new = arrays["s_tm1"][before:], arrays["steps"][before:]
    assert (new[0].tolist(), new[1].tolist()) == ([[0.0, 0.0, 0.0, -1.0]], [1])


# -- evaluation -------------------------------------------------------------------------------


def test_evaluations_come_when_they_should_and_at_the_end():
    seen, env = [], Task()
    result = dqn_of().learn(
        Task(), 250, lambda *row: seen.append(row), eval_env=env, eval_interval=100, eval_episodes=3
    )
    assert [step for step, _ in result.evaluations] == [100, 200, 250]
    rows = [(step, row) for step, row in seen if "evaluation_return" in row]
    assert rows == [(step, {"evaluation_return": mean}) for step, mean in result.evaluations]
    assert env.steps == 3 * 3 * 10


def test_no_second_evaluation_where_the_end_is_a_multiple():
    result = dqn_of().learn(Task(), 200, eval_env=Task(), eval_interval=100)
    assert [step for step, _ in result.evaluations] == [100, 200]


def test_it_evaluates_the_greedy_policy():
    dqn = dqn_of(exploration_final=1.0, noisy=True, learning_rate=1e-2)
    result = dqn.learn(Task(), 600, eval_env=Task(), eval_interval=600)
    assert result.evaluations == [(600, 10.0)]
    assert np.mean(result.returns) < 7.5  # the exploring one


def test_evaluation_seeds_are_other_than_training_seeds_and_repeat():
    def seeds(seed):
        env, training = Task(), Task()
        dqn_of(seed).learn(training, 200, eval_env=env, eval_interval=100, eval_episodes=4)
        assert training.seeds == [seed] + [None] * 20
        return env.seeds

    first = seeds(1)
    assert len(set(first)) == 8
    assert 1 not in first
    assert seeds(1) == first
    assert not set(seeds(2)) & set(first)


@pytest.mark.parametrize("noisy", [False, True])
def test_evaluation_changes_nothing_in_training(noisy):
    hashes = set()
    for arguments in ({}, {"eval_env": cartpole(), "eval_interval": 37, "eval_episodes": 2}):
        dqn = dqn_of(noisy=noisy, normalize_observations=True, n_step=2, prioritized_replay=True)
        result = dqn.learn(cartpole(), 200, **arguments)
        result.evaluations.clear()
        hashes.add(learning_hash(dqn, result))
    assert len(hashes) == 1


class Looks(gym.Env):
    """Pays what a list says, one after the other."""

    def __init__(self, *pays):
        space = Scripted()
        self.observation_space, self.action_space = space.observation_space, space.action_space
        self.pays = list(pays)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(4, np.float32), {}

    def step(self, action):
        return np.zeros(4, np.float32), self.pays.pop(0), True, False, {}


def test_keep_best_leaves_the_weights_of_the_best_evaluation():
    weights = {}

    def keep(step, row):
        if "evaluation_return" in row:
            weights[step] = dqn.q_network["weights"].flat.copy()

    looks = {"eval_interval": 20, "eval_episodes": 1, "callback": keep}
    dqn = dqn_of()
    result = dqn.learn(Scripted(), 100, eval_env=Looks(1, 2, 5, 5, 3), keep_best=True, **looks)
    assert result.best_step == 60
    assert dqn.q_network["weights"].flat.tolist() == weights[60].tolist()
    assert weights[60].tolist() != weights[80].tolist()
    dqn = dqn_of()
    result = dqn.learn(Scripted(), 100, eval_env=Looks(1, 2, 5, 5, 3), **looks)
    assert result.best_step == 60
    assert dqn.q_network["weights"].flat.tolist() == weights[100].tolist()


def test_a_callback_can_stop_at_an_evaluation():
    result = dqn_of().learn(
        Scripted(),
        100,
        lambda step, row: row.get("evaluation_return") != 2.0,
        eval_env=Looks(1, 2, 5),
        eval_interval=20,
        eval_episodes=1,
    )
    assert result.steps == 40
    assert result.evaluations == [(20, 1.0), (40, 2.0)]


def test_an_evaluation_that_is_not_finite():
    with pytest.raises(NonFiniteError, match="evaluation at step 20: the sum of rewards is nan"):
        dqn_of().learn(Scripted(), 30, eval_env=Looks(math.nan), eval_interval=20, eval_episodes=1)


# -- the end, and interruptions without checkpoints ---------------------------------------------


def test_no_step_at_all():
    result = dqn_of().learn(Scripted(), 0, eval_env=Looks())
    assert (result.returns, result.steps, result.evaluations) == ([], 0, [])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_after_the_step_and_puts_the_handlers_back(signum):
    before = signal.getsignal(signum)
    dqn = dqn_of()

    def interrupt(step, row):
        if row["step"] == 10:
            signal.raise_signal(signum)

    with pytest.raises(KeyboardInterrupt):
        dqn.learn(Scripted(), 10_000, interrupt)
    assert dqn.q_network["optimizer_state"]["t"] == 10
    assert signal.getsignal(signum) is before


def test_ctrl_c_in_an_evaluation_that_would_take_for_ever():
    class Endless(Looks):
        def step(self, action):
            self.made = getattr(self, "made", 0) + 1
            if self.made == 5:
                signal.raise_signal(signal.SIGINT)
            return np.zeros(4, np.float32), 1.0, False, False, {}

    env = Endless()
    with pytest.raises(KeyboardInterrupt):
        dqn_of().learn(Scripted(), 100, eval_env=env, eval_interval=20)
    assert env.made == 5


# -- the progress bar ---------------------------------------------------------------------------


def test_progress_bar_on_standard_error(capfd):
    dqn_of().learn(Scripted(), 100, progress_bar=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100/100" in err
    assert "exploration 0.05" in err


def test_no_progress_bar_unless_asked_for(capfd):
    dqn_of().learn(Scripted(), 100)
    assert capfd.readouterr() == ("", "")


def test_what_the_bar_shows(tmp_path):
    with (tmp_path / "bar.txt").open("w") as file:
        bar = ProgressBar(1000, 200, Console(file=file, width=150))
        with bar:
            bar.update(450, [99.0] * 5 + [2.0] * 19 + [4.0], 0.125)  # too early to be shown
            bar.update(500, [99.0] * 5 + [2.0] * 19 + [4.0], 0.125, at_once=True)
    shown = (tmp_path / "bar.txt").read_text()
    assert re.search(r"500/1000 [\d,]+ steps/s return 2\.1 exploration 0\.12", shown)


# -- refused ------------------------------------------------------------------------------------

ONE = Scripted()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"total_steps": -1}, r"total_steps parameter of DQN.learn must be an integer >= 0"),
        ({"total_steps": 10.0}, r"total_steps parameter of DQN.learn must be an integer >= 0"),
        ({"eval_interval": 0}, r"eval_interval parameter of DQN.learn must be an integer >= 1"),
        ({"eval_episodes": 0}, r"eval_episodes parameter of DQN.learn must be an integer >= 1"),
        ({"checkpoint_interval": 0}, r"checkpoint_interval parameter of DQN.learn must be an int"),
        ({"keep_best": 1}, r"keep_best parameter of DQN.learn must be true or false. Got 1"),
        ({"keep_best": True}, r"eval_env parameter .* must be given with keep_best. Got None"),
        ({"resume": True}, r"checkpoint_folder parameter .* must be given with resume. Got None"),
        ({"callback": 3}, r"callback parameter .* must be a callable or a sequence of callables"),
        ({"callback": [print, 3]}, r"callback parameter .* must be a callable or a sequence"),
        ({"eval_env": ONE}, r"eval_env parameter .* must be a different environment from env"),
        (
            {"eval_env": gym.wrappers.TimeLimit(ONE, 9)},
            r"eval_env parameter .* must be a different environment from env",
        ),
        ({"eval_env": Task()}, r"eval_env parameter .* must have the spaces of env"),
        ({"eval_env": 5}, r"eval_env parameter .* must be a gymnasium.Env"),
        (
            {"eval_env": gym.vector.SyncVectorEnv([Scripted])},
            r"eval_env parameter .* must be a single gymnasium.Env",
        ),
        ({"env": "CartPole-v1"}, r"env parameter .* must be a gymnasium.Env or .* Got str instead"),
        ({"env": gym.make("Pendulum-v1")}, r"env parameter .* must have discrete actions \(gymnas"),
        (
            {"env": gym.make("FrozenLake-v1")},
            r"env parameter .* must have vector observations .*FlattenObservation",
        ),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        dqn_of().learn(**{"env": ONE, "total_steps": 10, **arguments})
    assert "\n" not in str(caught.value)
    assert ONE.seeds == []  # before anything was done


def test_actions_of_a_multi_binary_space_are_refused_though_it_has_an_n():
    env = Scripted()
    env.action_space = gym.spaces.MultiBinary(3)
    with pytest.raises(ConfigError, match="must have discrete actions"):
        dqn_of().learn(env, 10)


@pytest.mark.parametrize(("inputs", "actions"), [(5, 3), (4, 2)])
def test_a_model_that_was_built_for_another_task(inputs, actions):
    dqn = dqn_of()
    dqn.build((inputs,), (actions,))
    with pytest.raises(
        ConfigError, match=f"must be one with {inputs} inputs and {actions} actions"
    ):
        dqn.learn(Scripted(), 10)


def test_an_environment_that_shows_another_shape_than_it_says():
    env = Scripted()
    env.observation_space = gym.spaces.Box(-1, 1, (2, 4))
    env._observe = lambda: np.zeros((4, 2), np.float32)
    with pytest.raises(ConfigError, match=r"observations of shape \(2, 4\).*Got \(4, 2\)"):
        dqn_of().learn(env, 10)
