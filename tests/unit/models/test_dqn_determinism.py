"""Same seed, same bytes, step by step and in another process; and no other package loaded."""

import os
import subprocess
import sys

import numpy as np
import pytest
from dqn_cases import filled_dqn, learning_state, make_dqn

from reinforcestrategycreator_pipeline.seeding import generator

PACKAGE = "reinforcestrategycreator_pipeline"


def states_of(seed, steps=40):
    dqn = filled_dqn(seed=seed, target_update_interval=7)
    out = [learning_state(dqn)]
    for _ in range(steps):
        out.append((dqn.select_action(np.ones(4), 0.5), dqn._train_step(16, 0.9)))
        out.append(learning_state(dqn))
    return out


def test_same_seed_same_bytes_at_every_step():
    assert states_of(3) == states_of(3)


def test_another_seed_differs_from_the_start():
    a, b = states_of(3), states_of(4)
    assert a[0] != b[0]
    assert a[-1] != b[-1]


def test_initialisation_replay_and_exploration_draw_from_different_streams():
    dqn = make_dqn()
    assert dqn.replay_buffer.rng is dqn._generators["replay"]
    assert {"exploration", "replay", "noise", "target-noise"} <= set(dqn._generators)
    draws = {name: tuple(g.random(4)) for name, g in dqn._generators.items()}
    assert len(set(draws.values())) == len(draws)
    initial = generator(0, "dqn/initialisation").random(4)
    assert tuple(initial) not in draws.values()


def test_the_global_random_state_is_neither_read_nor_changed():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    a = states_of(3)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert states_of(3) == a


def test_float32_and_float64_start_equal():
    single, double = make_dqn(seed=8), make_dqn(seed=8, dtype="float64")
    for name, w in double.q_network["weights"].items():
        assert w.astype(np.float32).tobytes() == single.q_network["weights"][name].tobytes()


def run(code, **environment):
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **threads, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


TRAIN = """
import hashlib, numpy as np
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
dqn = DQN({"hyperparameters": {"hidden_layers": [64, 32]}, "seed": 6})
dqn.build((10,), (3,))
rng = np.random.default_rng(0)
for _ in range(300):
    s, n = rng.normal(size=(2, 10))
    dqn.replay_buffer.push(s, int(rng.integers(3)), rng.normal(), n, bool(rng.random() < 0.1))
for _ in range(100):
    dqn._train_step(32, 0.99)
    print(hashlib.sha256(dqn.q_network["weights"].flat.tobytes()).hexdigest())
"""


def test_another_process_gives_the_same_bytes_at_every_step():
    first, second = (run(TRAIN, PYTHONHASHSEED=h) for h in ("1", "2"))
    assert len(set(first)) == 100
    assert first == second


MODULES = """
import sys
before = set(sys.modules)
{statement}
loaded = {{name: sys.modules[name] for name in set(sys.modules) - before}}
# From a file: Cython registers helper modules that come from none.
print(*(n for n, m in loaded.items() if getattr(m, "__file__", None) or hasattr(m, "__path__")))
"""


def foreign_packages(statement):
    """Top-level packages that a statement loads, neither NumPy's, ours, nor the library's."""
    tops = {name.partition(".")[0] for name in run(MODULES.format(statement=statement))}
    return tops - {"numpy", PACKAGE} - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    "module",
    [
        "models.implementations.dqn",
        "models.base",
        "nn.network",
        "nn.normalization",
        "nn.schedules",
        "nn.heads.catalog",
        "models.presets",
        "models.gym.loop",
        "replay.prioritized",
        "nn.adam",
        "nn.tensors",
        "storage.tensor_files",
        "replay.ring",
        "replay.index",
        "replay.batch",
        "replay.sampling",
    ],
)
def test_the_learner_loads_numpy_alone(module):
    assert foreign_packages(f"import {PACKAGE}.{module}") == set()


def test_training_loads_numpy_alone_too():
    assert foreign_packages(TRAIN.replace("print", "str")) == set()


def test_the_list_of_packages_sees_a_foreign_one():
    assert foreign_packages("import safetensors.numpy") == {"safetensors"}
