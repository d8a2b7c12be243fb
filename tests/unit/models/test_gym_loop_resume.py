"""Resume goes on to the same bits, and no part of the checkpoint could be left out."""

import logging
import shutil
import signal
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
from gym_cases import Scripted, dqn_of, learning_hash

from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.models.gym.recording import Recorder
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors

# Everything that has a state, together; the ring goes round, and a round is several steps.
EVERYTHING = {
    "prioritized_replay": True,
    "n_step": 3,
    "noisy": True,
    "normalize_observations": True,
    "batch_size": 4,
    "buffer_size": 60,
    "learning_starts": 12,
    "gradient_steps": 3,
    "train_frequency": 4,
    "learning_rate_schedule": "linear",
    "log_interval": 1,
    "gamma": 0.97,
}
TOTAL = 120  # with 84 training steps


def cartpole():
    return gym.make("CartPole-v1")


def cartpoles(mode):
    return gym.make_vec("CartPole-v1", 3, "sync", vector_kwargs={"autoreset_mode": mode})


ENVS = {
    "one": cartpole,
    **{mode: lambda mode=mode: cartpoles(mode) for mode in ("NextStep", "SameStep", "Disabled")},
}


class Pulled(Exception):
    """The plug is."""


def plug(at):
    """Return a callback that raises at the training step `at`."""

    def pull(step, row):
        if row.get("step", 0) >= at:
            raise Pulled

    return pull


def ctrl_c(at):
    def press(step, row):
        if row.get("step") == at:
            signal.raise_signal(signal.SIGINT)

    return press


def trained(env, total=TOTAL, settings=EVERYTHING, **arguments):
    dqn = dqn_of(**settings)
    result = dqn.learn(env, total, **arguments)
    assert result.restarts == []
    return learning_hash(dqn, result)


def stopped(env, folder, at, total=TOTAL, settings=EVERYTHING, **arguments):
    """Press Ctrl-C at the training step `at`, and return the environment step of the checkpoint."""
    with pytest.raises(KeyboardInterrupt):
        dqn_of(**settings).learn(
            env, total, ctrl_c(at), checkpoint_folder=folder, checkpoint_interval=10**6, **arguments
        )
    (file,) = folder.glob("step-*")
    return int(file.stem.removeprefix("step-"))


@pytest.fixture(scope="module", params=ENVS)
def whole(request):
    """A maker of environments, and the hash of a training that nothing stopped."""
    return ENVS[request.param], trained(ENVS[request.param]())


@pytest.mark.parametrize("at", [1, 40, 41, 42, 75])
def test_after_ctrl_c_the_same_bits(tmp_path, whole, at):
    make, expected = whole
    stopped(make(), tmp_path, at)
    resumed = trained(make(), checkpoint_folder=tmp_path, resume=True)
    assert resumed == expected


def test_after_plugs_pulled_again_and_again_the_same_bits(tmp_path, whole):
    make, expected = whole
    for at in (10, 30, 31, 60, 75):
        with pytest.raises(Pulled):
            dqn_of(**EVERYTHING).learn(
                make(),
                TOTAL,
                plug(at),
                checkpoint_folder=tmp_path,
                checkpoint_interval=7,
                resume=True,
            )
    arguments = {"checkpoint_folder": tmp_path, "checkpoint_interval": 7, "resume": True}
    assert trained(make(), **arguments) == expected
    # And once more, from the checkpoint of the end: nothing is left to do.
    assert trained(make(), **arguments) == expected


def test_checkpoints_change_nothing(tmp_path, whole):
    make, expected = whole
    assert trained(make(), checkpoint_folder=tmp_path, checkpoint_interval=5) == expected


def test_resume_without_a_checkpoint_begins(tmp_path, whole):
    make, expected = whole
    assert trained(make(), checkpoint_folder=tmp_path / "new", resume=True) == expected


def test_the_vector_is_given_back_as_it_was(tmp_path):
    env = cartpoles("NextStep")
    before = list(env.envs)
    trained(env, 60, checkpoint_folder=tmp_path)
    assert [a is b for a, b in zip(before, env.envs, strict=True)] == [True] * 3


@pytest.mark.parametrize("at", [40, 45])
def test_evaluations_and_the_best_weights_are_resumed(tmp_path, at):
    def arguments():
        return {"eval_env": cartpole(), "eval_interval": 30, "eval_episodes": 2, "keep_best": True}

    expected = trained(cartpole(), **arguments())
    stopped(cartpole(), tmp_path, at, **arguments())
    assert trained(cartpole(), checkpoint_folder=tmp_path, resume=True, **arguments()) == expected


