"""The DQN keeps the contract of models, and the contract catches models that do not."""

import numpy as np
import pytest
from model_contract import ModelContract

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

SETTINGS = {"hidden_layers": [24], "learning_rate": 3e-3, "log_interval": 10, "buffer_size": 64}


class TestDQN(ModelContract):
    @pytest.fixture
    def make_model(self):
        return lambda seed: DQN({"hyperparameters": SETTINGS, "seed": seed})


class TestPlainDQNInFloat64(ModelContract):
    @pytest.fixture
    def make_model(self):
        settings = {**SETTINGS, "double_dqn": False, "hidden_layers": [16, 16]}
        return lambda seed: DQN({"hyperparameters": settings, "seed": seed, "dtype": "float64"})


class Forgetful(DQN):
    """Does not restore Adam's moments."""

    def restore(self, tensors, header):
        zeros = {k: v * 0 if k[0] in "mv" else v for k, v in tensors.items()}
        super().restore(zeros, header)


class Noisy(DQN):
    """Adds global random noise to its weights."""

    def _train_step(self, batch_size, gamma):
        self._weights.flat += np.random.normal(size=self._weights.flat.size)  # noqa: NPY002
        return super()._train_step(batch_size, gamma)


class Hiding(DQN):
    """Hides NaN."""

    def predict(self, states):
        return np.nan_to_num(super().predict(states))


class Deaf(DQN):
    """Applies updates that are not finite."""

    def _refuse_non_finite(self, *args):
        pass


class Lazy(DQN):
    """Learns nothing."""

    def _apply_update(self, loss, squared_norm, q):
        pass


@pytest.mark.parametrize(
    ("cls", "promise", "arguments"),
    [
        (Forgetful, "test_state_and_restore_continue_bit_by_bit", ()),
        (Noisy, "test_same_seed_same_bytes_other_seed_other_bytes", ()),
        (Noisy, "test_the_global_random_state_is_left_alone", ()),
        (Hiding, "test_predict_does_not_hide_nan", ()),
        (Deaf, "test_nan_in_a_batch_is_refused_and_changes_nothing", ("r_t",)),
        (Lazy, "test_it_learns_a_bandit", (False,)),
    ],
)
def test_the_contract_catches(cls, promise, arguments):
    def make_model(seed):
        return cls({"hyperparameters": SETTINGS, "seed": seed})

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(ModelContract(), promise)(make_model, *arguments)
