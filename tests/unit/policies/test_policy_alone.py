"""The policy in a fresh process in which every other third-party package is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
from policy_family import MEMBERS, random_dqn

from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.policies.base import load_policy
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
from pathlib import Path

from reinforcestrategycreator_pipeline.policies.base import load_policy

policy = load_policy(Path(sys.argv[1]))
raw = np.array(json.loads(sys.argv[2]))
print(json.dumps({
    "table": policy.choose(raw, {}).tolist(),
    "one": [policy.decide(row, policy.flat) for row in raw],
    "bits": policy.values(raw[:1]).tobytes().hex(),
    "inputs": policy.inputs.to_json(),
    "positions": policy.positions,
    "heavy": [n for n in ("pandas", "talib", "pydantic", "gymnasium", "onnx") if n in sys.modules],
}))
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True
    )


@pytest.mark.parametrize("member", ["plain", "all with c51", "all with qr"])
def test_policy_needs_numpy_and_safetensors_alone(tmp_path, member):
    rng = np.random.default_rng(0)
    names = tuple(f"f{i}" for i in range(17))
    here = QPolicy(
        (-1.0, 0.0, 1.0),
        Inputs(names, 5, ({"name": "returns", "horizons": [1, 2, 5]},)),
        FittedScaler(rng.normal(size=17), rng.uniform(1, 2, 17), 10.0),
        random_dqn(MEMBERS[member], 20, 3, hidden=(64, 64)).policy_network(),
    )
    here.save(tmp_path / "policy")
    raw = rng.normal(size=(50, 17))
    assert load_policy(tmp_path / "policy").inputs == here.inputs
    result = run(tmp_path / "policy", json.dumps(raw.tolist()))
    assert result.stderr == ""
    there = json.loads(result.stdout)
    assert there["heavy"] == []
    assert there["table"] == here.choose(raw, {}).tolist()
    assert there["one"] == [row[1] for row in there["table"]]
    assert there["bits"] == here.values(raw[:1]).tobytes().hex()
    assert there["inputs"] == here.inputs.to_json()
    assert there["positions"] == [-1.0, 0.0, 1.0]


def test_the_hook_refuses_a_planted_import(tmp_path):
    result = run(tmp_path, "[]", "pandas")
    assert result.returncode != 0
    assert "pandas is refused" in result.stderr