def test_interrupted_in_an_evaluation_it_is_done_anew(tmp_path):
    class Pressing(gym.Wrapper):
        def step(self, action):
            self.made = getattr(self, "made", 0) + 1
            if self.made == 3:
                signal.raise_signal(signal.SIGINT)
            return super().step(action)

    arguments = {"eval_interval": 50, "eval_episodes": 1}
    expected = trained(cartpole(), eval_env=cartpole(), **arguments)
    arguments["checkpoint_folder"] = tmp_path
    with pytest.raises(KeyboardInterrupt):
        dqn_of(**EVERYTHING).learn(cartpole(), TOTAL, eval_env=Pressing(cartpole()), **arguments)
    assert trained(cartpole(), eval_env=cartpole(), resume=True, **arguments) == expected


# -- what a checkpoint holds ----------------------------------------------------------------------


def roll(name):
    def change(tensors, header):
        tensors[name] = np.roll(tensors[name], 1, axis=0).copy()

    return change


def fill(name, value):
    def change(tensors, header):
        tensors[name] = np.full_like(tensors[name], value)

    return change


def fresh_generator(name):
    def change(tensors, header):
        assert name in header["model"]["generators"]
        fresh = generator(1, f"dqn/{name}").bit_generator.state
        assert header["model"]["generators"][name] != fresh
        header["model"]["generators"][name] = fresh

    return change


def put(name, value):
    def change(tensors, header):
        assert header["progress"][name] != value
        header["progress"][name] = value

    return change


def model_header(name, value):
    def change(tensors, header):
        assert header["model"][name] != value
        header["model"][name] = value

    return change


def fresh_normalizer(tensors, header):
    names = [n for n in tensors if n.startswith("model.normalizer.")]
    assert len(names) >= 3
    for name in names:
        tensors[name] = np.zeros_like(tensors[name])


def no_episode(tensors, header):
    for name in ("returns", "lengths", "ended_at"):
        tensors[f"episodes.{name}"] = tensors[f"episodes.{name}"][:0].copy()


def no_evaluation(tensors, header):
    assert len(header["progress"]["evaluations"]) == 1
    header["progress"]["evaluations"], header["best"] = [], None


def fewer_actions(tensors, header):
    tensors["env.0.actions"] = tensors["env.0.actions"][:-1].copy()


def other_random(tensors, header):
    state = header["progress"]["environments"][0]["start"]["random"]
    header["progress"]["environments"][0]["start"]["random"] = {
        **state,
        "state": {"state": 1, "inc": 1},
    }


