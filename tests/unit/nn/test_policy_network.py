"""The frozen network of a greedy policy."""

import dataclasses
import json
import sys
import types

import numpy as np
import pytest
from policy_family import COMBINATIONS, HEADS, MEMBERS, random_dqn, slow_values, states_for

from reinforcestrategycreator_pipeline import loss
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.nn.heads.c51 import C51
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec
from reinforcestrategycreator_pipeline.nn.policy_network import Normalization, PolicyNetwork

HAND = {
    "W0": np.array([[1.0, -1.0], [2.0, 0.0]]),
    "b0": np.array([0.5, 0.0]),
    "W1": np.array([[1.0, 0.0], [-1.0, 2.0]]),
    "b1": np.array([0.0, 0.25]),
}
SPEC = NetworkSpec(2, (2,), 2)


def hand(**changes):
    given = {"spec": SPEC, "weights": HAND, "head": "expected", "head_settings": {}}
    return PolicyNetwork(**{**given, "head_settings": {"huber_delta": 1.0}, **changes})


def round_trip(network):
    header = json.loads(json.dumps(network.to_header(), allow_nan=False))
    return PolicyNetwork.from_parts(network.to_tensors(), header)


def test_values_by_hand():
    # (2, 1): hidden max(2 + 2 + 0.5, 0), max(-2, 0); Q 4.5, 0.25. (-2, 0): max(-1.5, 0), 2.
    assert hand().values([[2.0, 1.0], [-2.0, 0.0]]).tolist() == [[4.5, 0.25], [-2.0, 4.25]]


