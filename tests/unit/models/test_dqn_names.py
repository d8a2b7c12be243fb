"""The names, shapes and attributes that users' code relies on."""

import copy

import numpy as np
import pytest
from dqn_cases import filled_dqn, learning_state, make_dqn, plain_q, plain_weights

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

SHAPES = {
    "W0": (4, 8),
    "b0": (8,),
    "W1": (8, 6),
    "b1": (6,),
    "W2": (6, 3),
    "b2": (3,),
}


def test_it_is_registered():
    assert MODELS.get("dqn") is DQN


def test_networks_have_the_stated_structure():
    dqn = make_dqn()
    assert set(dqn.q_network) == {"weights", "optimizer_state"}
    assert set(dqn.q_network["optimizer_state"]) == {"t", "m", "v"}
    assert "weights" in dqn.target_network
    m, v = (dqn.q_network["optimizer_state"][k] for k in "mv")
    for tensors in (dqn.q_network["weights"], dqn.target_network["weights"], m, v):
        assert {name: w.shape for name, w in tensors.items()} == SHAPES
        assert list(tensors) == list(SHAPES)
        assert all(w.dtype == np.float32 for w in tensors.values())
    assert dqn.q_network["optimizer_state"]["t"] == 0
    assert not any(w.any() for tensors in (m, v) for w in tensors.values())
    for name, w in dqn.q_network["weights"].items():
        assert w.tobytes() == dqn.target_network["weights"][name].tobytes()
        assert w.any() == name.startswith("W")


@pytest.mark.parametrize("hidden", [[5], [5, 4, 3, 2, 6]])
def test_weights_are_numbered_through_to_the_output(hidden):
    weights = make_dqn(7, 2, hidden_layers=hidden).q_network["weights"]
    sizes = [7, *hidden, 2]
    assert len(weights) == 2 * (len(hidden) + 1)
    for i in range(len(hidden) + 1):
        assert weights[f"W{i}"].shape == (sizes[i], sizes[i + 1])
        assert weights[f"b{i}"].shape == (sizes[i + 1],)


def test_optimizer_state_is_kept_across_steps():
    dqn = filled_dqn()
    dqn._train_step(32, 0.99)
    state = dqn.q_network["optimizer_state"]
    m = {name: a.copy() for name, a in state["m"].items()}
    dqn._train_step(32, 0.99)
    assert state is dqn.q_network["optimizer_state"]
    assert state["t"] == 2
    assert any((state["m"][name] != a).any() for name, a in m.items())
    for name, old in m.items():  # m = 0.9 m + 0.1 g: what was there is still in it
        gradient = (state["m"][name].astype(float) - 0.9 * old) / 0.1
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() < 100


def test_adams_attributes_have_the_papers_defaults():
    dqn = DQN({"hyperparameters": {"hidden_layers": [4]}})
    assert (dqn.learning_rate, dqn.beta1, dqn.beta2, dqn.epsilon) == (1e-3, 0.9, 0.999, 1e-8)


def test_adams_attributes_come_from_the_config_and_training_leaves_them():
    settings = {
        "learning_rate": 3e-4,
        "adam_beta1": 0.8,
        "adam_beta2": 0.99,
        "adam_epsilon": 1e-6,
    }
    dqn = filled_dqn(**settings)
    for _ in range(250):
        dqn._train_step(16, 0.9)
    assert (dqn.learning_rate, dqn.beta1, dqn.beta2, dqn.epsilon) == (3e-4, 0.8, 0.99, 1e-6)


@pytest.mark.parametrize("name", ["learning_rate", "beta1", "beta2", "epsilon"])
def test_a_changed_attribute_takes_effect_at_the_next_step(name):
    def after(value):
        dqn = filled_dqn()
        dqn._train_step(16, 0.9)
        if value is not None:
            setattr(dqn, name, value)
        dqn._train_step(16, 0.9)
        return np.concatenate([w.ravel() for w in dqn.q_network["weights"].values()])

    assert (after(None) == after(getattr(filled_dqn(), name))).all()
    assert (after(None) != after(0.5)).any()


def test_a_learning_rate_twice_as_large_moves_the_first_step_twice_as_far():
    def first_move(learning_rate):
        dqn = filled_dqn(dtype="float64")
        dqn.learning_rate = learning_rate
        before = copy.deepcopy(dqn.q_network["weights"])
        dqn._train_step(16, 0.9)
        return np.concatenate(
            [(dqn.q_network["weights"][n] - w).ravel() for n, w in before.items()]
        )

    np.testing.assert_allclose(first_move(2e-3), 2 * first_move(1e-3), rtol=1e-9, atol=1e-16)


BAD = [("learning_rate", float("nan")), ("learning_rate", float("inf")), ("learning_rate", -1.0)]
BAD += [("learning_rate", 1e39), ("epsilon", 0.0), ("epsilon", float("nan")), ("beta2", 1.0)]