PARTS = {
    "online weights": roll("model.q.W0"),
    "noise's scale": roll("model.q.sigma_W0"),
    "target weights": roll("model.target.W0"),
    "first moments": fill("model.m.W0", 0),
    "second moments": fill("model.v.W0", 0),
    "Adam's t": model_header("t", 1),
    "exploration generator": fresh_generator("exploration"),
    "replay generator": fresh_generator("replay"),
    "noise generator": fresh_generator("noise"),
    "target noise generator": fresh_generator("target-noise"),
    "normalizer": fresh_normalizer,
    "replay states": roll("replay.s_tm1"),
    "replay actions": roll("replay.a_tm1"),
    "replay rewards": roll("replay.r_t"),
    "replay next states": roll("replay.s_t"),
    "replay ends": roll("replay.terminated"),
    "replay steps": roll("replay.steps"),
    "replay place": fill("replay.next", 5),
    "priorities": fill("replay.sampler.priorities", 1),
    "largest priority": fill("replay.sampler.max_priority", 1),
    "steps that wait for rewards": fill("replay.window.pending", False),
    "their states": fill("replay.window.states", 0),
    "their returns": fill("replay.window.returns", 0),
    "environment's actions": fewer_actions,
    "environment's generator": other_random,
    "state shown": fill("running.states", 0),
    "running return": fill("running.returns", 0),
    "running length": fill("running.lengths", 0),
    "finished episodes": no_episode,
    "steps": put("steps", 70),
    "last round": put("last_round", 70),
    "training steps owed": put("owed", 0),
    "evaluations": no_evaluation,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint in the middle of a round and of an episode, and the hash of the whole."""
    folder = tmp_path_factory.mktemp("checkpoint")
    arguments = {"eval_interval": 50, "eval_episodes": 1}
    expected = trained(cartpole(), eval_env=cartpole(), **arguments)
    step = stopped(cartpole(), folder, 56, eval_env=cartpole(), **arguments)
    file = folder / f"step-{step:010d}.safetensors"
    tensors, header = read_tensors(file)
    assert header["progress"]["owed"] == 1
    assert len(tensors["env.0.actions"]) > 3
    assert "random" in header["progress"]["environments"][0]["start"]
    assert tensors["replay.window.pending"].sum() == 2
    return file, expected, arguments


def continued(folder, file, change, arguments):
    tensors, header = read_tensors(file)
    change(tensors, header)
    write_tensors(folder / file.name, tensors, header)
    dqn = dqn_of(**EVERYTHING)
    result = dqn.learn(
        cartpole(), TOTAL, eval_env=cartpole(), checkpoint_folder=folder, resume=True, **arguments
    )
    return learning_hash(dqn, result), result


def test_the_checkpoint_as_it_is(tmp_path, checkpoint):
    file, expected, arguments = checkpoint
    found, result = continued(tmp_path, file, lambda tensors, header: None, arguments)
    assert found == expected
    assert result.restarts == []


@pytest.mark.parametrize("part", PARTS)
def test_no_part_could_be_left_out(tmp_path, checkpoint, part):
    file, expected, arguments = checkpoint
    found, _ = continued(tmp_path, file, PARTS[part], arguments)
    assert found != expected


# -- environments -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3"])
@pytest.mark.parametrize("episodes", [0, 3])
def test_replaying_reaches_the_same_bits(name, episodes):
    """In another instance, in the middle of an episode; and it goes on to the same bits."""
    if name == "LunarLander-v3":
        pytest.importorskip("Box2D")
    one, other = Recorder(gym.make(name)), Recorder(gym.make(name))
    rng = np.random.default_rng(3)
    one.reset(seed=11)
    for _ in range(episodes):
        over = False
        while not over:
            *_, terminated, truncated, _ = one.step(int(rng.integers(one.action_space.n)))
            over = terminated or truncated
        one.reset()
    for _ in range(6):
        one.step(int(rng.integers(one.action_space.n)))
    assert other.restore(*one.snapshot())
    for _ in range(300):
        action = int(rng.integers(one.action_space.n))
        a, b = one.step(action), other.step(action)
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1:4] == b[1:4]
        if a[2] or a[3]:
            a, b = one.reset(), other.reset()
            assert a[0].tobytes() == b[0].tobytes()


class Drifting(Scripted):
    """Keeps something from one episode to the next: it cannot be replayed."""

    def __init__(self):
        super().__init__(2)

    def reset(self, *, seed=None, options=None):
        self.drift = getattr(self, "drift", 0.0) + 0.5
        return super().reset(seed=seed)

    def _observe(self):
        return super()._observe() + np.float32([0, 0, 0, self.drift])


def test_an_environment_that_cannot_be_replayed_begins_anew_and_that_is_said(tmp_path, caplog):
    # Episodes of 1, 6 and 1 steps, over and over: environment step 68 is in the middle of one.
    settings = {**EVERYTHING, "gradient_steps": 1, "train_frequency": 1}
    step = stopped(Drifting(), tmp_path, 55, settings=settings)
    assert step == 68
    dqn = dqn_of(**settings)
    with caplog.at_level(logging.WARNING):
        result = dqn.learn(Drifting(), TOTAL, checkpoint_folder=tmp_path, resume=True)
    assert result.restarts == [step]
    (record,) = [r for r in caplog.records if "could not be restored" in r.message]
    assert f"resumed at environment step {step}, but <Drifting instance>" in record.message
    assert "get_state() and set_state(state)" in record.message
    assert result.steps == TOTAL
    # The episode that broke off is in no transition: none spans from an old one to a new one.
    arrays = dqn.replay_buffer.arrays()
    spans = arrays["s_t"][:, 2] - arrays["s_tm1"][:, 2]
    assert spans.tolist() == arrays["steps"].tolist()
    # Nor in the statistics: the whole episodes of before, then those of a new environment.
    assert result.lengths == [1, 6, 1] * 8 + [1, 6, 1] * 6 + [1]


class Kept(Scripted):
    """Has its own state, which tells the number of the episode, too."""

    def get_state(self):
        names = ("episode", "t", "last", "length", "end")
        return {**{name: getattr(self, name) for name in names}, "array": np.arange(3)}

    def set_state(self, state):
        assert state["array"].tolist() == [0, 1, 2]
        for name, value in state.items():
            setattr(self, name, value)


def test_a_generator_that_came_out_elsewhere_is_noticed():
    """What is shown and paid is equal; only the draws to come would be others."""

    class Drawing(Scripted):
        episodes = 0

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.episodes += 1
            self.np_random.random(self.episodes)
            self.episode = 0
            return self._observe(), {}

    one = Recorder(Drawing())
    one.reset(seed=3)
    one.step(0)
    assert Recorder(Drawing()).restore(*one.snapshot())
    one.reset()
    one.step(0)
    assert not Recorder(Drawing()).restore(*one.snapshot())


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_in_a_vector_only_the_one_that_cannot_be_replayed_begins_anew(tmp_path, mode):
    def make():
        mode_of = gym.vector.AutoresetMode(mode)
        fns = [lambda: Kept(0), lambda: Kept(1), Drifting]
        return gym.vector.SyncVectorEnv(fns, autoreset_mode=mode_of)

    settings = {**EVERYTHING, "buffer_size": 500}
    expected = dqn_of(**settings)
    expected.learn(make(), TOTAL)
    step = stopped(make(), tmp_path, 40, settings=settings)
    dqn = dqn_of(**settings)
    result = dqn.learn(make(), TOTAL, checkpoint_folder=tmp_path, resume=True)
    assert result.restarts == [step]

    def transitions(model, number):
        arrays = model.replay_buffer.arrays()
        own = arrays["s_tm1"][:, 0] == number
        return [arrays[name][own][:, 1:3].tolist() for name in ("s_tm1", "s_t")]

    for number in (0, 1):  # the others go through their scripts as if nothing had been
        assert transitions(dqn, number) == transitions(expected, number)
    assert transitions(dqn, 2) != transitions(expected, 2)
    arrays = dqn.replay_buffer.arrays()
    spans = arrays["s_t"][:, 2] - arrays["s_tm1"][:, 2]
    assert spans.tolist() == arrays["steps"].tolist()


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_environments_own_state(tmp_path, wrapped):
    def make():
        env = Kept(2)
        if wrapped:
            env = gym.wrappers.TimeLimit(gym.wrappers.OrderEnforcing(env), 4)
        return env

    expected = trained(make())
    stopped(make(), tmp_path, 41 if wrapped else 35)
    _, header = read_tensors(next(tmp_path.iterdir()))
    assert header["progress"]["environments"][0]["state"]["t"] > 0
    assert trained(make(), checkpoint_folder=tmp_path, resume=True) == expected


def test_an_own_state_that_does_not_come_back_is_noticed(tmp_path, caplog):
    class Lossy(Kept):
        def set_state(self, state):
            super().set_state({**state, "t": 0})

    stopped(Lossy(2), tmp_path, 35)
    result = dqn_of(**EVERYTHING).learn(Lossy(2), TOTAL, checkpoint_folder=tmp_path, resume=True)
    assert len(result.restarts) == 1


@pytest.mark.parametrize("state", [[1, 2], {"x": object()}, {"x": np.array([None])}, {"x": np.nan}])
def test_an_own_state_that_cannot_be_stored(tmp_path, state):
    env = Kept(2)
    env.get_state = lambda: state
    with pytest.raises(ConfigError, match=r"get_state of <Kept instance> must return a mapping"):
        dqn_of().learn(env, 60, checkpoint_folder=tmp_path)


def test_under_a_wrapper_that_may_hold_more_an_own_state_is_not_trusted():
    env = Recorder(gym.wrappers.TransformReward(Kept(), lambda r: r))
    env.reset(seed=1)
    assert "actions" in env.snapshot()[0]


def test_a_vector_in_other_processes_has_no_checkpoints(tmp_path):
    env = gym.make_vec("CartPole-v1", 2, "vector_entry_point")
    with pytest.raises(
        ConfigError, match=r"checkpoint_folder parameter .* must be None for .*Cart"
    ):
        dqn_of().learn(env, 10, checkpoint_folder=tmp_path)


# -- whose checkpoints, and which ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 2}, r"config.seed was 1, not 2"),
        ({"gamma": 0.5}, r"config.hyperparameters.gamma was 0.97, not 0.5"),
        ({"total": 119}, r"total_steps was 120, not 119"),
        ({"env": "Acrobot-v1"}, r"environments was \['<TimeLimit<.*CartPole-v1.*not .*Acrobot-v1"),
        (
            {"env": cartpoles("SameStep")},
            r"environments was .*; autoreset_mode was None, not 'Same",
        ),
    ],
)
def test_checkpoints_of_another_training(tmp_path, checkpoint, change, message):
    shutil.copy(checkpoint[0], tmp_path)
    change = {"env": "CartPole-v1", "total": TOTAL, **change}
    env, total = change.pop("env"), change.pop("total")
    with pytest.raises(CheckpointError, match=f"belong to another training: .*{message}"):
        dqn_of(**{**EVERYTHING, **change}).learn(
            gym.make(env) if isinstance(env, str) else env,
            total,
            checkpoint_folder=tmp_path,
            resume=True,
        )


def test_a_damaged_checkpoint_is_skipped_and_that_is_said(tmp_path, caplog):
    expected = trained(cartpole())
    with pytest.raises(Pulled):
        dqn_of(**EVERYTHING).learn(
            cartpole(), TOTAL, plug(60), checkpoint_folder=tmp_path, checkpoint_interval=10
        )
    newest = max(tmp_path.glob("step-*"))
    newest.write_bytes(newest.read_bytes()[:-9])
    with caplog.at_level(logging.WARNING):
        assert trained(cartpole(), checkpoint_folder=tmp_path, resume=True) == expected
    assert f"skipped a damaged checkpoint: {newest}" in caplog.text


def test_a_number_that_is_not_finite_leaves_the_last_checkpoint(tmp_path):
    class Breaking(gym.Wrapper):
        def step(self, action):
            self.made = getattr(self, "made", 0) + 1
            observation, *rest = super().step(action)
            return (observation * np.nan if self.made == 95 else observation), *rest

    arguments = {"checkpoint_folder": tmp_path, "checkpoint_interval": 10}
    with pytest.raises(NonFiniteError, match="environment step 95"):
        dqn_of(**EVERYTHING).learn(Breaking(cartpole()), TOTAL, **arguments)
    assert max(f.name for f in tmp_path.iterdir()) == "step-0000000090.safetensors"
    tensors, _ = read_tensors(tmp_path / "step-0000000090.safetensors")
    assert all(np.isfinite(t).all() for t in tensors.values() if t.dtype.kind == "f")


# -- rounds that take for ever ------------------------------------------------------------------

FOR_EVER = 10**6


def pressing(env, signum, pressed):
    """Return `env`, and press Ctrl-C a tenth of a second after its fifth step."""

    class Pressing(gym.Wrapper):
        made = 0

        def step(self, action):
            self.made += 1
            if self.made == 5:
                threading.Timer(0.1, self.press).start()
            return super().step(action)

        def press(self):
            pressed.append(time.process_time())
            signal.pthread_kill(threading.main_thread().ident, signum)

    return Pressing(env)


@pytest.mark.parametrize("endless", [{"gradient_steps": FOR_EVER}, {"train_frequency": FOR_EVER}])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_stops_within_a_second_in_a_round_that_would_take_for_ever(tmp_path, endless, signum):
    pressed = []
    settings = {**EVERYTHING, **endless}
    with pytest.raises(KeyboardInterrupt):
        dqn_of(**settings).learn(
            pressing(cartpole(), signum, pressed),
            FOR_EVER,
            checkpoint_folder=tmp_path,
            checkpoint_interval=FOR_EVER,
        )
    assert time.process_time() - pressed[0] < 1.0
    assert len(list(tmp_path.iterdir())) == 1


def test_a_population_stops_within_a_second_in_such_a_round():
    pressed = []
    settings = {**EVERYTHING, "gradient_steps": FOR_EVER}
    population = Population([dqn_of(seed, **settings).config for seed in range(3)])
    envs = [cartpole(), cartpole(), pressing(cartpole(), signal.SIGINT, pressed)]
    with pytest.raises(KeyboardInterrupt):
        population.learn(envs, FOR_EVER)
    assert time.process_time() - pressed[0] < 1.0


def test_checkpoints_come_in_time_within_a_round_and_from_there_the_same_bits(tmp_path):
    """A power failure in a round of 60 training steps costs at most 7 of them."""
    settings = {**EVERYTHING, "gradient_steps": 60, "train_frequency": 40}
    expected = trained(cartpole(), settings=settings)
    for at in (3, 20, 59, 100, 180):
        with pytest.raises(Pulled):
            dqn_of(**settings).learn(
                cartpole(), TOTAL, plug(at), checkpoint_folder=tmp_path, checkpoint_interval=7,
                resume=True,
            )  # fmt: skip
        newest = max(tmp_path.iterdir())
        _, header = read_tensors(newest)
        assert at - 7 <= header["model"]["t"] < at
    arguments = {"checkpoint_folder": tmp_path, "checkpoint_interval": 7, "resume": True}
    assert trained(cartpole(), settings=settings, **arguments) == expected
