"""`learn` again: another training, the same one continued, or a finished one extended."""

import copy
import signal

import gymnasium as gym
import numpy as np
import pytest
from gym_cases import Scripted, dqn_of, learning_hash
from test_gym_loop_resume import EVERYTHING, TOTAL, Pulled, cartpole, cartpoles, ctrl_c, plug

from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors

ENVS = {
    "one": cartpole,
    **{mode: lambda mode=mode: cartpoles(mode) for mode in ("NextStep", "SameStep", "Disabled")},
}
# Schedules that do not depend on the number of steps: an extension is then the longer training.
STEADY = {"exploration_schedule": "constant", "exploration_initial": 0.3, "gamma": 0.9}


def at_once(make, total=TOTAL, settings=EVERYTHING, **arguments):
    dqn = dqn_of(**settings)
    return learning_hash(dqn, dqn.learn(make(), total, **arguments))


def stop_at(step):
    return lambda env_step, row: row.get("step") != step


@pytest.mark.parametrize("kind", ENVS)
@pytest.mark.parametrize("how", ["callback", "ctrl-c", "raise"])
def test_a_stopped_training_goes_on_to_the_same_bits(kind, how):
    make = ENVS[kind]
    dqn, env = dqn_of(**EVERYTHING), make()
    if how == "callback":
        assert dqn.learn(env, TOTAL, stop_at(41)).steps < TOTAL
    else:
        call, error = (ctrl_c(41), KeyboardInterrupt) if how == "ctrl-c" else (plug(41), Pulled)
        with pytest.raises(error):
            dqn.learn(env, TOTAL, call)
    first = dqn.learn(env, TOTAL, stop_at(60), continue_training=True)
    before = list(first.returns)
    result = dqn.learn(env, TOTAL, continue_training=True)
    assert learning_hash(dqn, result) == at_once(make)
    assert first.returns == before  # the earlier result is not changed
    # And once more: nothing is left to do.
    assert learning_hash(dqn, dqn.learn(env, TOTAL, continue_training=True)) == at_once(make)


@pytest.mark.parametrize("kind", ENVS)
def test_an_extension_is_the_longer_training_where_schedules_are_constant(kind):
    make = ENVS[kind]
    dqn, env = dqn_of(**STEADY), make()
    dqn.learn(env, 60)
    result = dqn.learn(env, 150, continue_training=True)
    assert learning_hash(dqn, result) == at_once(make, 150, STEADY)


def test_a_finished_training_is_extended_from_its_checkpoints(tmp_path):
    options = {"checkpoint_folder": tmp_path, "resume": True}
    dqn, env = dqn_of(**EVERYTHING), cartpole()
    dqn.learn(env, TOTAL, checkpoint_folder=tmp_path)
    here = dqn.learn(env, 200, continue_training=True)
    other = dqn_of(**EVERYTHING)
    there = other.learn(cartpole(), 200, **options)
    assert there.restarts == []
    assert learning_hash(other, there) == learning_hash(dqn, here)
    with pytest.raises(CheckpointError, match="total_steps was 200, not 199"):
        dqn_of(**EVERYTHING).learn(cartpole(), 199, **options)


def test_schedules_follow_the_fraction_of_the_new_total():
    rates = []
    dqn = dqn_of(exploration_initial=1.0, exploration_final=0.0, exploration_fraction=1.0)

    def note(step, row):
        rates.append((step, round(row["exploration_rate"], 6)))

    env = Scripted()
    dqn.learn(env, 100, note)
    dqn.learn(env, 200, note, continue_training=True)
    for step, rate in rates:
        assert rate == pytest.approx(1 - step / (100 if step <= 100 else 200))
    assert rates[-1][0] > 190


def test_keep_best_goes_on_from_the_last_weights():
    def looks():
        return {"eval_env": cartpole(), "eval_interval": 20, "eval_episodes": 1, "keep_best": True}

    dqn, env = dqn_of(**EVERYTHING), cartpole()
    assert dqn.learn(env, TOTAL, stop_at(41), **looks()).best_step is not None
    result = dqn.learn(env, TOTAL, continue_training=True, **looks())
    whole = dqn_of(**EVERYTHING)
    expected = whole.learn(cartpole(), TOTAL, **looks())
    assert learning_hash(dqn, result) == learning_hash(whole, expected)
    assert result == expected


def test_checkpoints_of_a_continued_training(tmp_path):
    options = {"checkpoint_folder": tmp_path, "checkpoint_interval": 10}
    dqn, env = dqn_of(**EVERYTHING), cartpole()
    dqn.learn(env, TOTAL, stop_at(41), **options)
    with pytest.raises(Pulled):
        dqn.learn(env, TOTAL, plug(60), continue_training=True, **options)
    again = dqn_of(**EVERYTHING)
    result = again.learn(cartpole(), TOTAL, resume=True, **options)
    assert learning_hash(again, result) == at_once(cartpole)


