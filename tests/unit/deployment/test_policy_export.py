"""Whole policies as ONNX, on two evaluators that are not ours."""

import builtins
import dataclasses
import hashlib
import json
import os

import numpy as np
import onnx
import pytest
from deployment_cases import package_policy
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from policy_cases import plain_network, random_ensemble, random_policy
from policy_family import MEMBERS, random_dqn

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.deployment import policy_export
from reinforcestrategycreator_pipeline.deployment.policy_export import export_policy_onnx
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.policy_network import Normalization
from reinforcestrategycreator_pipeline.policies.base import Work
from reinforcestrategycreator_pipeline.policies.baselines import (
    ConstantPolicy,
    CrossoverPolicy,
    FallbackPolicy,
)
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.policies.ensemble_policy import (
    BaselinePolicy,
    EnsemblePolicy,
)
from reinforcestrategycreator_pipeline.policies.ensemble_training import EnsembleTraining
from reinforcestrategycreator_pipeline.policies.linear import LinearPolicy
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.testing.strategy_contract import make_span

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before it is loaded

GRID = (-1.0, 0.0, 0.5, 1.0)
INPUTS = Inputs(tuple(f"f{i}" for i in range(6)))
SCALER = FittedScaler(np.linspace(-1, 1, 6), np.array([0.5, 1, 1.5, 2, 0.7, 0.0]), 2.5)
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}  # of the largest number
ROWS = 1_200
STANDARD = {
    "Add", "ArgMax", "Cast", "Clip", "Concat", "Div", "Equal", "Expand", "Gather", "GatherElements",
    "Gemm", "IsNaN", "MatMul", "Mul", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Softmax",
    "Sqrt", "Sub", "Where",
}  # fmt: skip


def ensemble(**changes):
    return random_ensemble(6, GRID, **changes)


def q_policy(member, dtype="float32"):
    network = random_dqn(MEMBERS[member], 10, 4, dtype=dtype).policy_network()
    if network.normalization is not None:  # its own is of prices
        mean, scale = np.linspace(-0.5, 0.5, 10), np.linspace(0.5, 1.5, 10)
        network = dataclasses.replace(network, normalization=Normalization(mean, scale, 2.0))
    return QPolicy(GRID, INPUTS, SCALER, network)


def linear():
    weights = np.random.default_rng(1).normal(size=6)
    return LinearPolicy(GRID, INPUTS, SCALER, weights, 0.01, 0.4, 0.3)


POLICIES = {
    "ensemble": ensemble,
    "ensemble of 16": lambda: ensemble(agents=16, hidden=(32, 32), seed=1),
    "ensemble of 2 in float64": lambda: ensemble(agents=2, dtype=np.float64),
    "ensemble without a doubt": lambda: ensemble(kappa=0.0, cost=np.zeros((4, 4))),
    "ensemble that starts short": lambda: ensemble(baseline=0, kappa=1.5),
    "ensemble that starts long": lambda: ensemble(baseline=3, kappa=1.5),
    "ensemble without a limit": lambda: ensemble(
        scaler=FittedScaler(np.zeros(6), np.ones(6), None)
    ),
    "dueling ensemble": lambda: ensemble(options=("dueling",)),
    "normal ensemble": lambda: ensemble(options=("layer_norm",)),
    "dueling normal ensemble": lambda: ensemble(options=("dueling", "layer_norm"), hidden=(9,)),
    **{name: lambda name=name: q_policy(name) for name in MEMBERS},
    "all in float64": lambda: q_policy("all with qr", "float64"),
    "linear": linear,
    "constant": lambda: ConstantPolicy(GRID, INPUTS, 2),
    "baseline": lambda: BaselinePolicy(GRID, INPUTS, 1),
    "fallback": lambda: FallbackPolicy(GRID, INPUTS, 3, 0.1, 0.05),
}


def scores_of(policy, raw):
    """Return the numbers of which the policy chooses the largest, (R, n, n)."""
    if isinstance(policy, EnsemblePolicy):
        mean, sd = policy.advantages(raw)
        held, q = np.indices((4, 4))
        low, high = np.minimum(held, policy.baseline), np.maximum(held, policy.baseline)
        return mean - policy.kappa * sd * ((q < low) | (q > high))
    if isinstance(policy, QPolicy):
        return policy.values(raw)
    if isinstance(policy, LinearPolicy):
        x = np.where(SCALER.scale > 0, (raw - SCALER.center) / np.maximum(SCALER.scale, 0.1), 0)
        forecast = np.clip(x, -2.5, 2.5) @ policy.weights + policy.intercept
        move = np.subtract.outer(GRID, GRID).T
        return forecast[:, None, None] * GRID - np.maximum(0.4 * move, -0.3 * move)
    return np.broadcast_to(np.arange(4) == policy.target, (len(raw), 4, 4)).astype(float)


