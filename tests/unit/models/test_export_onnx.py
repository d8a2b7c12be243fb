"""The ONNX export, on two evaluators that are not ours."""

import builtins
import dataclasses
import hashlib
import json
import os

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from policy_family import COMBINATIONS, HEADS, MEMBERS, price_like, random_dqn, states_for

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.models import export
from reinforcestrategycreator_pipeline.models.export import export_onnx
from reinforcestrategycreator_pipeline.nn.heads.c51 import C51

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before it is loaded

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
STANDARD = {
    "Add",
    "ArgMax",
    "Cast",
    "Clip",
    "Div",
    "Gemm",
    "Mul",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Softmax",
    "Sqrt",
    "Sub",
}


def reference(path):
    evaluator = ReferenceEvaluator(onnx.load(path))
    return lambda states: evaluator.run(["q_values", "actions"], {"states": states})


def runtime(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda states: session.run(["q_values", "actions"], {"states": states})


def metadata(path):
    return {p.key: p.value for p in onnx.load(path).metadata_props}


@pytest.fixture(params=[reference, runtime])
def evaluator(request):
    return request.param


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", COMBINATIONS.values(), ids=COMBINATIONS)
def test_equals_the_numpy_forward(settings, dtype, evaluator, tmp_path):
    dqn = random_dqn(settings, dtype=dtype)
    dqn.export_onnx(tmp_path / "policy.onnx")
    run = evaluator(tmp_path / "policy.onnx")
    states = states_for(settings, np.random.default_rng(1), 60).astype(dtype)
    expected = dqn.policy_network().values(states)
    scale = np.abs(expected).max()
    q, actions = run(states)
    assert (q.dtype, actions.dtype) == (dtype, np.int64)
    np.testing.assert_allclose(q, expected, rtol=0, atol=TOLERANCE[dtype] * scale)
    assert actions.tolist() == q.argmax(axis=1).tolist()
    gap = np.diff(np.sort(expected, axis=1)[:, -2:], axis=1)[:, 0]
    clear = gap > 2 * TOLERANCE[dtype] * scale
    assert clear.mean() > 0.9
    assert (actions == expected.argmax(axis=1))[clear].all()
    assert len(set(actions.tolist())) > 1
    for rows in (1, 7):  # any number of rows
        some, chosen = run(states[:rows])
        np.testing.assert_allclose(some, expected[:rows], rtol=0, atol=TOLERANCE[dtype] * scale)
        assert chosen.shape == (rows,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("settings", MEMBERS.values(), ids=MEMBERS)
def test_nan_is_not_hidden(settings, bad, dtype, evaluator, tmp_path):
    dqn = random_dqn(settings, dtype=dtype)
    # All hidden units are dead, and would stay so in a runtime whose Relu makes 0 of a NaN.
    dqn.q_network["weights"]["b0"][...] = -1e6
    dqn.export_onnx(tmp_path / "policy.onnx")
    states = states_for(settings, np.random.default_rng(2), 4).astype(dtype)
    states[2, 1] = bad
    with np.errstate(all="ignore"):
        q, _ = evaluator(tmp_path / "policy.onnx")(states)
    assert np.isnan(q[2]).all()
    assert np.isfinite(q[[0, 1, 3]]).all()


def test_nan_is_not_hidden_by_a_runtime_that_drops_it(tmp_path):
    class Relu(OpRun):
        def _run(self, x):
            return (np.where(x > 0, x, 0).astype(x.dtype),)

    settings = MEMBERS["all with qr"]
    dqn = random_dqn(settings)
    dqn.export_onnx(tmp_path / "policy.onnx")
    careless = ReferenceEvaluator(onnx.load(tmp_path / "policy.onnx"), new_ops=[Relu])
    states = states_for(settings, np.random.default_rng(2), 4).astype(np.float32)
    before = careless.run(None, {"states": states})[0]
    np.testing.assert_allclose(before, dqn.predict(states), rtol=1e-4, atol=1e-4)
    states[1, 3] = np.nan
    after = careless.run(None, {"states": states})[0]
    assert np.isnan(after[1]).all()
    assert after[[0, 2, 3]].tobytes() == before[[0, 2, 3]].tobytes()


def test_a_price_level_of_60000_loses_nothing(evaluator, tmp_path):
    # Columns that move by 1 around 60,000: float32 keeps 1/256 of that, and so must the graph.
    dqn = random_dqn(MEMBERS["normalize_observations"])
    mean, scale = dqn.normalizer.fold()
    states = price_like(np.random.default_rng(3), 30, 6).astype(np.float32)
    dqn.export_onnx(tmp_path / "policy.onnx")
    q, _ = evaluator(tmp_path / "policy.onnx")(states)
    exact = np.clip((states.astype(np.float64) - mean) / scale, -2.5, 2.5)
    w = {name: array.astype(np.float64) for name, array in dqn.q_network["weights"].items()}
    a = np.maximum(exact @ w["W0"] + w["b0"], 0)
    a = np.maximum(a @ w["W1"] + w["b1"], 0)
    expected = a @ w["W2"] + w["b2"]
    np.testing.assert_allclose(q, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    # The same in float32 would be off by a hundred times that.
    coarse = np.clip((states - mean.astype(np.float32)) / scale.astype(np.float32), -2.5, 2.5)
    assert np.abs(coarse - exact).max() > 2e-4


def masked_run(path, runtime_of, states, masks):
    if runtime_of is reference:
        evaluator = ReferenceEvaluator(onnx.load(path))
        return evaluator.run(None, {"states": states, "action_mask": masks})
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["q_values", "actions"], {"states": states, "action_mask": masks})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", MEMBERS.values(), ids=MEMBERS)
def test_a_network_trained_with_masks_takes_them(settings, dtype, evaluator, tmp_path):
    dqn = random_dqn(settings, dtype=dtype)
    rng = np.random.default_rng(5)
    states = states_for(settings, rng, 40).astype(dtype)
    plain = dqn.policy_network().values(states)
    dqn.replay_buffer.use_masks()
    network = dqn.policy_network()
    assert network.masked
    dqn.export_onnx(tmp_path / "policy.onnx")
    model = onnx.load(tmp_path / "policy.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["states", "action_mask"]
    assert {n.op_type for n in model.graph.node} <= STANDARD | {"Where", "ReduceMax"}
    assert metadata(tmp_path / "policy.onnx")["action_mask"] == "true"
    masks = rng.random(plain.shape) < 0.4
    masks[np.arange(40), rng.integers(plain.shape[1], size=40)] = True
    q, actions = masked_run(tmp_path / "policy.onnx", evaluator, states, masks)
    tolerance = TOLERANCE[dtype] * np.abs(plain).max()
    np.testing.assert_allclose(q[masks], plain[masks], rtol=0, atol=tolerance)
    assert (q[~masks] == -np.inf).all()
    assert masks[np.arange(40), actions].all()
    assert q[np.arange(40), actions].tolist() == q.max(axis=1).tolist()
    masks[3] = False
    states[4, 0] = np.nan
    with np.errstate(all="ignore"):
        q, actions = masked_run(tmp_path / "policy.onnx", evaluator, states, masks)
    assert actions[3] == -1
    assert (actions[5:] >= 0).all()
    assert np.isnan(q[4][masks[4]]).all()


@pytest.mark.parametrize("settings", MEMBERS.values(), ids=MEMBERS)
def test_is_sound_standard_and_old_enough_for_every_runtime(settings, tmp_path):
    random_dqn(settings, 6, 3).export_onnx(tmp_path / "policy.onnx")
    model = onnx.load(tmp_path / "policy.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    assert {node.op_type for node in model.graph.node} <= STANDARD
    assert {node.domain for node in model.graph.node} == {""}
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"states": ["N", 6], "q_values": ["N", 3], "actions": ["N"]}
    used = {name for node in model.graph.node for name in node.input}
    assert {constant.name for constant in model.graph.initializer} <= used
    names = [name for node in model.graph.node for name in node.output]
    assert len(names) == len(set(names))


def test_the_noise_is_left_out(tmp_path):
    dqn = random_dqn(MEMBERS["all with expected"])
    dqn.export_onnx(tmp_path / "a")
    dqn.resample_noise()
    for name, array in dqn.q_network["weights"].items():
        if name.startswith("sigma"):
            array[...] = 9.0
    dqn.export_onnx(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_metadata_says_what_it_is(tmp_path):
    dqn = random_dqn(MEMBERS["all with c51"], seed=4)
    dqn.export_onnx(tmp_path / "policy.onnx")
    found = metadata(tmp_path / "policy.onnx")
    assert found["project_version"] == __version__
    assert found["head"] == "c51"
    assert json.loads(found["head_settings"]) == {"n_atoms": 11, "v_max": 5.0, "v_min": -3.0}
    assert json.loads(found["network"])["hidden_layers"] == [9, 8]
    assert json.loads(found["observation_clip"]) == 2.5
    config = json.dumps(dataclasses.asdict(dqn.config), sort_keys=True)
    assert found["config_sha256"] == hashlib.sha256(config.encode()).hexdigest()
    # A network alone knows no config; one other weight gives another hash.
    export_onnx(dqn.policy_network(), tmp_path / "network.onnx")
    alone = metadata(tmp_path / "network.onnx")
    assert alone == {k: v for k, v in found.items() if k != "config_sha256"}
    dqn.q_network["weights"]["b0"][0] += 1.0
    dqn.export_onnx(tmp_path / "other.onnx")
    other = metadata(tmp_path / "other.onnx")
    assert {k for k in found if found[k] != other[k]} == {"weights_sha256"}


def test_same_network_same_bytes_and_the_hash_is_returned(tmp_path):
    dqn = random_dqn(MEMBERS["all with qr"])
    first = dqn.export_onnx(str(tmp_path / "new" / "a.onnx"))
    assert export_onnx(dqn, tmp_path / "b.onnx") == first
    content = (tmp_path / "new" / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert hashlib.sha256(content).hexdigest() == first


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "policy.onnx"
    random_dqn({}).export_onnx(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        random_dqn({}, seed=1).export_onnx(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["policy.onnx"]


def test_without_onnx_the_error_names_the_extra(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'")
        return real(name, *args, **kwargs)

    dqn = random_dqn({})
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r'pip install "reinforcestrategy.*\[onnx\]"'):
        dqn.export_onnx(tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []


class Shifted(C51):
    """A head of a user's, with an ONNX form."""

    def values(self, outputs):
        return super().values(outputs) - 1.0


def test_a_head_of_ones_own(evaluator, tmp_path, monkeypatch):
    name = f"{__name__}:Shifted"
    dqn = random_dqn({**HEADS["c51"], "head": name})
    with pytest.raises(ConfigError, match="has no ONNX export; add one to HEAD_GRAPHS"):
        dqn.export_onnx(tmp_path / "policy.onnx")

    def shifted(graph, outputs, network):
        values = export.HEAD_GRAPHS["c51"](graph, outputs, network)
        return graph.node("Sub", [values, graph.constant("one", 1.0)], "shifted")

    monkeypatch.setitem(export.HEAD_GRAPHS, name, shifted)
    dqn.export_onnx(tmp_path / "policy.onnx")
    states = np.random.default_rng(5).normal(size=(9, 6)).astype(np.float32)
    q, _ = evaluator(tmp_path / "policy.onnx")(states)
    np.testing.assert_allclose(q, dqn.predict(states), rtol=1e-4, atol=1e-5)
