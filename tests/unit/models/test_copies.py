"""A copy trains on to the same bits and shares nothing; what cannot, says what to do instead."""

import copy
import pickle
import re

import numpy as np
import pytest
from dqn_cases import FixedReplay, filled_dqn, learning_state, make_dqn, push_random, random_batch

from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors

SMALL = {"hidden_layers": [8, 6], "batch_size": 8, "buffer_size": 60, "target_update_interval": 7}
OPTIONS = {
    "plain": {},
    "noisy": {"noisy": True},
    "everything": {
        "noisy": True,
        "dueling": True,
        "layer_norm": True,
        "head": "qr",
        "n_atoms": 5,
        "n_step": 3,
        "prioritized_replay": True,
        "normalize_observations": True,
        "max_grad_norm": 1.0,
    },
    "c51": {"head": "c51", "prioritized_replay": True},
}


def trained(name, seed=3, dtype="float32"):
    dqn = make_dqn(seed=seed, dtype=dtype, **SMALL, **OPTIONS[name])
    push_random(dqn, 70)  # the ring has gone round
    dqn.observe(np.random.default_rng(0).normal(size=(20, 4)))
    for _ in range(12):
        dqn.train_step()
    return dqn


def future(dqn, steps=15):
    """All that follows: losses, actions, and the final state with the replay."""
    rng, said = np.random.default_rng(9), []
    for _ in range(steps):
        s, s_next = rng.normal(size=(2, 4))
        action = int(dqn.select_actions(s[None].astype(dqn.dtype), 0.3)[0])
        dqn.replay_buffer.push(s, action, float(s[0]), s_next, False)
        said.append((action, dqn.train_step()))
    tensors, header = dqn.state()
    replay = dqn.replay_buffer.arrays()
    arrays = {k: v.tobytes() for k, v in sorted({**tensors, **replay}.items())}
    return said, arrays, repr(header), dqn.diagnostics


def gradient_of(dqn):
    batch = random_batch(np.random.default_rng(1), dtype="float32")
    return dqn.compute_gradients(batch, 0.9), dqn.gradients.flat.tobytes()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_deep_copy_goes_on_to_the_same_bits_by_itself(name):
    dqn = trained(name)
    twin = copy.deepcopy(dqn)
    before = learning_state(dqn)
    expected = future(twin)
    assert learning_state(dqn) == before
    assert future(dqn) == expected


def test_a_deep_copy_has_the_noise_of_the_moment():
    dqn = trained("noisy")
    assert gradient_of(copy.deepcopy(dqn)) == gradient_of(dqn)


def test_another_generator_in_the_copy_would_be_seen():
    dqn = trained("plain")
    twin = copy.deepcopy(dqn)
    twin.replay_buffer.rng.random()
    assert future(twin) != future(dqn)


def population(agents=3, **options):
    given = [{"seed": k, "hyperparameters": {**SMALL, **options}} for k in range(agents)]
    found = Population(given)
    found.build((4,), (3,))
    for k, agent in enumerate(found.agents):
        push_random(agent, 50, seed=k)
    return found


@pytest.mark.parametrize("name", OPTIONS)
def test_a_deep_copy_of_a_population_trains_its_own_agents(name):
    ours = population(**OPTIONS[name])
    for _ in range(5):
        ours.train_step()
    twin = copy.deepcopy(ours)
    before = [learning_state(agent) for agent in ours.agents]
    losses = [twin.train_step().tolist() for _ in range(6)]
    assert [learning_state(agent) for agent in ours.agents] == before
    assert [learning_state(agent) for agent in twin.agents] != before
    assert [ours.train_step().tolist() for _ in range(6)] == losses
    for a, b in zip(ours.agents, twin.agents, strict=True):
        assert future(a, 3) == future(b, 3)


