"""An agent of a population has the bits that it would have alone."""

import itertools
import logging

import gymnasium
import numpy as np
import pytest
from dqn_cases import FixedReplay, learning_state, push_random, random_batch

from reinforcestrategycreator_pipeline.errors import ConfigError, DivergenceError, NonFiniteError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.learner.learner import TrainingGroup
from reinforcestrategycreator_pipeline.models.population import SAME, SAME_LOOP, Population
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.stacked import StackedRings

SMALL = {"hidden_layers": [6, 5], "batch_size": 8, "buffer_size": 200, "log_interval": 2}


def configs(agents=3, each=lambda k: {}, dtype="float32", **hyperparameters):
    shared = {**SMALL, **hyperparameters}
    return [
        {"seed": k, "dtype": dtype, "hyperparameters": {**shared, **each(k)}} for k in range(agents)
    ]


def filled(agent, k, n=40):
    push_random(agent, n + k, seed=100 + k)
    return agent


def built(given):
    population = Population(given)
    population.build((4,), (3,))
    for k, agent in enumerate(population.agents):
        filled(agent, k)
    return population


def alone(given):
    agents = [DQN(config) for config in given]
    for k, agent in enumerate(agents):
        agent.build((4,), (3,))
        filled(agent, k)
    return agents


def assert_same(together, agents):
    for k, (ours, other) in enumerate(zip(together, agents, strict=True)):
        (tensors, header), (expected, expected_header) = ours.state(), other.state()
        assert header == expected_header, k
        for name, array in expected.items():
            assert tensors[name].tobytes() == array.tobytes(), (k, name)
        assert ours.diagnostics == other.diagnostics, k


def assert_equal_training(given, steps=7):
    population, agents = built(given), alone(given)
    for _ in range(steps):
        losses = population.train_step()
        assert losses.tolist() == [agent.train_step() for agent in agents]
    assert_same(population.agents, agents)
    return population


FAMILY = list(
    itertools.product(
        [False, True], [False, True], [False, True], ["expected", "c51", "qr"], [False, True]
    )
)