class Seeds(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.firsts = []

    def reset(self, **options):
        observation, info = self.env.reset(**options)
        self.firsts.append(observation.tolist())
        return observation, info


def test_another_training_begins_with_other_episodes_and_schedules_from_0():
    env, rates, starts = Seeds(cartpole()), [], []
    dqn = dqn_of()
    for _ in range(3):
        starts.append(len(env.firsts))
        result = dqn.learn(env, 60, lambda _, row: rates.append(row["exploration_rate"]))
        assert result.steps == 60
        assert all(step <= 60 for step in result.ended_at)
    firsts = [tuple(env.firsts[i]) for i in starts]
    assert len(set(firsts)) == 3
    assert sum(rate > 0.5 for rate in rates) == 2  # none in the first, which fills the replay
    assert len(dqn.replay_buffer) == 180


def test_another_environment_or_an_error_in_a_step_begins_a_new_episode():
    dqn = dqn_of(n_step=3)
    dqn.learn(Scripted(), 50, stop_at(5))
    other = Scripted(1)
    result = dqn.learn(other, 60, continue_training=True)
    assert (result.steps, other.episode >= 1, result.ended_at[-1] <= 60) == (60, True, True)

    class Fails(Scripted):
        made = 0

        def step(self, action):
            self.made += 1
            if self.made == 30:
                raise Pulled
            return super().step(action)

    env, dqn = Fails(), dqn_of()
    with pytest.raises(Pulled):
        dqn.learn(env, 50)
    episode = env.episode
    assert dqn.learn(env, 50, continue_training=True).steps == 50
    assert env.seeds[episode + 1] not in (None, 1)


@pytest.mark.parametrize("copied", [True, False])
def test_a_loaded_or_copied_dqn_goes_on_with_a_new_episode(tmp_path, copied):
    dqn, env = dqn_of(**EVERYTHING), cartpole()
    before = dqn.learn(env, TOTAL, stop_at(41))
    dqn.save(tmp_path / "dqn", replay=True)
    agents = [copy.deepcopy(dqn) if copied else DQN.load(tmp_path / "dqn") for _ in range(2)]
    results = [agent.learn(cartpole(), TOTAL, continue_training=True) for agent in agents]
    assert results[0] == results[1]
    assert results[0].returns[: len(before.returns)] == before.returns
    assert results[0].steps == TOTAL
    assert agents[0].exploration_rate == pytest.approx(0.05)
    assert learning_hash(agents[0], results[0]) == learning_hash(agents[1], results[1])


def test_a_loaded_dqn_begins_another_training_as_the_saved_one_does(tmp_path):
    dqn = dqn_of(**EVERYTHING)
    dqn.learn(cartpole(), 60)
    dqn.save(tmp_path / "dqn", replay=True)
    loaded = DQN.load(tmp_path / "dqn")
    hashes = [learning_hash(each, each.learn(cartpole(), 60)) for each in (dqn, loaded)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    "change",
    [
        {"total_steps": "9"},
        {"total_steps": -1},
        {"progress": {}},
        {"progress": {"stepps": 1}},
        {"progress": {"steps": 1.5}},
        {"progress": 3},
    ],
)
def test_a_sealed_training_that_does_not_fit_is_refused(tmp_path, change):
    dqn = dqn_of()
    dqn.learn(Scripted(), 40)
    dqn.save(tmp_path / "dqn", replay=True)
    tensors, header = read_tensors(tmp_path / "dqn")
    if change == {"progress": {}}:
        del tensors["training.returns"]
    header["training"] = {**header["training"], **change}
    write_tensors(tmp_path / "dqn", tensors, header)
    with pytest.raises(CheckpointError, match="the saved training does not fit"):
        DQN.load(tmp_path / "dqn")


def test_a_population_is_extended_to_the_bits_of_its_agents_alone():
    given = [dqn_of(seed, **STEADY, hidden_layers=[6]).config for seed in range(3)]
    population, envs = Population(given), [cartpole() for _ in given]
    population.learn(envs, 60)
    results = population.learn(envs, 130, continue_training=True)
    for agent, result, config in zip(population.agents, results, given, strict=True):
        alone = DQN(config)
        expected = alone.learn(cartpole(), 130)
        assert learning_hash(agent, result) == learning_hash(alone, expected)


def test_a_population_stopped_by_ctrl_c_goes_on_to_the_same_bits():
    class Presses(gym.Wrapper):
        made = 0

        def step(self, action):
            self.made += 1
            if self.made == 50:
                signal.raise_signal(signal.SIGINT)
            return self.env.step(action)

    settings = {**STEADY, "gradient_steps": 3, "train_frequency": 4, "n_step": 2}
    given = [dqn_of(seed, **settings).config for seed in range(2)]
    population, envs = Population(given), [cartpole(), Presses(cartpole())]
    with pytest.raises(KeyboardInterrupt):
        population.learn(envs, 90)
    results = population.learn(envs, 90, continue_training=True)
    whole = Population(given)
    assert whole.learn([cartpole(), cartpole()], 90) == results
    for a, b in zip(whole.agents, population.agents, strict=True):
        assert np.array_equal(a.predict(np.eye(4)), b.predict(np.eye(4)))


def test_what_cannot_be_continued_is_refused(tmp_path):
    dqn, env = dqn_of(), Scripted()
    with pytest.raises(
        ConfigError, match=r"continue_training parameter .* must be false for a DQN"
    ):
        dqn.learn(env, 30, continue_training=True)
    assert env.seeds == []
    dqn.learn(env, 30)
    for arguments, message in (
        ({"total_steps": 29}, "total_steps parameter .* must be at least 30, as in the training"),
        ({"continue_training": 1}, "continue_training parameter .* must be true or false"),
        ({"checkpoint_folder": tmp_path}, "checkpoint_folder parameter .* must be None: the train"),
        (
            {"checkpoint_folder": tmp_path, "resume": True},
            "continue_training parameter .* must be false with resume",
        ),
        ({"action_masking": "off"}, "action_masking parameter .* must be 'auto', as in the train"),
    ):
        with pytest.raises(ConfigError, match=message):
            dqn.learn(env, **{"total_steps": 40, "continue_training": True, **arguments})
    assert dqn.learn(env, 40, continue_training=True).steps == 40
    dqn.build((4,), (3,))
    with pytest.raises(ConfigError, match="false for a DQN"):
        dqn.learn(env, 50, continue_training=True)
