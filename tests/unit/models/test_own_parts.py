"""A loss and a head of a user's own, those of `examples/`, keep the promises and are used."""

from __future__ import annotations

import copy
import importlib
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.nn.heads.expected import Expected
from reinforcestrategycreator_pipeline.testing.head_contract import HeadContract
from reinforcestrategycreator_pipeline.testing.loss_contract import LossContract

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(autouse=True)
def examples_are_importable(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    yield
    for name in ("own_loss", "own_head"):
        sys.modules.pop(name, None)


class TestLogCosh(LossContract):
    @pytest.fixture
    def name(self):
        return "own_loss:log_cosh"


class TestLogCoshOfAnotherDelta(TestLogCosh):
    @pytest.fixture
    def delta(self):
        return 0.3


class TestCompressed(HeadContract):
    @pytest.fixture
    def head(self):
        own_head = importlib.import_module("own_head")
        return own_head.Compressed(SimpleNamespace(loss="huber", huber_delta=1.0))


def test_log_cosh_is_what_its_name_says():
    own_loss = importlib.import_module("own_loss")
    error = np.array([-3.0, -0.2, 1e-6, 0.7, 5.0])
    values, derivatives = own_loss.log_cosh(error, 2.0)
    for e, value, derivative in zip(error.tolist(), values, derivatives, strict=True):
        assert value == pytest.approx(4 * math.log(math.cosh(e / 2)), rel=1e-9, abs=1e-16)
        assert derivative == pytest.approx(2 * math.sinh(e / 2) / math.cosh(e / 2), rel=1e-14)


def test_compressing_and_expanding_undo_each_other():
    own_head = importlib.import_module("own_head")
    # h(3) = 2 - 1 + 0.03, h(-8) = -(3 - 1) - 0.08
    assert own_head.compress(np.array([0.0, 3.0, -8.0])).tolist() == [0.0, 1.03, -2.08]
    v = np.array([-1e6, -8.0, -1e-3, 0.0, 0.5, 3.0, 1e9])
    np.testing.assert_allclose(own_head.expand(own_head.compress(v)), v, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "own_loss:log_cosh"},
        {"head": "own_head:Compressed", "loss": "own_loss:log_cosh"},
        {
            "head": "own_head:Compressed",
            "loss": "huber",
            "prioritized_replay": True,
            "dueling": True,
            "n_step": 3,
        },
    ],
    ids=["loss", "head", "both and more"],
)
def test_a_dqn_learns_with_them(settings, tmp_path):
    rhythm = {"hidden_layers": [32], "learning_rate": 5e-3, "batch_size": 32}
    dqn = DQN({"hyperparameters": {**rhythm, **settings}, "seed": 1})
    dqn.build((2,), (2,))
    rng = np.random.default_rng(0)
    for _ in range(300):
        state, action = rng.normal(size=2), int(rng.integers(2))
        # One step a task: the action's own number, times 100, is what it pays.
        dqn.replay_buffer.push(state, action, 100 * state[action], state, terminated=True)
    losses = [dqn.train_step() for _ in range(1500)]
    assert np.mean(losses[-50:]) < 0.05 * np.mean(losses[:50])
    states = rng.normal(size=(200, 2))
    right = dqn.predict(states).argmax(axis=1) == states.argmax(axis=1)
    assert right.mean() > 0.9

    dqn.save(tmp_path / "it")
    assert DQN.load(tmp_path / "it").predict(states).tobytes() == dqn.predict(states).tobytes()
    policy = dqn.policy_network().values(states)
    np.testing.assert_allclose(policy, dqn.predict(states), rtol=1e-4, atol=1e-3)


# -- objects, parameters, and modules that are not there ------------------------------------


def shifted_huber(error, delta, *, scale=1.0):
    """A loss with a parameter."""
    clipped = np.clip(error, -delta, delta)
    factor = error.dtype.type(scale)
    return factor * clipped * (error - 0.5 * clipped), factor * clipped


class ScaledExpected(Expected):
    """A head with a parameter."""

    def __init__(self, hyperparameters, factor=1.0):
        super().__init__(hyperparameters)
        self.factor = factor

    def values(self, outputs):
        return outputs[..., 0] * outputs.dtype.type(self.factor)


def late(initial, final, share):
    return final if share > 0.9 else initial


def dqn_with(**hyperparameters):
    dqn = DQN({"hyperparameters": {"hidden_layers": [4], "batch_size": 8, **hyperparameters}})
    dqn.build((2,), (2,))
    rng = np.random.default_rng(0)
    for _ in range(20):
        state = rng.normal(size=2)
        dqn.replay_buffer.push(state, int(rng.integers(2)), rng.normal(), state, False)
    return dqn


def bits(dqn):
    return [dqn.train_step() for _ in range(5)], dqn.gradients.flat.tobytes()