@pytest.mark.parametrize(("name", "value"), [*BAD, ("beta1", 1.0), ("beta1", float("nan"))])
def test_an_attribute_that_would_spoil_the_weights_is_refused(name, value):
    dqn = filled_dqn()
    dqn._train_step(16, 0.9)
    setattr(dqn, name, value)
    before = learning_state(dqn)
    with pytest.raises(ConfigError, match=r"Adam needs a learning_rate in \[0, .* Got "):
        dqn._train_step(16, 0.9)
    assert learning_state(dqn) == before


def test_forward_takes_one_state_or_a_batch_and_any_network():
    dqn = make_dqn(dtype="float64")
    states = np.random.default_rng(2).normal(size=(5, 4))
    expected = plain_q(states, plain_weights(dqn.q_network))
    batch = dqn._forward(states, dqn.q_network)
    assert batch.shape == (5, 3)
    np.testing.assert_allclose(batch, expected, rtol=1e-12)
    one = dqn._forward(states[0], dqn.q_network)
    assert one.shape == (3,)
    np.testing.assert_allclose(one, expected[0], rtol=1e-12)
    assert dqn._forward(states[:1], dqn.q_network).shape == (1, 3)
    assert dqn._forward(states[:0], dqn.q_network).shape == (0, 3)
    assert dqn._forward(states.tolist(), dqn.q_network).tolist() == batch.tolist()
    plain = {"weights": plain_weights(dqn.q_network)}
    assert dqn._forward(states, plain).tolist() == batch.tolist()
    dqn.target_network["weights"]["b2"] += 1.5
    target = dqn._forward(states, dqn.target_network)
    np.testing.assert_allclose(target, expected + 1.5, rtol=1e-12)


def test_forward_gives_fresh_arrays():
    dqn = make_dqn()
    first = dqn.predict(np.ones((2, 4)))
    kept = first.copy()
    dqn.predict(np.zeros((2, 4)))
    assert first.tolist() == kept.tolist()


@pytest.mark.parametrize("shape", [(3,), (5,), (2, 3), (4, 1), (2, 2), ()])
def test_states_of_another_shape_are_refused(shape):
    with pytest.raises(ConfigError, match=r"must have the shape \(4,\)\. Got \("):
        make_dqn().predict(np.zeros(shape))


def test_states_with_more_axes_are_flattened():
    dqn = DQN({"hyperparameters": {"hidden_layers": [4]}})
    dqn.build((2, 3), (2,))
    assert dqn.q_network["weights"]["W0"].shape == (6, 4)
    states = np.random.default_rng(3).normal(size=(2, 2, 3))
    assert dqn.predict(states).shape == (2, 2)
    assert dqn.predict(states[1]).shape == (2,)
    np.testing.assert_allclose(dqn.predict(states)[1], dqn.predict(states[1]), rtol=1e-5)
    dqn.replay_buffer.push(states[0], 0, 1.0, states[1], False)
    assert np.isfinite(dqn._train_step(1, 0.9))


@pytest.mark.parametrize("bad", [(), (0,), (-1,), 4, (2.5,), None, "4", (True and 4, 0)])
@pytest.mark.parametrize("which", ["input_shape", "output_shape"])
def test_wrong_shapes_are_refused(bad, which):
    shapes = {"input_shape": (4,), "output_shape": (2,), which: bad}
    with pytest.raises(ConfigError, match=f"The {which} parameter of DQN.build must be a tuple"):
        DQN().build(**shapes)


def test_select_action_is_greedy_by_default():
    dqn = make_dqn()
    states = np.random.default_rng(4).normal(size=(50, 4))
    chosen = [dqn.select_action(s) for s in states]
    assert chosen == dqn.predict(states).argmax(axis=1).tolist()
    assert len(set(chosen)) > 1
    assert all(type(a) is int for a in chosen)


def test_select_action_explores_with_the_given_probability():
    dqn = make_dqn(n_actions=4)
    dqn.q_network["weights"]["b2"] = [0, 0, 0, 100]  # the best action is 3
    counts = np.bincount([dqn.select_action(np.zeros(4), 0.4) for _ in range(5000)], minlength=4)
    # 0.1 for each other action; binomial standard error sqrt(0.09/5000) = 0.0042, four of it.
    assert np.abs(counts[:3] / 5000 - 0.1).max() < 4 * 0.0042
    always = np.bincount([dqn.select_action(np.zeros(4), 1.0) for _ in range(2000)], minlength=4)
    assert np.abs(always / 2000 - 0.25).max() < 4 * 0.0097


def test_train_step_uses_the_hyperparameters():
    a, b = filled_dqn(batch_size=16, gamma=0.7), filled_dqn(batch_size=16, gamma=0.7)
    loss = a.train_step()
    assert loss == b._train_step(16, 0.7)
    assert type(loss) is float
    assert learning_state(a) == learning_state(b)


