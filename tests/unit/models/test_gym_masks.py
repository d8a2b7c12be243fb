"""Action masks in the loop: which mask belongs to which state, in every way of resetting."""

import gymnasium as gym
import numpy as np
import pytest
from gym_cases import Scripted, dqn_of, learning_hash
from test_gym_loop_resume import EVERYTHING, Pulled, ctrl_c, plug

from reinforcestrategycreator_pipeline.action_masks import unpacked
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.population import Population

MODES = ("NextStep", "SameStep", "Disabled")
WAYS = [(mode, source) for mode in MODES for source in ("info", "method")]
WAYS.remove(("SameStep", "method"))  # the first state of the next episode hides the final one
TOTAL = 200


def valid(number, episode, t):
    """The valid actions of a state: one or two of three, different from one state to the next."""
    first = (number + 2 * episode + t) % 3
    return [a == first or (a == (first + 1) % 3 and (episode + t) % 2 == 0) for a in range(3)]


class Masked(Scripted):
    """Breaks at an invalid action. Where it is terminated no action is valid, or no mask is there.

    The array of the info is always the same one, and is overwritten after every step.
    """

    def __init__(self, number=0, source="info", everything=False, **arguments):
        super().__init__(number, **arguments)
        self.source, self.everything = source, everything
        self._mask = np.zeros(3, dtype=np.int8)
        self.over = False
        if source == "method":
            self.action_masks = self._valid

    def _valid(self):
        if self.over:
            return [False] * 3
        return [True] * 3 if self.everything else valid(self.number, self.episode, self.t)

    def info(self):
        if self.source != "info" or (self.over and self.episode % 2):
            return {}
        self._mask[...] = self._valid()
        return {"action_mask": self._mask}

    def reset(self, **arguments):
        self.over = False
        observation, _ = super().reset(**arguments)
        return observation, self.info()

    def step(self, action):
        assert self._valid()[int(action - self.action_space.start)], "an invalid action"
        observation, reward, terminated, truncated, _ = super().step(action)
        self.over = terminated
        return observation, reward, terminated, truncated, self.info()


def vector(mode, n=3, kind=Masked, **arguments):
    makers = [lambda e=e: kind(e, **arguments) for e in range(n)]
    return gym.vector.SyncVectorEnv(makers, autoreset_mode=gym.vector.AutoresetMode(mode))