def test_normalisation_by_hand():
    # (10, 101) -> ((10 - 6) / 2, (101 - 100) / 1) = (2, 1), as above; then 1e9 - 100 is cut to 2.
    n = Normalization(np.array([6.0, 100.0]), np.array([2.0, 1.0]), 2.0)
    network = hand(normalization=n)
    assert network.values([[10.0, 101.0]]).tolist() == [[4.5, 0.25]]
    assert network.values([[10.0, 1e9]]).tolist() == [[6.5, 0.25]]
    assert network.values([[-1e9, 100.0]]).tolist() == [[-2.0, 4.25]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", COMBINATIONS.values(), ids=COMBINATIONS)
def test_agrees_with_the_model_and_with_slow_loops(settings, dtype):
    dqn = random_dqn(settings, dtype=dtype)
    states = states_for(settings, np.random.default_rng(1), 60).astype(dtype)
    network = dqn.policy_network()
    values, predicted = network.values(states), dqn.predict(states)
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    scale = np.abs(values).max()
    assert values.dtype == dtype
    np.testing.assert_allclose(values, predicted, rtol=0, atol=tolerance * scale)
    slow = [slow_values(dqn, state) for state in states]
    np.testing.assert_allclose(values, slow, rtol=0, atol=tolerance * scale)
    assert values.argmax(1).tolist() == predicted.argmax(1).tolist()
    assert len(set(values.argmax(1).tolist())) > 1
    assert not [name for name in network.weights if name.startswith("sigma")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", MEMBERS.values(), ids=MEMBERS)
@pytest.mark.parametrize("hidden", [(64, 64), (128, 33)])
def test_the_bits_of_a_row_do_not_depend_on_the_batch(settings, dtype, hidden):
    dqn = random_dqn(settings, 17, 5, dtype, hidden=hidden)
    network = dqn.policy_network()
    states = states_for(settings, np.random.default_rng(2), 60, 17).astype(dtype)
    values = network.values(states)
    alone = np.concatenate([network.values(state[None]) for state in states])
    assert alone.tobytes() == values.tobytes()
    assert network.values(states[::-1])[::-1].tobytes() == values.tobytes()
    wide = np.repeat(states, 2, axis=1)[:, ::2]
    assert network.values(wide[13:29]).tobytes() == values[13:29].tobytes()
    assert network.values(np.asfortranarray(states)).tobytes() == values.tobytes()
    assert network.values(states[:0]).shape == (0, 5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_plain_network_has_the_bits_of_a_product_of_each_row(dtype):
    dqn = random_dqn({}, 20, 3, dtype, hidden=(64, 48))
    states = np.random.default_rng(3).normal(size=(30, 20)).astype(dtype)
    expected = []
    for state in states:
        a, w = state[None], dqn.q_network["weights"]
        a = np.maximum(a @ w["W0"] + w["b0"], 0)
        a = np.maximum(a @ w["W1"] + w["b1"], 0)
        expected.append((a @ w["W2"] + w["b2"])[0])
    assert dqn.policy_network().values(states).tobytes() == np.array(expected).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", MEMBERS.values(), ids=MEMBERS)
def test_survives_its_tensors_and_header(settings, dtype):
    network = random_dqn(settings, dtype=dtype).policy_network()
    read = round_trip(network)
    states = states_for(settings, np.random.default_rng(4), 20)
    assert read.values(states).tobytes() == network.values(states).tobytes()
    assert read.to_header() == network.to_header()
    assert read.spec == network.spec
    found, expected = read.to_tensors(), network.to_tensors()
    assert list(found) == list(expected)
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)
    assert read.describe() == network.describe()


def test_a_network_trained_with_masks_needs_them():
    network = hand(masked=True)
    assert "action_mask" not in hand().to_header()
    for each in (network, round_trip(network)):
        assert each.masked
        assert each.describe().startswith(
            "2 inputs, hidden layers 2, 2 actions; head expected; nee"
        )
        with pytest.raises(
            ConfigError, match=r"mask parameter .* must be given, because this netw"
        ):
            each.values([[2.0, 1.0]])
        with pytest.raises(ConfigError, match=r"must have the shape \(1, 2\)\. Got \(2,\)"):
            each.values([[2.0, 1.0]], [True, True])
        with pytest.raises(ConfigError, match=r"one valid action\. Got none \(row 1\)"):
            each.values([[2.0, 1.0], [-2.0, 0.0]], [[1, 1], [0, 0]])
        found = each.values([[2.0, 1.0], [-2.0, 0.0]], [[1, 1], [1, 0]])
        assert found.tolist() == [[4.5, 0.25], [-2.0, -np.inf]]
    assert hand().values([[2.0, 1.0]], [[0, 1]]).tolist() == [[-np.inf, 0.25]]
    with pytest.raises(ConfigError, match="masked parameter of PolicyNetwork must be"):
        hand(masked=1)


def test_a_header_says_what_the_head_reads_and_no_more():
    for head, names in (
        ("expected", {"huber_delta"}),
        ("c51", {"n_atoms", "v_min", "v_max"}),
        ("qr", {"n_atoms", "huber_delta"}),
    ):
        header = random_dqn(HEADS[head]).policy_network().to_header()
        assert header["head"] == head
        assert set(header["head_settings"]) == names


def test_is_described_in_one_line():
    dqn = random_dqn(MEMBERS["all with c51"])
    assert dqn.policy_network().describe() == (
        "6 inputs, hidden layers 9, 8 (dueling, layer normalization), 3 actions; head c51 "
        "(n_atoms 11, v_max 5, v_min -3); inputs normalized by mean and "
        "deviation in training, clipped at 2.5; 669 weights, float32"
    )
    assert hand().describe() == (
        "2 inputs, hidden layers 2, 2 actions; head expected; 12 weights, float64"
    )


def test_later_training_does_not_reach_into_it():
    dqn = random_dqn(MEMBERS["all with qr"])
    states = states_for(MEMBERS["all with qr"], np.random.default_rng(5), 4)
    network = dqn.policy_network()
    before = network.values(states).tobytes()
    for array in dqn.q_network["weights"].values():
        array[...] = 0.0
    dqn.observe(np.zeros((100, 6)))
    assert network.values(states).tobytes() == before
    for array in network.to_tensors().values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.head = "qr"


@pytest.mark.parametrize("settings", MEMBERS.values(), ids=MEMBERS)
@pytest.mark.parametrize("column", [0, 5])
def test_nan_in_nan_out(settings, column):
    states = states_for(settings, np.random.default_rng(6), 5).astype(np.float32)
    network = random_dqn(settings).policy_network()
    clean = network.values(states)
    states[2, column] = np.nan
    values = network.values(states)
    assert np.isnan(values[2]).all()
    rest = [0, 1, 3, 4]
    assert values[rest].tobytes() == clean[rest].tobytes()


@pytest.mark.parametrize("shape", [(), (6,), (2, 5), (1, 2, 6)])
def test_states_of_another_shape_are_refused(shape):
    with pytest.raises(ConfigError, match=r"must be of shape \(N, 6\)\. Got "):
        random_dqn({}).policy_network().values(np.zeros(shape))


def without(name):
    return {key: array for key, array in HAND.items() if key != name}


GOOD = Normalization(np.zeros(2), np.ones(2), 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": {}}, "lacks the tensor 'W0'"),
        ({"weights": without("b1")}, "lacks the tensor 'b1'"),
        ({"weights": {**HAND, "W2": HAND["W1"]}}, "no tensor 'W2'. Valid names: W0, W1, b0, b1"),
        ({"weights": {**HAND, "sigma_W0": HAND["W0"]}}, "no tensor 'sigma_W0'"),
        ({"weights": {**without("W1"), "W1s": HAND["W1"]}}, "'W1s'. Did you mean 'W1'?"),
        ({"weights": {**HAND, "b1": HAND["b1"].astype("f4")}}, "Got float32, float64"),
        ({"weights": {k: v.astype("f2") for k, v in HAND.items()}}, "Got float16"),
        ({"weights": {k: v.astype(int) for k, v in HAND.items()}}, "Got int64"),
        ({"weights": {**HAND, "W0": HAND["W0"][:1]}}, r"W0 must have the shape \(2, 2\)\. Got \(1"),
        ({"weights": {**HAND, "b0": HAND["b0"][None]}}, r"b0 must have the shape \(2,\)"),
        ({"weights": {**HAND, "b1": HAND["b1"] * np.nan}}, "tensor b1 must be finite"),
        ({"weights": {**HAND, "W1": HAND["W1"] - np.inf}}, "tensor W1 must be finite"),
        ({"spec": NetworkSpec(2, (2,), 2, noisy=True)}, "noisy parameter of PolicyNetwork"),
        ({"spec": NetworkSpec(2, (), 2)}, "hidden_layers parameter .* one or more integers"),
        ({"spec": NetworkSpec(2, (0,), 2)}, "hidden_layers parameter .* one or more integers"),
        ({"spec": NetworkSpec(2.0, (2,), 2)}, "n_inputs parameter .* an integer >= 1"),
        ({"spec": NetworkSpec(2, (2,), 0)}, "n_actions parameter .* an integer >= 1"),
        ({"spec": NetworkSpec(2, (2,), 2, dueling=1)}, "dueling parameter .* true or false"),
        ({"spec": NetworkSpec(2, (2,), 1, 2)}, "reads 1 outputs per action; the network has 2"),
        ({"head": "expcted"}, "Did you mean 'expected'"),
        ({"head": 3}, "head parameter of PolicyNetwork must be a name"),
        ({"head": "c51"}, "a setting of the head 'c51' is missing: .*n_atoms"),
        ({"head": "qr", "head_settings": {"n_atoms": 3, "huber_delta": 1.0}}, "reads 3 outputs"),
        ({"head_settings": {"huber_delta": float("nan")}}, "JSON-serializable and finite"),
        ({"head_settings": {"huber_delta": object()}}, "JSON-serializable and finite"),
        ({"head_settings": {"huber_delta": -1.0}}, "huber_delta parameter of head 'expected'"),
        ({"normalization": dataclasses.replace(GOOD, clip=0.0)}, "clip parameter"),
        ({"normalization": dataclasses.replace(GOOD, clip=np.nan)}, "clip parameter"),
        (
            {"normalization": dataclasses.replace(GOOD, mean=np.zeros(3))},
            r"observation_mean must have the shape \(2,\)",
        ),
        (
            {"normalization": dataclasses.replace(GOOD, mean=np.zeros(2, np.float32))},
            "observation_mean must be float64",
        ),
        (
            {"normalization": dataclasses.replace(GOOD, scale=np.array([1.0, np.inf]))},
            "observation_scale must be finite",
        ),
        (
            {"normalization": dataclasses.replace(GOOD, scale=np.array([1.0, 0.0]))},
            "observation_scale must be > 0",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    hand()
    with pytest.raises(ConfigError, match=message) as caught:
        hand(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, h: h.pop("network"), "lacks 'network'"),
        (lambda t, h: h.pop("observation_clip"), "lacks 'observation_clip'"),
        (lambda t, h: h.update(network=[]), "network must be a mapping"),
        (lambda t, h: h["network"].update(duelling=True), "Did you mean 'dueling'"),
        (lambda t, h: h["network"].update(noisy=True), "no parameter 'noisy'"),
        (lambda t, h: h["network"].pop("n_inputs"), "needs the parameter 'n_inputs'"),
        (lambda t, h: h["network"].update(hidden_layers=9), "hidden_layers parameter"),
        (lambda t, h: h["network"].update(hidden_layers=["9"]), r"hidden_layers\[0\] parameter"),
        (lambda t, h: h["network"].update(hidden_layers=[9, 9]), "must have the shape"),
        (lambda t, h: h.update(head_settings=[]), "head_settings parameter"),
        (lambda t, h: h["head_settings"].update(n_atoms=12), "reads 12 outputs"),
        (lambda t, h: h["head_settings"].pop("v_min"), "is missing: .*v_min"),
        (lambda t, h: h.update(observation_clip="1"), "clip parameter"),
        (lambda t, h: h.update(observation_clip=None), "no tensor 'observation_"),
        (lambda t, h: t.pop("observation_scale"), "lack 'observation_scale'"),
        (lambda t, h: t.pop("gain1"), "lacks the tensor 'gain1'"),
    ],
)
def test_damaged_parts_are_refused(change, message):
    network = random_dqn(MEMBERS["all with c51"]).policy_network()
    tensors, header = network.to_tensors(), json.loads(json.dumps(network.to_header()))
    PolicyNetwork.from_parts(tensors, header)
    change(tensors, header)
    with pytest.raises(ConfigError, match=message):
        PolicyNetwork.from_parts(tensors, header)


# -- user code ---------------------------------------------------------------------------------


class Cautious(C51):
    """A head of a user's: reads one more setting, and that only when it is asked for values."""

    def __init__(self, hyperparameters):
        super().__init__(hyperparameters)
        self.of = hyperparameters

    def values(self, outputs):
        return super().values(outputs) - self.of.huber_delta


@pytest.fixture
def own_module(monkeypatch):
    module = types.ModuleType("own_heads")
    module.Cautious = Cautious
    module.loss = loss(lambda error, delta: (error**2, 2 * error))
    module.function = lambda hyperparameters: Cautious(hyperparameters)
    monkeypatch.setitem(sys.modules, "own_heads", module)


def test_a_head_of_ones_own_is_exported(own_module):
    settings = {**HEADS["c51"], "head": "own_heads:Cautious", "huber_delta": 0.5}
    dqn = random_dqn(settings)
    network = dqn.policy_network()
    assert network.to_header()["head_settings"]["huber_delta"] == 0.5
    states = np.random.default_rng(7).normal(size=(9, 6)).astype(np.float32)
    np.testing.assert_allclose(network.values(states), dqn.predict(states), rtol=1e-4, atol=1e-5)
    assert round_trip(network).values(states).tobytes() == network.values(states).tobytes()


def test_a_loss_of_ones_own_is_not_needed(own_module, monkeypatch):
    network = random_dqn({"loss": "own_heads:loss"}).policy_network()
    monkeypatch.delitem(sys.modules, "own_heads")
    round_trip(network)


@pytest.mark.parametrize("key", ["head", "loss"])
def test_code_is_not_imported_for_a_file(key, tmp_path, monkeypatch):
    (tmp_path / "planted_code.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    header = random_dqn({}).policy_network().to_header()
    (header if key == "head" else header["head_settings"])[key] = "planted_code:Head"
    with pytest.raises(ConfigError, match="import planted_code first, if you trust it"):
        PolicyNetwork.from_parts(random_dqn({}).policy_network().to_tensors(), header)


@pytest.mark.parametrize("name", ["os:abort", "subprocess:Popen", "own_heads:function", ":x", "a:"])
def test_what_is_no_head_is_not_called(name, own_module):
    network = random_dqn({}).policy_network()
    with pytest.raises(ConfigError):
        PolicyNetwork.from_parts(network.to_tensors(), {**network.to_header(), "head": name})


def test_a_presets_network():
    dqn = DQN({"preset": "rainbow", "hyperparameters": {"hidden_layers": [4]}})
    dqn.build((2,), (3,))
    network = round_trip(dqn.policy_network())
    assert (network.spec.dueling, network.head, network.spec.n_outputs) == (True, "c51", 51)