def named(model, run):
    """Return a function of features and previous targets that gives the outputs by name."""
    names = [output.name for output in model.graph.output]
    return lambda raw, held: dict(
        zip(names, run(None, {"features": raw, "held": held}), strict=True)
    )


def reference(path, new_ops=()):
    model = onnx.load(path)
    return named(model, ReferenceEvaluator(model, new_ops=list(new_ops)).run)


def runtime(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return named(onnx.load(path), session.run)


def careless(path):
    """A runtime whose ReLU makes 0 of a NaN."""

    class Relu(OpRun):
        def _run(self, x):
            return (np.where(x > 0, x, 0).astype(x.dtype),)

    return reference(path, [Relu])


@pytest.fixture(params=[reference, runtime])
def evaluator(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "policy.onnx"


def near(found, expected, tolerance):
    scale = max(float(np.abs(expected).max()), 1e-300)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", POLICIES)
def test_decides_as_the_policy_does(name, evaluator, path):
    policy = POLICIES[name]()
    tolerance = TOLERANCE["float64" if "float64" in name or name == "linear" else "float32"]
    export_policy_onnx(policy, path)
    run = evaluator(path)
    rng = np.random.default_rng(7)
    raw, held = 1.5 * rng.normal(size=(ROWS, 6)), rng.integers(4, size=ROWS)
    rows = np.arange(ROWS)
    found = run(raw, held)
    assert {k: (v.dtype, v.shape) for k, v in found.items()} == {
        "target": (np.int64, (ROWS,)),
        "scores": (np.float64, (ROWS, 4)),
        **(
            dict.fromkeys(("advantage_bps", "spread_bps"), (np.float64, (ROWS,)))
            if isinstance(policy, EnsemblePolicy)
            else {}
        ),
    }
    expected = scores_of(policy, raw)[rows, held]
    near(found["scores"], expected, tolerance)
    # Where two targets are as good but for rounding, either may be chosen.
    two = np.sort(expected, axis=1)[:, -2:]
    clear = np.diff(two, axis=1)[:, 0] > tolerance * np.abs(expected).max()
    assert (~clear).sum() <= 2
    table = policy.choose(raw, {})[rows, held]
    assert found["target"][clear].tolist() == table[clear].tolist()
    assert (len(set(table.tolist())) > 1) != isinstance(policy, ConstantPolicy)
    if isinstance(policy, EnsemblePolicy):
        sure = policy.confidence(raw, {})
        for own, theirs in (("advantage_bps", 0), ("spread_bps", 1)):
            near(found[own][clear], sure[theirs][rows, held][clear], tolerance)
    for few in (1, 7):  # any number of rows
        some = run(raw[:few], held[:few])
        near(some["scores"], expected[:few], tolerance)
        assert some["target"].shape == (few,)


def test_a_trained_ensemble_decides_the_same(evaluator, path):
    training = EnsembleTraining(
        agents=4, hidden_layers=(16,), value_interval=20, caution=0.0, steps=60
    )
    policy = DQNEnsemble(training, kappa=0.2).fit(make_span(400), make_span(60, 7), Work(Seeds(3)))
    assert isinstance(policy, EnsemblePolicy)
    export_policy_onnx(policy, path)
    raw = np.concatenate([asset.features for asset in make_span(700, 11).assets])
    assert len(raw) > 1_000
    table, sure = policy.choose(raw, {}), policy.confidence(raw, {})
    for held in range(len(policy.positions)):
        found = evaluator(path)(raw, np.full(len(raw), held))
        assert found["target"].tolist() == table[:, held].tolist()
        near(found["advantage_bps"], sure.advantage_bps[:, held], TOLERANCE["float32"])
        near(found["spread_bps"], sure.spread_bps[:, held], TOLERANCE["float32"])
        assert len(np.unique(table)) > 1


def by_hand(slopes=(1.0, 3.0), **changes):
    """Return agents whose values of targets -1, 0 and 1 are -s x, 0 and s x for slope s."""
    networks = []
    for slope in slopes:
        up = slope * np.array([-1.0, 0.0, 1.0])
        weights = {"W0": [[1.0, -1.0]], "b0": np.zeros(2), "W1": [up, -up], "b1": np.zeros(3)}
        networks.append(plain_network({k: np.array(w, np.float32) for k, w in weights.items()}))
    grid = (-1.0, 0.0, 1.0)
    given = {
        "positions": grid,
        "inputs": Inputs(("a",)),
        "scaler": FittedScaler(np.array([60_000.0]), np.array([0.5]), 3.0),
        "networks": tuple(networks),
        "cost": 0.5 * np.abs(np.subtract.outer(grid, grid)),
        "unit_bps": 100.0,
        "baseline": 1,
        "kappa": 1.0,
        "relevance": np.array([1.0]),
    }
    return EnsemblePolicy(**{**given, **changes})


def test_by_hand(evaluator, path):
    # Raw 60,000.5 scales to 1: agents' gains of a step up are 1 and 3, mean 2, deviation sqrt(2).
    export_policy_onnx(by_hand(), path)
    found = evaluator(path)(np.full((3, 1), 60_000.5), np.arange(3))
    root = np.sqrt(2.0)
    expected = [
        [0.0, 1.5, 4.0 - 1.0 - 2 * root],  # from -1, the step to the baseline is not doubted
        [-2.5 - root, 0.0, 1.5 - root],
        [-4.0 - 1.0 - 2 * root, -2.5, 0.0],
    ]
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-14)
    assert found["target"].tolist() == [1, 2, 2]
    np.testing.assert_allclose(found["advantage_bps"], [150.0, 150.0, 0.0], rtol=1e-14)
    np.testing.assert_allclose(found["spread_bps"], [100 * root, 100 * root, 0.0], rtol=1e-14)


def test_the_lowest_index_wins_ties(evaluator, path):
    export_policy_onnx(by_hand(cost=np.zeros((3, 3))), path)
    assert evaluator(path)(np.full((3, 1), 60_000.0), np.arange(3))["target"].tolist() == [0, 0, 0]
    export_policy_onnx(by_hand(), path)  # costs make staying the best
    assert evaluator(path)(np.full((3, 1), 60_000.0), np.arange(3))["target"].tolist() == [0, 1, 2]


def without(found, row):
    return {name: np.delete(values, row, axis=0).tolist() for name, values in found.items()}


def nothing_decided(found, row):
    """Tell whether a row has no target, and no other number."""
    numbers = [values[row] for name, values in found.items() if name != "target"]
    return found["target"][row] == -1 and np.isnan(np.hstack(numbers)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["ensemble", "plain", "all with c51", "linear", "constant"])
def test_a_number_that_is_not_finite_becomes_no_target(name, bad, evaluator, path):
    export_policy_onnx(POLICIES[name](), path)
    run = evaluator(path)
    raw, held = np.random.default_rng(2).normal(size=(4, 6)), np.array([0, 1, 2, 3])
    before = run(raw, held)
    for column in (0, 5):  # the last one is constant, and scales to 0
        broken = raw.copy()
        broken[2, column] = bad
        with np.errstate(all="ignore"):
            after = run(broken, held)
        assert nothing_decided(after, 2)
        assert without(after, 2) == without(before, 2)


@pytest.mark.parametrize("name", ["ensemble", "plain", "linear", "constant"])
def test_a_previous_target_off_the_grid_becomes_no_target(name, evaluator, path):
    policy = POLICIES[name]()
    export_policy_onnx(policy, path)
    raw = np.random.default_rng(2).normal(size=(5, 6))
    found = evaluator(path)(raw, np.array([0, -1, 3, 4, 2**40]))
    for row in (1, 3, 4):
        assert nothing_decided(found, row)
    for row, held in ((0, 0), (2, 3)):
        assert found["target"][row] == policy.decide(raw[row], held)
        assert np.isfinite(found["scores"][row]).all()


@pytest.mark.parametrize("make", [reference, runtime, careless])
@pytest.mark.parametrize(
    "kind", [ensemble, lambda **c: dataclasses.replace(q_policy("plain"), **c)]
)
def test_what_overflows_becomes_no_target(kind, make, path):
    # Beyond the range of float32, without a limit; the policy itself raises.
    policy = kind(scaler=FittedScaler(np.zeros(6), np.ones(6), None))
    raw = np.concatenate([1e300 * np.eye(6), -1e300 * np.eye(6), np.zeros((1, 6))])
    for row in raw[:12]:
        with np.errstate(over="ignore"), pytest.raises(NonFiniteError):
            policy.decide(row, 1)
    export_policy_onnx(policy, path)
    with np.errstate(all="ignore"):
        found = make(path)(raw, np.ones(13, np.int64))
    assert all(nothing_decided(found, row) for row in range(12))
    assert found["target"][12] == policy.decide(raw[12], 1)


@pytest.mark.parametrize("make", [reference, runtime, careless])
def test_a_value_that_overflows_becomes_no_target(make, path):
    policy = by_hand(slopes=(1.0, 3e38))
    with pytest.raises(NonFiniteError):
        policy.decide([60_001.0], 1)  # scales to 2
    export_policy_onnx(policy, path)
    with np.errstate(all="ignore"):
        found = make(path)(np.array([[60_000.0], [60_001.0]]), np.array([1, 1]))
    assert found["target"].tolist() == [1, -1]
    assert nothing_decided(found, 1)


@pytest.mark.parametrize("name", POLICIES)
def test_is_sound_standard_and_old_enough_for_every_runtime(name, path):
    export_policy_onnx(POLICIES[name](), path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    assert {node.op_type for node in model.graph.node} <= STANDARD
    assert {node.domain for node in model.graph.node} == {""}
    used = {name for node in model.graph.node for name in node.input}
    assert {constant.name for constant in model.graph.initializer} <= used
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    of_ensembles = {"advantage_bps": ["N"], "spread_bps": ["N"]} if "ensemble" in name else {}
    assert shapes == {
        "features": ["N", 6],
        "held": ["N"],
        "target": ["N"],
        "scores": ["N", 4],
        **of_ensembles,
    }


def test_the_metadata_name_the_policy(tmp_path, path):
    policy = ensemble(agents=3)
    sha256 = export_policy_onnx(policy, path)
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == sha256
    found = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert found["project_version"] == __version__
    assert found["policy_sha256"] == policy.save(tmp_path / "policy")
    assert found["kind"].endswith("ensemble_policy:EnsemblePolicy")
    assert json.loads(found["positions"]) == list(GRID)
    assert json.loads(found["inputs"])["names"] == list(policy.inputs.names)
    assert (found["agents"], found["baseline"], found["kappa"]) == ("3", "1", "0.5")
    # Equal policies, equal bytes; another one, other bytes.
    export_policy_onnx(ensemble(agents=3), str(tmp_path / "same.onnx"))
    assert (tmp_path / "same.onnx").read_bytes() == content
    assert export_policy_onnx(ensemble(agents=3, kappa=0.6), tmp_path / "other.onnx") != sha256


class Cautious(EnsemblePolicy):
    """A user's own ensemble, which never moves."""

    def choose(self, features, bars):
        return np.tile(np.arange(len(self.positions)), (len(features), 1))


def test_what_has_no_form_is_refused_and_may_get_one(evaluator, path, monkeypatch):
    crossover = CrossoverPolicy(GRID, INPUTS, 2, 5)
    with pytest.raises(ConfigError, match="a CrossoverPolicy has no ONNX export; add one to POL"):
        export_policy_onnx(crossover, path)
    # A subclass may decide otherwise, so it does not inherit the form.
    base = ensemble()
    values = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
    cautious = Cautious(**values)
    with pytest.raises(ConfigError, match="a Cautious has no ONNX export"):
        export_policy_onnx(cautious, path)
    assert not path.exists()

    def stay(graph, policy, held):
        rows = graph.constant("stay", np.eye(len(policy.positions)))
        return policy_export.Decision(graph.node("Gather", [rows, held], "one_hot", axis=0))

    monkeypatch.setitem(policy_export.POLICY_GRAPHS, Cautious, stay)
    export_policy_onnx(cautious, path)
    found = evaluator(path)(np.zeros((4, 6)), np.arange(4))
    assert found["target"].tolist() == [0, 1, 2, 3]


def test_a_network_with_masks_is_refused(path):
    policy = random_policy(3, (0.0, 1.0))
    masked = dataclasses.replace(policy.network, masked=True)
    with pytest.raises(ConfigError, match="needs action masks has no ONNX export"):
        export_policy_onnx(dataclasses.replace(policy, network=masked), path)


def test_a_policy_that_reads_no_features(evaluator, path):
    export_policy_onnx(ConstantPolicy((0.0, 1.0), Inputs(()), 1), path)
    found = evaluator(path)(np.zeros((3, 0)), np.array([0, 1, 5]))
    assert found["target"].tolist() == [1, 1, -1]


def test_without_onnx_the_error_names_the_extra(path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r'pip install "reinforcestrategy.*\[onnx\]"'):
        export_policy_onnx(package_policy(), path)
    assert not path.exists()