def assert_masks_are_those_of_the_next_states(dqn, at_least=TOTAL // 2):
    assert dqn.masked
    stored = dqn.replay_buffer.arrays()
    over = stored["terminated"]
    masks = unpacked(stored["mask_t"], 3)[~over]
    assert len(masks) > at_least
    states = stored["s_t"][~over].astype(int)
    assert masks.tolist() == [valid(*state[:3]) for state in states.tolist()]


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize(("mode", "source"), WAYS)
def test_vectors(mode, source, n_step):
    dqn = dqn_of(n_step=n_step)
    dqn.learn(vector(mode, source=source), TOTAL)
    assert_masks_are_those_of_the_next_states(dqn)


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("source", ["info", "method"])
@pytest.mark.parametrize("start", [0, 5])
def test_one_environment(source, n_step, start):
    dqn = dqn_of(n_step=n_step)
    dqn.learn(Masked(1, source, start=start), TOTAL)
    assert_masks_are_those_of_the_next_states(dqn)


@pytest.mark.parametrize("source", ["info", "method"])
def test_wrapped_environments(source):
    wrapped = gym.wrappers.TimeLimit(Masked(1, source), 50)
    statistics = gym.wrappers.vector.RecordEpisodeStatistics(vector("NextStep", source=source))
    for env in (wrapped, statistics):
        dqn = dqn_of()
        dqn.learn(env, TOTAL)
        assert_masks_are_those_of_the_next_states(dqn)


@pytest.mark.parametrize(("mode", "source"), [("SameStep", "info"), ("NextStep", "method")])
def test_async_vectors(mode, source):
    env = gym.vector.AsyncVectorEnv(
        [lambda: ObjectMasks(0, source), lambda: ObjectMasks(1, source)],
        autoreset_mode=gym.vector.AutoresetMode(mode),
        context="forkserver",
    )
    dqn = dqn_of()
    try:
        dqn.learn(env, 60)
    finally:
        env.close()
    assert_masks_are_those_of_the_next_states(dqn, 20)


class ObjectMasks(Masked):
    """Gives lists, of which a vector makes an array of objects."""

    def info(self):
        return {k: v.tolist() for k, v in super().info().items()}


@pytest.mark.parametrize("mode", MODES)
def test_lists_as_masks(mode):
    dqn = dqn_of()
    dqn.learn(vector(mode, kind=ObjectMasks), TOTAL)
    assert_masks_are_those_of_the_next_states(dqn)


def test_never_an_invalid_action_in_ten_thousand_steps():
    """`Masked` and its evaluation would break."""
    usual = {"train_frequency": 100, "exploration_final": 0.3, "exploration_fraction": 1.0}
    dqn = dqn_of(**usual, dueling=True, head="c51", n_atoms=5)
    result = dqn.learn(Masked(2), 5_000, eval_env=Masked(1), eval_interval=2_500, eval_episodes=3)
    assert len(result.evaluations) == 2
    dqn = dqn_of(**usual, head="qr", n_atoms=3, prioritized_replay=True, n_step=2)
    dqn.learn(vector("SameStep"), 5_000, eval_env=Masked(1, "method"), eval_interval=5_000)


@pytest.mark.parametrize("kind", ["one", *MODES])
def test_masks_that_forbid_nothing_change_no_bit(kind):
    """Model, generators, episodes and replay, but for the masks that it holds."""
    hashes = []
    for everything in (False, True):
        source = "info" if everything else "none"
        arguments = {"source": source, "everything": True}
        env = Masked(**arguments) if kind == "one" else vector(kind, **arguments)
        dqn = dqn_of(**EVERYTHING)
        result = dqn.learn(env, 150)
        assert dqn.masked == everything
        if everything:
            del dqn.replay_buffer._columns["mask_t"]
        hashes.append(learning_hash(dqn, result))
    assert hashes[0] == hashes[1]


# -- resuming -------------------------------------------------------------------------------


class Own(Masked):
    """Restores itself."""

    def get_state(self):
        names = ("episode", "t", "last", "length", "end", "over")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state):
        vars(self).update(state)