def test_a_copied_population_stays_without_its_stopped_agents():
    ours = population()
    ours.agents[1].q_network["weights"]["W0"][0, 0] = np.nan
    ours.train_step()
    twin = copy.deepcopy(ours)
    assert list(twin.stopped) == [1]
    losses = [twin.train_step().tolist() for _ in range(3)]
    np.testing.assert_array_equal([ours.train_step().tolist() for _ in range(3)], losses)
    assert list(copy.deepcopy(Population([{}])).stopped) == []  # before build


def test_an_agent_is_copied_out_of_its_population():
    ours = population()
    twin = copy.deepcopy(ours.agents[1])
    ours.train_step()
    assert learning_state(twin) != learning_state(ours.agents[1])
    twin.train_step()
    assert learning_state(twin) == learning_state(ours.agents[1])


NO_COPY = {
    "DQN, shallow": (lambda dqn, both: copy.copy(dqn), "copy.deepcopy, or save"),
    "DQN, pickled": (lambda dqn, both: pickle.dumps(dqn), "save(path, replay=True) and load(path)"),
    "population, shallow": (lambda dqn, both: copy.copy(both), "copy.deepcopy, or save"),
    "population, pickled": (lambda dqn, both: pickle.dumps(both), "of each of its agents"),
    "learner": (lambda dqn, both: copy.deepcopy(dqn.learner), "copy.deepcopy of the whole DQN"),
    "networks": (lambda dqn, both: copy.copy(dqn.learner.networks), "of the whole DQN"),
    "inside": (lambda dqn, both: pickle.dumps({"a": [dqn]}), "save(path, replay=True)"),
}


@pytest.mark.parametrize("case", NO_COPY)
def test_what_cannot_be_copied_says_so(case):
    attempt, message = NO_COPY[case]
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        attempt(trained("plain"), population())
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be pickled"):
        pickle.dumps(DQN())  # before build, too


def test_the_policy_and_the_replay_can_be_pickled():
    dqn = trained("plain")
    states = np.eye(4, dtype=np.float32)
    policy = pickle.loads(pickle.dumps(dqn.policy_network()))
    assert policy.values(states).tobytes() == dqn.policy_network().values(states).tobytes()
    ring = pickle.loads(pickle.dumps(dqn.replay_buffer))
    assert ring.sample(8).r_t.tobytes() == dqn.replay_buffer.sample(8).r_t.tobytes()


# -- save(replay=True) ----------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dqn_loaded_with_its_replay_goes_on_to_the_same_bits(tmp_path, name, dtype):
    dqn = trained(name, dtype=dtype)
    seal = dqn.save(tmp_path / "dqn", replay=True)
    loaded = DQN.load(tmp_path / "dqn")
    assert loaded.save(tmp_path / "again", replay=True) == seal
    ours, theirs = future(dqn), future(loaded)
    assert ours[:2] == theirs[:2]
    assert ours[3]["step"] == theirs[3]["step"] if ours[3] else True


def test_pending_windows_and_masks_are_saved(tmp_path):
    dqn = make_dqn(n_step=3, **SMALL)
    dqn.replay_buffer.use_masks()
    rng, mask = np.random.default_rng(0), np.array([True, False, True])
    for _ in range(20):
        s, s_next = rng.normal(size=(2, 4))
        dqn.replay_buffer.push(s, 0, 1.0, s_next, False, next_mask=mask)
    dqn.save(tmp_path / "dqn", replay=True)
    loaded = DQN.load(tmp_path / "dqn")
    assert loaded.replay_buffer.masked
    ours, theirs = dqn.replay_buffer.arrays(), loaded.replay_buffer.arrays()
    assert {k: v.tobytes() for k, v in theirs.items()} == {k: v.tobytes() for k, v in ours.items()}
    assert ours["window.pending"].sum() == 2


def test_without_its_replay_it_starts_with_an_empty_one(tmp_path):
    trained("plain").save(tmp_path / "dqn")
    assert len(DQN.load(tmp_path / "dqn").replay_buffer) == 0


