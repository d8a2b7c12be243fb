"""The policy in a fresh process in which every other third-party package is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
from deployment_cases import written
from policy_cases import random_ensemble
from policy_family import MEMBERS, random_dqn

from reinforcestrategycreator_pipeline.deployment.package import load_package
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.policies.ensemble_policy import BaselinePolicy
from reinforcestrategycreator_pipeline.policies.linear import LinearPolicy
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy

SCRIPT = """
import importlib.abc, json, sys

ALLOWED = {*sys.stdlib_module_names, "numpy", "safetensors", "reinforcestrategycreator_pipeline"}

class OnlyNumPy(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and not top.startswith("_safetensors"):
            REFUSED.append(name)
            raise ImportError(f"{name} is refused")

REFUSED = []
sys.meta_path.insert(0, OnlyNumPy())
for name in [n for n in sys.modules if n.partition(".")[0] not in ALLOWED]:
    if name not in ("__main__", "sitecustomize") and not name.startswith("_"):
        raise SystemExit(f"{name} was there before")
if sys.argv[3:]:
    __import__(sys.argv[3])

import numpy as np

from reinforcestrategycreator_pipeline.deployment.package_files import load_package

policy = load_package(sys.argv[1])
raw = np.array(json.loads(sys.argv[2]))
held = range(len(policy.positions))
sure = [[policy.confidence_of(row, h) for h in held] for row in raw]
print(json.dumps({
    "one": [[policy.decide(row, h) for h in held] for row in raw],
    "bits": [policy.values(r[None]).tobytes().hex() for r in raw if hasattr(policy, "values")],
    "sure": [s and [x.hex() for x in s] for row in sure for s in row],
    "inputs": policy.inputs.to_json(),
    "positions": policy.positions,
    "heavy": [n for n in ("pandas", "talib", "pydantic", "gymnasium", "onnx") if n in sys.modules],
}))
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True
    )


GRID = (-1.0, 0.0, 1.0)
RNG = np.random.default_rng(0)
INPUTS = Inputs(tuple(f"f{i}" for i in range(17)), 5, ({"name": "returns", "horizons": [1, 2, 5]},))
SCALER = FittedScaler(RNG.normal(size=17), RNG.uniform(1, 2, 17), 10.0)


def q_policy(member):
    network = random_dqn(MEMBERS[member], 20, 3, hidden=(64, 64)).policy_network()
    return QPolicy(GRID, INPUTS, SCALER, network)


POLICIES = {
    **{name: lambda name=name: q_policy(name) for name in ("plain", "all with c51", "all with qr")},
    "ensemble": lambda: random_ensemble(17, GRID, agents=16, hidden=(32, 32)),
    "dueling ensemble": lambda: random_ensemble(17, GRID, options=("dueling", "layer_norm")),
    "linear": lambda: LinearPolicy(GRID, INPUTS, SCALER, np.linspace(-1, 1, 17), 0.0, 0.1, 0.1),
    "baseline": lambda: BaselinePolicy(GRID, INPUTS, 2),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_packaged_policy_needs_numpy_and_safetensors_alone(tmp_path, name):
    here = POLICIES[name]()
    written(tmp_path / "package", here)
    raw = np.random.default_rng(1).normal(size=(50, 17))
    assert load_package(tmp_path / "package").inputs == here.inputs
    result = run(tmp_path / "package", json.dumps(raw.tolist()))
    assert result.stderr == ""
    there = json.loads(result.stdout)
    assert there["heavy"] == []
    # One bar at a time there, all bars at once here: the same decisions, and the same bits.
    table = here.choose(raw, {})
    assert there["one"] == table.tolist()
    assert (len(np.unique(table)) > 1) != (name == "baseline")
    if hasattr(here, "values"):
        assert there["bits"] == [values.tobytes().hex() for values in here.values(raw)]
    sure = here.confidence(raw, {})
    if sure is None:
        assert there["sure"] == [None] * 150
    else:
        pairs = np.stack(sure, axis=-1).reshape(150, 2).tolist()
        assert there["sure"] == [[x.hex() for x in pair] for pair in pairs]
        assert (sure.spread_bps > 0.0).any()
    assert there["inputs"] == here.inputs.to_json()
    assert there["positions"] == [-1.0, 0.0, 1.0]


def test_the_hook_refuses_a_planted_import(tmp_path):
    result = run(tmp_path, "[]", "pandas")
    assert result.returncode != 0
    assert "pandas is refused" in result.stderr
