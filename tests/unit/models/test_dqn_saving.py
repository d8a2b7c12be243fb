"""Save and load: the same bytes, the same future, and no damaged file."""

import json
import struct

import numpy as np
import pytest
from dqn_cases import filled_dqn, learning_state, make_dqn, push_random

from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.storage.tensor_files import write_tensors


@pytest.fixture
def saved(tmp_path):
    dqn = filled_dqn(hidden_layers=[3], target_update_interval=7)
    for _ in range(10):
        dqn._train_step(16, 0.9)
    path = tmp_path / "dqn.safetensors"
    return dqn, path, dqn.save(path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bytes_come_back_adam_included(tmp_path, dtype):
    dqn = filled_dqn(dtype=dtype, seed=5, learning_rate=3e-4, target_update_interval=7)
    for _ in range(10):
        dqn._train_step(16, 0.9)
    dqn.beta2, dqn.exploration_rate = 0.99, 0.123
    dqn.save(tmp_path / "dqn")
    loaded = DQN.load(tmp_path / "dqn")
    assert learning_state(loaded) == learning_state(dqn)
    assert loaded.q_network["optimizer_state"]["t"] == 10
    assert loaded.config == dqn.config
    assert loaded.input_shape == dqn.input_shape
    adam = (loaded.learning_rate, loaded.beta1, loaded.beta2, loaded.epsilon)
    assert adam == (3e-4, 0.9, 0.99, 1e-8)
    assert loaded.exploration_rate == 0.123
    states = np.random.default_rng(1).normal(size=(9, 4))
    assert loaded.predict(states).tobytes() == dqn.predict(states).tobytes()


def test_the_file_repeats_and_its_seal_tells_the_content(saved, tmp_path):
    dqn, path, seal = saved
    assert dqn.save(tmp_path / "again") == seal
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert DQN.load(path).save(tmp_path / "twice") == seal
    assert (tmp_path / "twice").read_bytes() == path.read_bytes()
    dqn._train_step(16, 0.9)
    assert dqn.save(tmp_path / "later") != seal


def test_the_header_says_what_it_is(saved):
    _, path, seal = saved
    data = path.read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    envelope = json.loads(json.loads(data[8 : 8 + n])["__metadata__"]["rsc"])
    header = json.loads(envelope["header"])
    assert envelope["sha256"] == seal
    assert header["config"]["hyperparameters"]["hidden_layers"] == [3]
    assert header["input_shape"] == [4]
    assert set(header["versions"]) == {"project", "numpy", "python"}


def test_safetensors_alone_can_read_the_weights(saved):
    from safetensors.numpy import load_file

    dqn, path, _ = saved
    tensors = load_file(path)
    for name, w in dqn.q_network["weights"].items():
        assert tensors[f"q.{name}"].tobytes() == w.tobytes()
    assert set(tensors) == {
        f"{p}.{n}" for p in ("q", "target", "m", "v") for n in dqn.learner.networks.weights
    }


def goes_on(dqn, steps=30):
    """Losses and actions of further training."""
    rng, out = np.random.default_rng(2), []
    for _ in range(steps):
        s = rng.normal(size=4)
        action = dqn.select_action(s, 0.3)
        dqn.replay_buffer.push(s, action, s[action], s[::-1], False)
        out.append((action, dqn._train_step(16, 0.9)))
    return out, learning_state(dqn)


def test_a_loaded_dqn_goes_on_as_if_it_had_never_stopped(tmp_path):
    dqn = filled_dqn(buffer_size=120, target_update_interval=7)
    goes_on(dqn)  # the ring has wrapped
    dqn.save(tmp_path / "dqn")
    arrays = {name: array.copy() for name, array in dqn.replay_buffer.arrays().items()}
    loaded = DQN.load(tmp_path / "dqn")
    loaded.replay_buffer.restore(arrays)
    assert goes_on(loaded) == goes_on(dqn)


@pytest.mark.parametrize("left_out", ["adam", "t", "target", "replay", "replay rng", "exploration"])
def test_leaving_any_part_out_would_be_seen(tmp_path, left_out):
    dqn = filled_dqn(buffer_size=120, target_update_interval=7)
    goes_on(dqn)
    dqn.save(tmp_path / "dqn")
    loaded, fresh = DQN.load(tmp_path / "dqn"), make_dqn(seed=9)
    loaded.replay_buffer.restore({n: a.copy() for n, a in dqn.replay_buffer.arrays().items()})
    if left_out == "adam":
        loaded.q_network["optimizer_state"]["m"] = fresh.q_network["optimizer_state"]["m"]
    elif left_out == "t":
        loaded.q_network["optimizer_state"]["t"] = 0
    elif left_out == "target":
        loaded.update_target_network()
    elif left_out == "replay":
        push_random(loaded, 120)
    elif left_out == "replay rng":
        loaded.replay_buffer.rng = fresh.replay_buffer.rng
    else:
        loaded._generators["exploration"] = fresh._generators["exploration"]
    assert goes_on(loaded) != goes_on(dqn)


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        DQN.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_truncated_and_flipped_files_are_refused(saved):
    _, path, _ = saved
    data = path.read_bytes()
    for length in range(0, len(data), 13):
        path.write_bytes(data[:length])
        refused(path)
    for i in range(0, len(data), 3):  # each byte: tests/unit/nn
        damaged = bytearray(data)
        damaged[i] ^= 1 << (i % 8)
        path.write_bytes(damaged)
        refused(path)


def test_a_missing_file_is_refused(tmp_path):
    assert "No such file" in refused(tmp_path / "nowhere")


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "other"
    write_tensors(path, {"a": np.zeros(3)}, {"format": "something/1"})
    assert "not a saved DQN (format 'something/1')" in refused(path)
    write_tensors(path, {"a": np.zeros(3)}, {})
    assert "not a saved DQN (format None)" in refused(path)
    path.write_bytes(b"\x80\x04]\x94.")  # a pickled list
    refused(path)


@pytest.mark.parametrize(
    "change",
    [
        {"config": None},
        {"config": {"hyperparameters": {"new_option": 1}}},
        {"config": {"hyperparameters": {"hidden_layers": [4]}}},
        {"input_shape": [5]},
        {"input_shape": 4},
        {"n_actions": "3"},
        {"adam": [1, 2]},
        {"generators": {}},
        {"t": None},
    ],
)
def test_a_sealed_header_that_does_not_fit_is_refused(saved, change):
    dqn, path, _ = saved
    tensors, header = dqn.state()
    write_tensors(path, tensors, header)
    DQN.load(path)
    write_tensors(path, tensors, {**header, **change})
    refused(path)
    missing = {k: v for k, v in header.items() if k not in change}
    write_tensors(path, tensors, missing)
    refused(path)


def test_restoring_into_another_network_is_refused_and_names_the_tensor(saved):
    dqn, _, _ = saved
    for settings in ({"hidden_layers": [5]}, {"dtype": "float64", "hidden_layers": [3]}):
        with pytest.raises(CheckpointError, match=r"q\.W0 must be .* Got .* instead"):
            make_dqn(**settings).restore(*dqn.state())
    tensors, header = dqn.state()
    del tensors["v.b1"]
    with pytest.raises(CheckpointError, match=r"v\.b1 must be .* Got nothing instead"):
        make_dqn(hidden_layers=[3]).restore(tensors, header)