MAKERS = {
    "one": lambda: Own(1),
    "method": lambda: Own(1, "method"),
    **{mode: lambda mode=mode: vector(mode, kind=Own) for mode in MODES},
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_resumed_to_the_same_bits(make, tmp_path):
    def trained(**arguments):
        dqn = dqn_of(**EVERYTHING)
        result = dqn.learn(make(), 120, **arguments)
        assert result.restarts == []
        assert dqn.masked
        return learning_hash(dqn, result)

    whole = trained()
    arguments = {"checkpoint_folder": tmp_path, "checkpoint_interval": 7, "resume": True}
    for at in (10, 31, 60):
        with pytest.raises(Pulled):
            dqn_of(**EVERYTHING).learn(make(), 120, plug(at), **arguments)
    with pytest.raises(KeyboardInterrupt):
        dqn_of(**EVERYTHING).learn(make(), 120, ctrl_c(70), **arguments)
    assert trained(**arguments) == whole


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_continued_to_the_same_bits(make):
    whole = dqn_of(**EVERYTHING)
    expected = learning_hash(whole, whole.learn(make(), 120))
    dqn, env = dqn_of(**EVERYTHING), make()
    dqn.learn(env, 120, lambda _, row: row["step"] != 40)
    assert learning_hash(dqn, dqn.learn(env, 120, continue_training=True)) == expected


def test_continued_from_a_file_on_a_new_environment(tmp_path):
    dqn = dqn_of(**EVERYTHING)
    dqn.learn(Masked(), 60)
    dqn.save(tmp_path / "dqn.safetensors", replay=True)
    loaded = type(dqn).load(tmp_path / "dqn.safetensors")
    loaded.learn(Masked(1), 120, continue_training=True)
    assert_masks_are_those_of_the_next_states(loaded, 20)
    again = type(dqn).load(tmp_path / "dqn.safetensors")
    with pytest.raises(ConfigError, match="because the model was trained with them"):
        again.learn(Scripted(), 120, continue_training=True)


class Forgetful(Own):
    """Restores itself wrongly, so a new episode begins after a resume."""

    def set_state(self, state):
        super().set_state({**state, "last": 2 - state["last"]})


@pytest.mark.parametrize("mode", ["one", "NextStep", "SameStep"])
def test_a_new_episode_after_a_resume_has_its_own_mask(mode, tmp_path):
    def make():
        return Forgetful(1) if mode == "one" else vector(mode, kind=Forgetful)

    with pytest.raises(KeyboardInterrupt):
        dqn_of().learn(make(), 120, ctrl_c(40), checkpoint_folder=tmp_path)
    dqn = dqn_of()
    result = dqn.learn(make(), 120, checkpoint_folder=tmp_path, resume=True)
    assert result.restarts


def test_another_setting_does_not_resume(tmp_path):
    from reinforcestrategycreator_pipeline.errors import CheckpointError

    dqn_of().learn(Own(1), 30, checkpoint_folder=tmp_path)
    with pytest.raises(CheckpointError, match="action_masking was None, not 'off'"):
        dqn_of().learn(Own(1), 30, checkpoint_folder=tmp_path, resume=True, action_masking="off")


# -- populations ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["one", "NextStep"])
def test_a_population_learns_as_each_agent_alone(mode):
    def env(k):
        return Masked(k) if mode == "one" else vector(mode, 2)

    configs = [dqn_of(seed=k).config for k in range(3)]
    population = Population(configs)
    results = population.learn([env(k) for k in range(3)], 120)
    for k, (agent, result) in enumerate(zip(population.agents, results, strict=True)):
        alone = dqn_of(seed=k)
        expected = learning_hash(alone, alone.learn(env(k), 120))
        assert learning_hash(agent, result) == expected


def test_all_environments_of_a_population_give_masks_or_none():
    population = Population([dqn_of(seed=k).config for k in range(2)])
    with pytest.raises(ConfigError, match="Got masks for agent 1 and none for agent 0"):
        population.learn([Scripted(), Masked()], 50)
    population = Population([dqn_of(seed=k).config for k in range(2)])
    population.learn([Scripted(), Masked(source="none", everything=True)], 50, action_masking="off")


# -- what is rejected -----------------------------------------------------------------------


KINDS = "late", "missing"


class Faulty(Masked):
    """Gives a wrong mask, or none, from its fifth step on."""

    def __init__(self, number=0, fault=None, at=5):
        super().__init__(number, everything=True)
        self.late, self.missing = (isinstance(fault, str) and fault == x for x in KINDS)
        self.fault, self.at, self.count = fault, at, 0

    def step(self, action):
        self.count += 1
        return super().step(action)

    def info(self):
        info = super().info()
        if self.count < self.at:
            return {} if self.late else info
        if self.missing:
            return {}
        return info if self.late else {"action_mask": self.fault}


FAULTS = {
    "shape": (np.ones(2, np.int8), r"must have the shape \(3,\)\. Got \(2,\) instead"),
    "type": (np.ones(3), "must consist of booleans, or of the integers 0 and 1. Got float64"),
    "values": (np.array([1, 2, 0]), r"must consist of .* 0 and 1\. Got \[1, 2, 0\] instead"),
    "empty": (np.zeros(3, bool), "must have at least one valid action. Got none instead"),
    "missing": ("missing", "must give an action mask for every state or for none. Got none now"),
    "late": ("late", r"for none \(action_masking \"off\" ignores them\)\. Got the first one now"),
}


@pytest.mark.parametrize(("fault", "rule"), FAULTS.values(), ids=FAULTS)
def test_a_wrong_mask_is_one_line_with_environment_and_step(fault, rule):
    # The fifth step ends no episode: the first takes 3 steps, the second 1, the third 4.
    with pytest.raises(ConfigError, match=rf"^environment step 5: .*<Faulty.*{rule}") as caught:
        dqn_of().learn(Faulty(fault=fault), 50)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["shape", "type", "values", "broadcast"])
def test_a_wrong_mask_of_one_environment_of_a_vector(name):
    """NumPy would broadcast or convert it. One of the nine steps by then was a reset."""
    broadcast = np.ones(1, bool), r"must have the shape \(3,\)\. Got \(1,\)"
    fault, rule = {**FAULTS, "broadcast": broadcast}[name]
    env = gym.vector.SyncVectorEnv([lambda: Masked(0), lambda: Faulty(1, fault, at=5)])
    place = r"^environment step 9: the action mask of environment 1 of SyncVectorEnv\("
    with pytest.raises(ConfigError, match=rf"{place}.*{rule}"):
        dqn_of().learn(env, 50)