WRITES = {
    "a tensor": lambda d, w: d.q_network["weights"].__setitem__("W0", w["W0"]),
    "all weights": lambda d, w: d.q_network.__setitem__("weights", w),
    "the network": lambda d, w: setattr(d, "q_network", {"weights": w}),
    "update": lambda d, w: d.q_network.update(weights=w),
    "in place": lambda d, w: d.q_network["weights"]["W0"].__setitem__(slice(None), w["W0"]),
}


@pytest.mark.parametrize("way", WRITES)
def test_what_is_written_by_name_is_what_predicts_and_learns(way):
    dqn, twin = filled_dqn(), filled_dqn()
    w = {name: array.copy() for name, array in dqn.q_network["weights"].items()}
    w["W0"] = np.random.default_rng(5).normal(size=(4, 8)).astype(np.float32)
    before = dqn.predict(np.ones(4))
    WRITES[way](dqn, w)
    np.testing.assert_allclose(
        dqn.predict(np.ones(4)), plain_q(np.ones(4), plain_weights({"weights": w})), rtol=1e-4
    )
    assert (dqn.predict(np.ones(4)) != before).any()
    # And it is what the next step starts from: a network whose buffer was set is its equal.
    twin.learner.networks.weights.flat[:] = np.concatenate([a.ravel() for a in w.values()])
    assert dqn._train_step(16, 0.9) == twin._train_step(16, 0.9)
    assert learning_state(dqn) == learning_state(twin)
    assert (dqn.q_network["weights"]["W0"] != w["W0"]).any()  # the step moved it, w itself not


def test_target_weights_and_moments_can_be_written():
    dqn = filled_dqn()
    zeros = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    dqn.target_network["weights"] = zeros
    assert not dqn._forward(np.ones(4), dqn.target_network).any()
    dqn.target_network = {"weights": dqn.q_network["weights"]}
    assert (dqn._forward(np.ones(4), dqn.target_network) == dqn.predict(np.ones(4))).all()
    dqn.q_network["weights"]["b2"] += 1  # copied, not shared
    assert (dqn._forward(np.ones(4), dqn.target_network) != dqn.predict(np.ones(4))).all()
    m = dqn.q_network["optimizer_state"]["m"]
    m["W0"] = np.full((4, 8), 10.0)
    dqn._train_step(16, 0.9)
    np.testing.assert_allclose(m["W0"], 9.0, atol=1.0)  # 0.9 * 10 + 0.1 g
    dqn.q_network["optimizer_state"] = {"t": 0, "m": zeros, "v": zeros}
    assert dqn.q_network["optimizer_state"]["t"] == 0
    assert not m["W0"].any()


def test_deepcopy_of_a_network_is_a_detached_snapshot():
    dqn = filled_dqn()
    snapshot = copy.deepcopy(dqn.q_network)
    before = learning_state(dqn)
    dqn._train_step(16, 0.9)
    assert learning_state(dqn) != before
    dqn.q_network = snapshot
    assert learning_state(dqn) == before


def test_deepcopy_of_a_dqn_goes_on_by_itself():
    dqn = filled_dqn()
    dqn._train_step(16, 0.9)
    dqn.learning_rate = 0.01
    twin = copy.deepcopy(dqn)
    state = learning_state(dqn)
    losses = [twin._train_step(16, 0.9) for _ in range(5)]
    actions = [twin.select_action(np.ones(4), 0.5) for _ in range(20)]
    twin.replay_buffer.push(np.ones(4), 0, 1.0, np.ones(4), False)
    assert learning_state(dqn) == state  # nothing is shared
    assert len(dqn.replay_buffer) == 100
    assert losses == [dqn._train_step(16, 0.9) for _ in range(5)]
    assert actions == [dqn.select_action(np.ones(4), 0.5) for _ in range(20)]
    assert learning_state(dqn) == learning_state(twin)
    copy.deepcopy(DQN())  # also before build


def test_the_policy_network_is_a_copy_of_the_online_network():
    dqn = filled_dqn()
    dqn._train_step(16, 0.9)
    online = {n: w.tobytes() for n, w in dqn.q_network["weights"].items()}
    network = dqn.policy_network()
    assert {n: w.tobytes() for n, w in network.weights.items()} == online
    dqn._train_step(16, 0.9)
    assert {n: w.tobytes() for n, w in network.weights.items()} == online
    assert {n: w.tobytes() for n, w in dqn.q_network["weights"].items()} != online


@pytest.mark.parametrize("use", [lambda d: d.predict([0.0]), lambda d: d._train_step(1, 0.9)])
def test_before_build_the_error_says_what_to_do(use):
    with pytest.raises(AttributeError, match=r"call build\(input_shape, output_shape\) first"):
        use(DQN())


def test_a_misspelt_attribute_names_the_nearest():
    with pytest.raises(AttributeError, match=r"no attribute 'lern'\. Did you mean 'learn'\?"):
        _ = DQN().lern
    with pytest.raises(AttributeError, match="'learner'; call build"):
        _ = DQN().learner