@pytest.mark.parametrize(("dueling", "layer_norm", "noisy", "head", "prioritized"), FAMILY)
def test_every_member_of_the_family(dueling, layer_norm, noisy, head, prioritized):
    assert_equal_training(
        configs(
            dueling=dueling,
            layer_norm=layer_norm,
            noisy=noisy,
            head=head,
            n_atoms=7,
            prioritized_replay=prioritized,
            n_step=2 if prioritized else 1,
            double_dqn=not dueling,
            max_grad_norm=0.5 if layer_norm else None,
        )
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden_layers", [[64, 64], [256, 128, 64], [1]])
def test_networks_of_trading_size(hidden_layers, dtype):
    assert_equal_training(configs(5, dtype=dtype, hidden_layers=hidden_layers), 12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_agent_lies_at_an_address_as_it_does_alone(dtype):
    """Some kernels sum a dot product in another order from another address modulo 16."""
    population = built(configs(3, dtype=dtype, hidden_layers=[3]))  # an odd number of parameters
    rows = [agent.gradients.flat for agent in population.agents + alone(configs(1, dtype=dtype))]
    assert {row.ctypes.data % 16 for row in rows} == {0}


def differing(k):
    return {
        "learning_rate": 1e-3 * (k + 1),
        "adam_beta1": 0.9 - 0.3 * k,
        "adam_epsilon": 10.0 ** -(8 - k),
        "weight_decay": 0.01 * k,
        "gamma": 0.9 + 0.02 * k,
        "tau": 1 / (k + 1),
        "target_update_interval": 2 + k,
        "max_grad_norm": None if k == 1 else 0.3,
        "learning_rate_schedule": "linear" if k else "constant",
    }


def test_agents_with_hyperparameters_of_their_own():
    population, agents = built(configs(each=differing)), alone(configs(each=differing))
    for i in range(40):
        population.set_progress(i / 40)
        for agent in agents:
            agent.set_progress(i / 40)
        population.train_step()
        for agent in agents:
            agent.train_step()
    assert_same(population.agents, agents)


def test_moments_are_flushed_as_alone():
    assert_equal_training(configs(each=lambda k: {"adam_beta1": 0.3 * k}), 210)


def test_every_action_of_a_state():
    given = configs()
    batches = [random_batch(np.random.default_rng(k), 8, all_actions=True) for k in range(3)]
    population = Population(given)
    population.build((4,), (3,), [FixedReplay(b) for b in batches])
    agents = [DQN(config) for config in given]
    for agent, batch in zip(agents, batches, strict=True):
        agent.build((4,), (3,), FixedReplay(batch))
    for _ in range(5):
        assert population.train_step().tolist() == [agent.train_step() for agent in agents]
    assert_same(population.agents, agents)


def test_normalisation_is_each_agents_own():
    given = configs(normalize_observations=True)
    population, agents = built(given), alone(given)
    for k in range(3):
        states = np.random.default_rng(k).normal(k, 1 + k, size=(30, 4))
        population.agents[k].observe(states)
        agents[k].observe(states)
    assert population.train_step().tolist() == [agent.train_step() for agent in agents]
    assert_same(population.agents, agents)


def test_an_agent_goes_on_alone_and_comes_back():
    population, agents = built(configs()), alone(configs())
    population.train_step()
    for agent in agents:
        agent.train_step()
    for one in (population.agents[1], agents[1]):  # now one is a step ahead: its t differs
        one.train_step()
    for _ in range(5):
        assert population.train_step().tolist() == [agent.train_step() for agent in agents]
    assert_same(population.agents, agents)


def test_an_agent_saves_and_loads_by_itself(tmp_path):
    population = built(configs())
    for _ in range(4):
        population.train_step()
    population.agents[2].save(tmp_path / "agent.safetensors")
    assert_same([population.agents[2]], [_same_diagnostics(population.agents[2], tmp_path)])


def _same_diagnostics(agent, folder):
    loaded = DQN.load(folder / "agent.safetensors")
    loaded.learner.diagnostics = agent.diagnostics
    return loaded


def test_another_seed_of_one_agent_changes_that_one_alone():
    given = configs()
    first, second = built(given), built([given[0], {**given[1], "seed": 77}, given[2]])
    for population in (first, second):
        for _ in range(5):
            population.train_step()
    pairs = zip(first.agents, second.agents, strict=True)
    changed = [learning_state(a) != learning_state(b) for a, b in pairs]
    assert changed == [False, True, False]


def test_the_comparison_catches_agents_that_share_their_draws(monkeypatch):
    # The planted bug: every agent gets the first one's batch.
    def shared(self, count):
        drawn = original(self, count)
        return np.repeat(drawn[:1], len(drawn), axis=0)

    original = StackedRings._draw
    monkeypatch.setattr(StackedRings, "_draw", shared)
    with pytest.raises(AssertionError):
        assert_equal_training(configs())


TASKS = {
    "plain": {"learning_starts": 40, "train_frequency": 4},
    "everything": {
        "learning_starts": 30,
        "gradient_steps": -1,
        "n_step": 3,
        "prioritized_replay": True,
        "normalize_observations": True,
        "noisy": True,
        "dueling": True,
        "head": "qr",
        "n_atoms": 5,
    },
}


@pytest.mark.parametrize("task", TASKS)
def test_learning_together_is_learning_alone(task):
    given = configs(**TASKS[task])
    population = Population(given)
    results = population.learn([gymnasium.make("CartPole-v1") for _ in given], 150)
    agents = [DQN(config) for config in given]
    expected = [agent.learn(gymnasium.make("CartPole-v1"), 150) for agent in agents]
    assert results == expected
    assert_same(population.agents, agents)
    assert population.agents[0].q_network["optimizer_state"]["t"] > 20


def test_learning_in_vectors_of_environments():
    given = configs(2, learning_starts=20, train_frequency=8, gradient_steps=2)

    def vector():
        return gymnasium.make_vec("CartPole-v1", 4, vectorization_mode="sync")

    population = Population(given)
    results = population.learn([vector(), vector()], 160)
    agents = [DQN(config) for config in given]
    assert results == [agent.learn(vector(), 160) for agent in agents]
    assert_same(population.agents, agents)


OTHER = {
    "hidden_layers": [6, 4],
    "batch_size": 9,
    "n_step": 2,
    "head": "qr",
    "n_atoms": 9,
    "v_min": -2.0,
    "v_max": 2.0,
    "loss": "huber",
    "huber_delta": 0.5,
}


@pytest.mark.parametrize("name", SAME)
def test_what_shapes_the_computation_must_agree(name):
    default = getattr(DQN({"hyperparameters": SMALL}).hyperparameters, name)
    other = OTHER.get(name, not default)
    with pytest.raises(ConfigError, match=rf"must have the same {name}\. Got .* in agent 2\."):
        Population(configs(each=lambda k: {name: other} if k == 2 else {}))


@pytest.mark.parametrize("name", SAME_LOOP)
def test_to_learn_together_agents_must_train_at_the_same_time(name):
    population = Population(configs(2, each=lambda k: {name: 5 + k}))
    envs = [gymnasium.make("CartPole-v1") for _ in range(2)]
    with pytest.raises(ConfigError, match=f"must have the same {name}"):
        population.learn(envs, 100)


def test_agents_do_not_share_an_environment():
    one, other = gymnasium.make("CartPole-v1"), gymnasium.make("CartPole-v1")
    with pytest.raises(ConfigError, match=r"Got the same one for agents 0 and 2\."):
        Population(configs()).learn([one, other, one], 100)


def test_what_else_is_refused():
    with pytest.raises(ConfigError, match="at least one config"):
        Population([])
    with pytest.raises(ConfigError, match=r"the same dtype\. Got float32, float64"):
        Population([{"dtype": "float32"}, {"dtype": "float64"}])
    with pytest.raises(ConfigError, match=r"3 agents need 3 replays\. Got 1\."):
        Population(configs()).build((4,), (3,), [FixedReplay(None)])
    with pytest.raises(ConfigError, match=r"3 agents need 3 environments\. Got 0\."):
        Population(configs()).learn([], 100)


def spoil(agent, where):
    if where == "weight":
        agent.q_network["weights"]["W1"][0, 0] = np.nan
    elif where == "state":
        agent.replay_buffer._columns["s_t"][:] = np.inf
    elif where == "hidden bias":
        agent.q_network["weights"]["b0"][0] = -np.inf
    else:
        agent.q_network["weights"]["b2"] += 1e6
        agent.update_target_network()


ALARMS = {
    "weight": NonFiniteError,
    "state": NonFiniteError,
    "hidden bias": NonFiniteError,
    "divergence": DivergenceError,
}


@pytest.mark.parametrize("options", [{}, {"noisy": True, "prioritized_replay": True}])
@pytest.mark.parametrize("where", ALARMS)
def test_an_alarm_stops_the_agent_and_not_the_others(where, options, caplog):
    given = configs(**options)
    population, agents = built(given), alone(given)
    others = [0, 2]
    for _ in range(3):
        population.train_step()
        [agent.train_step() for agent in agents]
    spoil(population.agents[1], where)
    before = population.agents[1].learner.networks.weights.flat.tobytes()
    steps = {"hidden bias": 98, "divergence": 8}.get(where, 1)
    with caplog.at_level(logging.WARNING):
        for step in range(steps + 6):
            losses = population.train_step()
            assert losses[others].tolist() == [agents[k].train_step() for k in others]
            assert np.isnan(losses[1]) == (step >= steps - 1 or where == "weight"), step
    assert list(population.stopped) == [1]
    assert type(population.stopped[1]) is ALARMS[where]
    assert str(population.stopped[1]).startswith("agent 1 of 3: training step ")
    (record,) = caplog.records
    assert record.getMessage().endswith("; it is stopped, and the other agents go on")
    if steps == 1:
        assert population.agents[1].learner.networks.weights.flat.tobytes() == before
    assert_same([population.agents[k] for k in others], [agents[k] for k in others])


def test_the_last_alarm_ends_the_population():
    population = built(configs())
    for k in (2, 0):
        spoil(population.agents[k], "weight")
    assert np.isnan(population.train_step()).tolist() == [True, False, True]
    spoil(population.agents[1], "weight")
    for _ in range(2):
        with pytest.raises(NonFiniteError, match="agent 1 of 3"):
            population.train_step()
    population.build((4,), (3,))
    assert population.stopped == {}


def test_learning_goes_on_without_an_agent_that_diverges():
    given = configs(each=lambda k: {"gamma": 0.5 if k == 1 else 0.99}, **TASKS["plain"])
    population = Population(given)

    def made(k):
        return HugeLater(gymnasium.make("CartPole-v1"), population if k == 1 else None)

    results = population.learn([made(k) for k in range(3)], 200)
    agents = [DQN(config) for config in given]
    for k in (0, 2):
        assert results[k] == agents[k].learn(gymnasium.make("CartPole-v1"), 200)
        assert_same([population.agents[k]], [agents[k]])
    assert results[1].steps < 200
    assert results[1].alarm == str(population.stopped[1])
    assert "learning diverges" in results[1].alarm


class HugeLater(gymnasium.Wrapper):
    """Plants a bias of a million after 100 steps."""

    def __init__(self, env, population):
        super().__init__(env)
        self.population, self.steps = population, 0

    def step(self, action):
        self.steps += 1
        if self.population is not None and self.steps == 100:
            spoil(self.population.agents[1], "divergence")
        return self.env.step(action)


def test_a_population_without_the_check_would_go_on(monkeypatch):
    monkeypatch.setattr(TrainingGroup, "_check", lambda *args: None)
    population = built(configs())
    population.agents[1].q_network["weights"]["W1"][0, 0] = np.nan
    population.train_step()
    assert np.isnan(population.agents[1].learner.networks.weights.flat).any()
    assert np.isfinite(population.agents[0].learner.networks.weights.flat).all()


def test_a_batch_without_following_states_holds_whole_returns():
    """The same bits as with states that follow, all of them terminated."""
    rng = np.random.default_rng(3)
    s_tm1 = rng.normal(size=(3, 8, 4)).astype(np.float32)
    r_t = rng.normal(size=(3, 8, 3)).astype(np.float32)
    s_t = rng.normal(size=(3, 8, 3, 4)).astype(np.float32)
    ended = np.ones((3, 8, 3), bool)
    populations = [built(configs(double_dqn=double)) for double in (False, True, True)]
    for _ in range(4):
        for population, following in zip(populations, (s_t, s_t, None), strict=True):
            population.train_on(Batch(s_tm1, None, r_t, following, ended))
    first, *others = ([agent.state()[0] for agent in p.agents] for p in populations)
    for other in others:
        for a, b in zip(first, other, strict=True):
            for name, array in a.items():
                assert array.tobytes() == b[name].tobytes(), name


def test_given_batches_train_as_those_of_the_replays_do():
    ours, theirs = built(configs()), built(configs())
    for _ in range(5):
        batch = theirs._sample()
        ours._sample()  # draws the same, so that the generators are at the same place
        assert ours.train_on(batch).tolist() == theirs.train_on(batch).tolist()
    assert_same(ours.agents, theirs.agents)