@pytest.mark.parametrize("name", ["empty", "missing", "late"])
def test_a_wrong_mask_of_a_vector(name):
    fault, rule = FAULTS[name]
    first = Masked(0, "none" if name == "late" else "info", everything=True)
    second = Faulty(1, fault, at=5)
    env = gym.vector.SyncVectorEnv(
        [lambda: first, lambda: second], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP
    )
    rule = rule.replace("Got none instead", r"Got none \(row 1\) instead")
    with pytest.raises(ConfigError, match=rf"^environment step 10: .*SyncVectorEnv.*{rule}"):
        dqn_of().learn(env, 50)


class NoMethod(Masked):
    """Has an attribute with the name of the method, as a mixin's default."""

    action_masks = None


def test_an_attribute_that_is_no_method_gives_no_mask_in_a_vector():
    second = NoMethod(1, "none", everything=True)
    env = gym.vector.SyncVectorEnv([lambda: NoMethod(0), lambda: second])
    rule = r"environment 1 of SyncVectorEnv.* for every state or for none\. Got none now"
    with pytest.raises(ConfigError, match=rf"^environment step 0: {rule}"):
        dqn_of().learn(env, 50)


def test_masks_may_be_required_or_ignored():
    with pytest.raises(
        ConfigError, match=r"must give action masks, .*, with action_masking \"on\""
    ):
        dqn_of().learn(Scripted(), 30, action_masking="on")
    dqn_of().learn(Masked(), 30, action_masking="on")
    dqn = dqn_of()
    dqn.learn(Masked(everything=True), 30, action_masking="off")
    assert not dqn.masked
    with pytest.raises(
        ConfigError, match=r"action_masking parameter .* one of auto, on, off. Got 1"
    ):
        dqn_of().learn(Scripted(), 30, action_masking=1)


def test_a_model_trained_with_masks_goes_on_with_masks():
    dqn = dqn_of()
    dqn.learn(Masked(), 40)
    dqn.learn(Masked(1), 40)
    rule = "must give action masks, .*, because the model was trained with them"
    for arguments in ({}, {"action_masking": "off"}):
        with pytest.raises(ConfigError, match=rule):
            dqn.learn(Scripted(), 40, **arguments)
    plain = dqn_of()
    plain.learn(Scripted(), 40)
    with pytest.raises(
        ConfigError, match=r"gives action masks .* Got a mask after 3\d transitions"
    ):
        plain.learn(Masked(), 40)


def test_an_evaluation_without_the_masks_of_training():
    arguments = {"eval_interval": 20, "eval_episodes": 1}
    with pytest.raises(ConfigError, match=r"^evaluation at step 20: <Scripted.* Got none now"):
        dqn_of().learn(Masked(), 40, eval_env=Scripted(), **arguments)
    with pytest.raises(
        ConfigError, match=r"^evaluation at step 20: <Masked.* Got the first one now"
    ):
        dqn_of().learn(Scripted(), 40, eval_env=Masked(), **arguments)


def test_a_method_cannot_give_the_mask_of_a_final_observation():
    with pytest.raises(
        ConfigError, match=r"\(SAME_STEP\), and action_masks\(\) gives no mask of a"
    ):
        dqn_of().learn(vector("SameStep", source="method"), 40)


# -- Gymnasium's own ------------------------------------------------------------------------


class Watched(gym.Wrapper):
    """Notes whether each action was valid by the info before it."""

    def reset(self, **arguments):
        observation, info = self.env.reset(**arguments)
        self.mask, self.kept = info["action_mask"].copy(), getattr(self, "kept", [])
        return observation, info

    def step(self, action):
        self.kept.append(bool(self.mask[action]))
        result = self.env.step(action)
        self.mask = result[4]["action_mask"].copy()
        return result


def taxi():
    return gym.wrappers.FlattenObservation(gym.make("Taxi-v4"))


def test_taxi():
    env = Watched(taxi())
    dqn = dqn_of(hidden_layers=[16], n_step=2)
    dqn.learn(env, 600, eval_env=taxi(), eval_interval=600, eval_episodes=1)
    assert dqn.masked
    assert len(env.kept) == 600
    assert all(env.kept)
    masks = unpacked(dqn.replay_buffer.arrays()["mask_t"], 6)
    assert 0.3 < masks.mean() < 0.9
    env = Watched(taxi())
    dqn_of(hidden_layers=[16]).learn(env, 300, action_masking="off")
    assert not all(env.kept)
