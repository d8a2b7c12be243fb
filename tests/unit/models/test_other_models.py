"""The contract of models asks for no random weights, no gradients and no replay of its own."""

from types import SimpleNamespace

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors
from reinforcestrategycreator_pipeline.testing.model_contract import ModelContract

SETTINGS = SimpleNamespace(
    buffer_size=500,
    learning_starts=100,
    batch_size=16,
    train_frequency=2,
    gradient_steps=1,
    log_interval=5,
)


class LeastSquares:
    """Fits each action's next reward by a line through all batches; its seed only explores."""

    hyperparameters = SETTINGS
    squared_error = True

    def __init__(self, config):
        self.config, self.exploration_rate, self.diagnostics = config, 0.5, {}

    def build(self, input_shape, output_shape, replay=None):
        self.n, self.n_actions = int(np.prod(input_shape)) + 1, output_shape[0]
        self.replay, self.rng = replay, np.random.default_rng(self.config["seed"])
        self.left = np.zeros((self.n_actions, self.n, self.n))
        self.right = np.zeros((self.n_actions, self.n))
        self.steps = np.zeros(1)

    def lines(self):
        ridge = self.left + 1e-9 * np.eye(self.n)
        return np.linalg.solve(ridge, self.right[:, :, None])[:, :, 0]

    def predict(self, states):
        x = np.asarray(states, dtype=np.float64)
        return np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1) @ self.lines().T

    def set_progress(self, progress):
        self.exploration_rate = 0.5 * (1 - progress)

    def observe(self, states):
        pass

    def select_actions(self, states, exploration_rate=0.0):
        values = self.predict(states)
        if not np.isfinite(values).all():
            raise NonFiniteError("no best action")
        random = self.rng.random(len(values)) < exploration_rate
        return np.where(
            random, self.rng.integers(self.n_actions, size=len(values)), values.argmax(axis=1)
        )

    def train_step(self):
        batch = self.replay.sample(SETTINGS.batch_size)
        if not all(np.isfinite(x).all() for x in (batch.s_tm1, batch.s_t, batch.r_t)):
            raise NonFiniteError("the batch")
        x = np.concatenate([batch.s_tm1, np.ones((len(batch.s_tm1), 1))], axis=1)
        every = batch.a_tm1 is None
        rewards = batch.r_t if every else np.repeat(batch.r_t[:, None], self.n_actions, axis=1)
        taken = np.ones_like(rewards) if every else np.eye(self.n_actions)[batch.a_tm1]
        errors = (x @ self.lines().T - rewards) * taken
        self.left += np.einsum("bi,bj,ba->aij", x, x, taken)
        self.right += np.einsum("bi,ba->ai", x, rewards * taken)
        self.steps += 1
        loss = float((errors**2).sum() / taken.sum())
        if self.steps[0] % SETTINGS.log_interval == 0:
            self.diagnostics = {"r2": 1.0 - loss}
        return loss

    def state(self):
        tensors = {"left": self.left, "right": self.right, "steps": self.steps}
        return tensors, {"seed": self.config["seed"]}

    def restore(self, tensors, header):
        self.left, self.right, self.steps = (np.array(tensors[k]) for k in self.state()[0])

    def policy_network(self):
        eye, lines = np.eye(self.n - 1), self.lines()
        return PolicyNetwork(
            NetworkSpec(self.n - 1, (2 * self.n - 2,), self.n_actions),
            {
                "W0": np.concatenate([eye, -eye], axis=1),  # x = max(x, 0) - max(-x, 0)
                "b0": np.zeros(2 * self.n - 2),
                "W1": np.concatenate([lines[:, :-1].T, -lines[:, :-1].T]),
                "b1": lines[:, -1].copy(),
            },
            "expected",
            {"huber_delta": 1.0},
        )

    def save(self, path):
        return write_tensors(path, *self.state())

    @classmethod
    def load(cls, path):
        tensors, header = read_tensors(path)
        model = cls(header)
        model.build((tensors["left"].shape[1] - 1,), (tensors["left"].shape[0],))
        model.restore(tensors, header)
        return model


class TestLeastSquares(ModelContract):
    @pytest.fixture
    def make_model(self):
        return lambda seed: LeastSquares({"seed": seed})


def test_it_has_what_the_registry_asks_for():
    assert MODELS.get(f"{__name__}:LeastSquares") is LeastSquares