HERE = {"loss": shifted_huber, "head": ScaledExpected, "exploration_schedule": late}


@pytest.mark.parametrize("key", HERE)
def test_an_object_is_its_name(key, tmp_path):
    name = f"{__name__}:{HERE[key].__name__}"
    given, named = dqn_with(**{key: HERE[key]}), dqn_with(**{key: name})
    assert bits(given) == bits(named)
    assert given.save(tmp_path / "given") == named.save(tmp_path / "named")
    assert getattr(DQN.load(tmp_path / "given").hyperparameters, key) == name
    assert copy.deepcopy(given).save(tmp_path / "copy") == named.save(tmp_path / "named")


def test_parameters_reach_loss_and_head(tmp_path):
    plain = dqn_with(loss=shifted_huber)
    scaled = dqn_with(loss={"name": f"{__name__}:shifted_huber", "scale": 2.0})
    assert scaled.train_step() == pytest.approx(2 * plain.train_step())
    dqn = dqn_with(head={"name": f"{__name__}:ScaledExpected", "factor": 3.0})
    states = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    assert np.allclose(dqn.predict(states), 3 * dqn_with().predict(states))
    dqn.save(tmp_path / "it")
    assert DQN.load(tmp_path / "it").predict(states).tobytes() == dqn.predict(states).tobytes()
    policy = dqn.policy_network()
    again = type(policy).from_parts(policy.to_tensors(), json.loads(json.dumps(policy.to_header())))
    assert again.values(states).tobytes() == policy.values(states).tobytes()
    with pytest.raises(ConfigError, match=r"no parameter 'factro'\. Did you mean 'factor'\?"):
        dqn_with(head={"name": f"{__name__}:ScaledExpected", "factro": 3.0})


def test_what_no_module_has_under_its_name_trains_but_is_not_saved(tmp_path):
    def local(error, delta):
        return shifted_huber(error, delta)

    dqn = dqn_with(loss=local)
    assert bits(dqn) == bits(dqn_with(loss=shifted_huber))
    assert copy.deepcopy(dqn).predict(np.zeros(2)).shape == (2,)
    with pytest.raises(ConfigError, match=r"loss '.*local' cannot be saved: it cannot be imp") as e:
        dqn.save(tmp_path / "it")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("value", [2.0, -1.0, math.nan])
def test_a_schedule_that_returns_nonsense_is_not_obeyed(value):
    def broken(initial, final, share):
        return value

    for key in ("exploration_schedule", "learning_rate_schedule"):
        dqn = dqn_with(**{key: broken})
        if key == "learning_rate_schedule" and value == 2.0:
            dqn.set_progress(0.5)  # large, but a learning rate
            continue
        with pytest.raises(ConfigError, match=r"schedule '.*broken' must return finite numbers"):
            dqn.set_progress(0.5)


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A module with a part of each kind, and what makes it disappear."""
    source = (
        "from reinforcestrategycreator_pipeline.nn.heads.expected import Expected as Head\n"
        "from reinforcestrategycreator_pipeline.nn.losses import huber as loss\n"
        "from reinforcestrategycreator_pipeline.nn.schedules import linear as schedule\n"
    )
    (tmp_path / "gone_soon.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)

    def remove():
        (tmp_path / "gone_soon.py").unlink()
        sys.modules.pop("gone_soon", None)
        importlib.invalidate_caches()

    yield remove
    sys.modules.pop("gone_soon", None)


@pytest.mark.parametrize(("key", "name"), [("loss", "loss"), ("head", "Head")])
def test_a_saved_dqn_says_whose_module_it_misses(own_module, tmp_path, key, name):
    dqn_with(**{key: f"gone_soon:{name}"}).save(tmp_path / "it")
    own_module()
    message = f"the saved DQN needs its {key}: .*import gone_soon first, if you trust it"
    with pytest.raises(CheckpointError, match=message) as caught:
        DQN.load(tmp_path / "it")
    assert "version" not in str(caught.value)


@pytest.mark.parametrize("key", ["exploration_schedule", "learning_rate_schedule"])
def test_a_schedule_is_missed_when_training_goes_on_not_before(own_module, tmp_path, key):
    dqn = dqn_with(**{key: "gone_soon:schedule"})
    dqn.set_progress(0.5)
    dqn.save(tmp_path / "it")
    own_module()
    loaded = DQN.load(tmp_path / "it")
    assert loaded.predict(np.ones(2)).tobytes() == dqn.predict(np.ones(2)).tobytes()
    assert loaded.exploration_rate == dqn.exploration_rate
    assert loaded.save(tmp_path / "again") == dqn.save(tmp_path / "it")
    with pytest.raises(
        ConfigError, match=f"training cannot continue without the {key}: .*gone_soon"
    ):
        loaded.set_progress(0.6)
