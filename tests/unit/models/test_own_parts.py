"""A loss and a head of a user's own, those of `examples/`, keep the promises and are used."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.testing.head_contract import HeadContract
from reinforcestrategycreator_pipeline.testing.loss_contract import LossContract

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(autouse=True)
def examples_are_importable(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
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
