"""What an environment returns is checked: nothing is broadcast, converted or stored in silence."""

import logging
import math

import gymnasium as gym
import numpy as np
import pytest
from gym_cases import dqn_of

from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.models.population import Population

OBSERVATION = np.zeros(3, np.float32)


class Odd(gym.Env):
    """Returns at one step, or at the first reset, something else than it should."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, at=4, first=(OBSERVATION, {}), raw=None, **parts):
        self.at, self.first, self.raw, self.made = at, first, raw, 0
        usual = {"observation": OBSERVATION, "reward": 1.0, "terminated": False, "truncated": False}
        self.usual, self.odd = {**usual, "info": {}}, parts

    def __str__(self):
        return "<Odd>"

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.first

    def step(self, action):
        self.made += 1
        here = self.made == self.at
        if here and self.raw is not None:
            return self.raw
        return tuple((self.usual | self.odd if here else self.usual).values())


REFUSED = {
    "one number": ({"observation": OBSERVATION[:1]}, r"observations of shape \(3,\).*Got \(1,\)"),
    "a number": ({"observation": 0.7}, r"observations of shape \(3,\).*Got \(\) instead"),
    "a column": ({"observation": OBSERVATION[:, None]}, r"of shape \(3,\).*Got \(3, 1\) instead"),
    "words": ({"observation": np.array(["a"] * 3)}, "observation must be an array of numbers"),
    "no observation": ({"observation": None}, "observation must be an array of numbers. Got None"),
    "ragged": ({"observation": [[1], 2, 3]}, "observation must be an array of numbers"),
    "no reward": ({"reward": None}, "the reward must be one real number .* Got None instead"),
    "a word": ({"reward": "1.0"}, "the reward must be one real number"),
    "a list": ({"reward": [1.0]}, "the reward must be one real number"),
    "two rewards": ({"reward": np.ones(2)}, "the reward must be one real number"),
    "nan": ({"reward": math.nan}, "NaN or infinity in the reward"),
    "inf": ({"reward": np.array([math.inf])}, "NaN or infinity in the reward"),
    "1e39": ({"reward": 1e39}, r"1e\+39 does not fit float32, whose limit is 3\.403e\+38"),
    "huge observation": ({"observation": np.array([0, 1e39, 0])}, r"as float32, .* at \[\[1\]\]"),
    "word for terminated": ({"terminated": "False"}, "terminated must be one bool .* Got 'False'"),
    "no truncated": ({"truncated": None}, "truncated must be one bool .* Got None"),
    "integer": ({"terminated": 1}, "terminated must be one bool .* Got 1"),
    "no info": ({"info": None}, "info must be a dictionary. Got None"),
    "four parts": ({"raw": (OBSERVATION, 1.0, False, {})}, "step must return a tuple .*tuple of 4"),
    "no parts": ({"raw": None, "info": ["a"]}, "info must be a dictionary"),
    "a dict": ({"raw": {"obs": OBSERVATION}}, "step must return a tuple .* Got dict instead"),
}
RESETS = {
    "bare": (OBSERVATION, "reset must return a tuple .observation, info.. Got ndarray instead"),
    "one number": ((OBSERVATION[:1], {}), r"of shape \(3,\).*Got \(1,\)"),
    "no info": ((OBSERVATION, None), "info must be a dictionary"),
    "nan": ((np.array([0, math.nan, 0], np.float32), {}), r"in the observation at \[\[.*1\]\]"),
}
ACCEPTED = {
    "list": {"observation": [0.0, 0.5, 0.0]},
    "float64": {"observation": np.zeros(3)},
    "integers": {"observation": np.zeros(3, int)},
    "row of one": {"reward": np.array([2.0])},
    "no axes": {"reward": np.array(2.0)},
    "float32": {"reward": np.float32(2.0)},
    "integer reward": {"reward": 2},
    "numpy flags": {"terminated": np.False_, "truncated": np.array([False])},
    "3e38": {"reward": 3e38},
}
KINDS = ("one", "recorded", "NextStep", "SameStep", "Disabled", "recorded vector", "population")


def learn(kind, make, tmp_path, total=12):
    settings = {"hidden_layers": [4], "learning_starts": 1000}
    if kind == "population":
        population = Population([dqn_of(**settings).config, dqn_of(**settings).config])
        population.learn([Odd(), make()], total)
        return population.agents[1]
    dqn = dqn_of(**settings)
    folder = {"checkpoint_folder": tmp_path / "points"} if "recorded" in kind else {}
    if kind in ("one", "recorded"):
        dqn.learn(make(), total, **folder)
        return dqn
    mode = gym.vector.AutoresetMode("NextStep" if "recorded" in kind else kind)
    env = gym.vector.SyncVectorEnv([Odd, make], autoreset_mode=mode)
    own = env.envs[1]
    try:
        dqn.learn(env, total, **folder)
    finally:
        assert env.envs[1] is own
    return dqn


@pytest.mark.parametrize("kind", ["one", "recorded", "NextStep", "recorded vector", "population"])
@pytest.mark.parametrize("fault", REFUSED)
def test_an_odd_step_is_refused_with_step_and_environment(fault, kind, tmp_path):
    parts, message = REFUSED[fault]
    step = 8 if kind in ("NextStep", "recorded vector") else 4
    with pytest.raises((ConfigError, NonFiniteError), match=message) as caught:
        learn(kind, lambda: Odd(**parts), tmp_path)
    text = str(caught.value)
    assert "\n" not in text
    assert f"environment step {step}: " in text
    if step == 4:
        assert "<Odd>" in text
    else:
        assert "environment 1 of SyncVectorEnv(" in text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", RESETS)
def test_an_odd_reset_is_refused(fault, kind, tmp_path):
    first, message = RESETS[fault]
    with pytest.raises((ConfigError, NonFiniteError), match=rf"reset: .*{message}"):
        learn(kind, lambda: Odd(first=first), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ACCEPTED)
def test_what_means_the_same_is_accepted(form, kind, tmp_path):
    parts = ACCEPTED[form]
    agent = learn(kind, lambda: Odd(**parts), tmp_path)
    stored = agent.replay_buffer.arrays()["r_t"]
    expected = np.float32(np.ravel(parts.get("reward", 1.0))[0])
    assert sorted({1.0, float(expected)}) == sorted(set(stored.tolist()))


class OddVector(gym.vector.VectorEnv):
    """A vector of its own, of which one part is odd."""

    metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}  # noqa: RUF012
    single_observation_space = Odd.observation_space
    single_action_space = Odd.action_space
    num_envs = 2

    def __init__(self, **odd):
        self.odd = odd

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 3), np.float32), {}

    def step(self, actions):
        no = np.zeros(2, bool)
        usual = {
            "observation": np.zeros((2, 3), np.float32),
            "reward": np.ones(2),
            "terminated": no,
        }
        return tuple((usual | {"truncated": no, "info": {}} | self.odd).values())


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"observation": np.zeros((1, 3))}, r"observations of shape \(2, 3\).*Got \(1, 3\)"),
        ({"observation": np.zeros(3)}, r"observations of shape \(2, 3\).*Got \(3,\)"),
        (
            {"reward": 1.0},
            r"rewards must be real numbers of shape \(2,\), .* Got float64 of shape \(\)",
        ),
        ({"reward": np.ones((2, 1))}, r"the rewards must be .* Got float64 of shape \(2, 1\)"),
        (
            {"reward": np.array([1.0, None])},
            "rewards must be real numbers .* Got object",
        ),
        ({"reward": np.array([1.0, 1e39])}, r"1e\+39 does not fit float32"),
        ({"reward": np.array([1.0, math.nan])}, "NaN or infinity in the reward"),
        (
            {"terminated": np.zeros(2, int)},
            "terminated must be bools of shape .* Got int64",
        ),
        ({"truncated": False}, r"truncated must be bools of .* Got bool of shape \(\)"),
        ({"info": None}, "info must be a dictionary"),
    ],
)
def test_an_odd_vector(odd, message):
    with pytest.raises((ConfigError, NonFiniteError), match=rf"environment step 2: .*{message}"):
        dqn_of().learn(OddVector(**odd), 10)


# -- the callback ---------------------------------------------------------------------------


@pytest.mark.parametrize("no", [False, np.False_])
def test_no_ends_training_whosever_it_is(no):
    assert dqn_of().learn(Odd(), 100, lambda step, row: no).steps < 40


@pytest.mark.parametrize("yes", [None, True, np.True_, 0, "", []])
def test_what_is_not_false_does_not(yes):
    assert dqn_of().learn(Odd(), 100, lambda step, row: yes).steps == 100


# -- evaluation -----------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 7, np.int64(7)])
def test_an_evaluation_that_never_ends_is_cut_off_and_says_so(limit, caplog, monkeypatch):
    if limit is None:
        from reinforcestrategycreator_pipeline.models.gym import rounds

        monkeypatch.setattr(rounds, "LONGEST_EPISODE", 9)
    looks = {"eval_env": Odd(at=0), "eval_interval": 20, "eval_episodes": 2}
    with caplog.at_level(logging.WARNING):
        result = dqn_of().learn(Odd(at=0), 60, eval_max_steps=limit, **looks)
    steps = limit or 9
    assert result.evaluations == [(20, steps), (40, steps), (60, steps)]  # a reward of 1 each
    (record,) = caplog.records
    assert f"evaluation at step 20: an episode was cut off after {steps} steps" in record.message


def test_the_environments_own_limit_is_not_cut_short(caplog, monkeypatch):
    from reinforcestrategycreator_pipeline.models.gym import rounds

    monkeypatch.setattr(rounds, "LONGEST_EPISODE", 3)
    env = gym.wrappers.TimeLimit(Odd(at=0), 30)
    result = dqn_of().learn(Odd(at=0), 20, eval_env=env, eval_interval=20, eval_episodes=1)
    assert result.evaluations == [(20, 30.0)]
    assert caplog.records == []


def test_a_limit_of_no_steps_is_refused():
    with pytest.raises(ConfigError, match="eval_max_steps parameter of DQN"):
        dqn_of().learn(Odd(), 20, eval_env=Odd(), eval_max_steps=0)


@pytest.mark.parametrize("fault", [f for f in REFUSED if f not in ("nan", "inf", "1e39")])
def test_an_odd_step_of_an_evaluation_is_refused(fault):
    parts, message = REFUSED[fault]
    if fault == "huge observation":
        message = "evaluation at step 20: Q-values"
    with pytest.raises((ConfigError, NonFiniteError), match=message):
        dqn_of().learn(
            Odd(at=0),
            20,
            eval_env=Odd(**parts),
            eval_interval=20,
            eval_episodes=1,
            eval_max_steps=9,
        )


# -- checkpoints ----------------------------------------------------------------------------


def test_a_state_that_cannot_go_on_is_not_written(tmp_path):
    dqn, options = dqn_of(), {"checkpoint_folder": tmp_path, "checkpoint_interval": 20}

    def spoil(step, row):
        if step == 34:
            dqn.q_network["weights"]["b0"][0] = -math.inf  # ReLU hides it

    message = r"the checkpoint of step 40 was not written: .* model\.q\.b0"
    with pytest.raises(NonFiniteError, match=message):
        dqn.learn(Odd(), 100, spoil, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000020.safetensors"]
    again = dqn_of()
    assert again.learn(Odd(), 100, resume=True, **options).steps == 100


def test_a_reward_that_float32_cannot_hold_leaves_checkpoints_to_go_on_from(tmp_path):
    options = {"checkpoint_folder": tmp_path, "checkpoint_interval": 20, "resume": True}
    with pytest.raises(NonFiniteError, match=r"environment step 50: .*1e\+39 does not fit float32"):
        dqn_of(learning_starts=70).learn(Odd(50, reward=1e39), 100, **options)
    assert dqn_of(learning_starts=70).learn(Odd(0), 100, **options).steps == 100