def test_a_replay_with_a_generator_of_its_own_keeps_it(tmp_path):
    ring = RingReplay(60, 4, np.random.default_rng(77), np.float32, 3)
    dqn = make_dqn(replay=ring, **SMALL)
    push_random(dqn, 40)
    dqn.train_step()
    dqn.save(tmp_path / "dqn", replay=True)
    loaded = DQN.load(tmp_path / "dqn")
    assert [loaded.train_step() for _ in range(5)] == [dqn.train_step() for _ in range(5)]


def test_a_replay_of_another_form_is_not_saved(tmp_path):
    rng = np.random.default_rng(0)
    other = [
        RingReplay(61, 4, rng, np.float32, 3),
        RingReplay(60, 4, rng, np.float64, 3),
        RingReplay(60, 4, rng, np.float32, None),
        FixedReplay(random_batch(rng)),
    ]
    for replay in other:
        dqn = make_dqn(replay=replay, **SMALL)
        with pytest.raises(ConfigError, match=r"replay parameter of DQN\.save must be false "):
            dqn.save(tmp_path / "dqn", replay=True)
    with pytest.raises(ConfigError, match=r"replay parameter of DQN\.save must be true or false"):
        trained("plain").save(tmp_path / "dqn", replay=1)
    assert not (tmp_path / "dqn").exists()


def test_numbers_that_are_not_finite_are_not_saved(tmp_path):
    dqn = filled_dqn()
    dqn.replay_buffer.columns["s_t"][3] = np.inf
    with pytest.raises(NonFiniteError, match=r"the replay was not saved: .* in replay\.s_t"):
        dqn.save(tmp_path / "dqn", replay=True)
    assert not (tmp_path / "dqn").exists()


def without(tensors, name):
    return {k: v for k, v in tensors.items() if k != name}


DAMAGE = {
    "no rewards": lambda t, h: (without(t, "replay.r_t"), h),
    "another type": lambda t, h: ({**t, "replay.r_t": t["replay.r_t"].astype("f8")}, h),
    "infinite": lambda t, h: ({**t, "replay.r_t": t["replay.r_t"] * np.float32(np.inf)}, h),
    "no such action": lambda t, h: ({**t, "replay.a_tm1": t["replay.a_tm1"] + 9}, h),
    "beyond the ring": lambda t, h: ({**t, "replay.next": np.array([99])}, h),
    "something else": lambda t, h: ({**t, "replay.other": np.zeros(3)}, h),
    "another tensor": lambda t, h: ({**t, "other": np.zeros(3)}, h),
    "no header": lambda t, h: (t, without(h, "replay")),
    "no tensors": lambda t, h: ({k: v for k, v in t.items() if not k.startswith("replay.")}, h),
    "another size": lambda t, h: (t, {**h, "replay": {**h["replay"], "rows": 3}}),
    "no generator": lambda t, h: (t, {**h, "replay": without(h["replay"], "generator")}),
    "no mapping": lambda t, h: (t, {**h, "replay": 3}),
    "priorities": lambda t, h: ({**t, "replay.sampler.priorities": np.ones(60)}, h),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_sealed_file_whose_replay_does_not_fit_is_refused(tmp_path, case):
    path = tmp_path / "dqn"
    trained("plain").save(path, replay=True)
    tensors, header = read_tensors(path)
    write_tensors(path, *DAMAGE[case](tensors, header))
    with pytest.raises(CheckpointError, match=re.escape(str(path))) as caught:
        DQN.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_larger_than_can_be_read_is_not_written(tmp_path, monkeypatch):
    from reinforcestrategycreator_pipeline.storage import tensor_files

    monkeypatch.setattr(tensor_files, "MAX_FILE_BYTES", tensor_files.MAX_HEADER_BYTES + 1000)
    with pytest.raises(CheckpointError, match=r"not written: its tensors take \d+ bytes"):
        trained("plain").save(tmp_path / "dqn", replay=True)
    assert not (tmp_path / "dqn").exists()
