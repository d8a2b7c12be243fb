"""The DQN keeps the contract of models, and the contract catches models that do not."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.testing.model_contract import ModelContract

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


class TestDuelingDQN(ModelContract):
    @pytest.fixture
    def make_model(self):
        settings = {**SETTINGS, "dueling": True, "layer_norm": True, "loss": "huber"}
        return lambda seed: DQN(
            {"hyperparameters": {**settings, "max_grad_norm": 10.0}, "seed": seed}
        )


class TestDistributionalDQN(ModelContract):
    remaining_loss = 0.4  # the last ones are the entropy between two atoms, at most ln 2 of ln 31

    @pytest.fixture
    def make_model(self):
        settings = {**SETTINGS, "head": "c51", "n_atoms": 31, "v_min": -4.0, "v_max": 4.0}
        return lambda seed: DQN({"hyperparameters": settings, "seed": seed})


class TestQuantileDQNWithSoftUpdates(ModelContract):
    @pytest.fixture
    def make_model(self):
        settings = {**SETTINGS, "head": "qr", "n_atoms": 9, "tau": 0.05, "weight_decay": 1e-4}
        settings = {**settings, "target_update_interval": 1, "learning_rate_schedule": "cosine"}
        return lambda seed: DQN({"hyperparameters": settings, "seed": seed})


class Forgetful(DQN):
    """Does not restore Adam's moments."""

    def restore(self, tensors, header):
        zeros = {k: v * 0 if k[0] in "mv" else v for k, v in tensors.items()}
        super().restore(zeros, header)


class Noisy(DQN):
    """Adds global random noise to its weights."""

    def _train_step(self, batch_size, gamma):
        weights = self.learner.networks.weights.flat
        weights += np.random.normal(size=weights.size)  # noqa: NPY002
        return super()._train_step(batch_size, gamma)


class Hiding(DQN):
    """Hides NaN."""

    def predict(self, states):
        return np.nan_to_num(super().predict(states))


class Deaf(DQN):
    """Applies updates that are not finite."""

    def build(self, *args):
        super().build(*args)
        self.learner.require_finite = lambda *_: None


class Lazy(DQN):
    """Learns nothing."""

    def train_step(self):
        kept = copy.deepcopy(self.q_network["weights"])
        loss = super().train_step()
        self.q_network["weights"] = kept
        return loss


class Stubborn(DQN):
    """Never explores."""

    def select_actions(self, states, exploration_rate=0.0):
        return super().select_actions(states, 0.0)


class Contrary(DQN):
    """Chooses the worst action."""

    def select_actions(self, states, exploration_rate=0.0):
        return self.predict(states).argmin(axis=1)


class Flock(DQN):
    """Explores in all states at once, or in none."""

    def select_actions(self, states, exploration_rate=0.0):
        together = self._generators["exploration"].random() < exploration_rate
        return super().select_actions(states, float(together))


class Careless(DQN):
    """Chooses an action from NaN."""

    def select_actions(self, states, exploration_rate=0.0):
        return super().select_actions(np.nan_to_num(states), exploration_rate)


class Eager(DQN):
    """Learns while it acts."""

    def select_actions(self, states, exploration_rate=0.0):
        self.train_step()
        return super().select_actions(states, exploration_rate)


class Percent(DQN):
    """Counts exploration in percent."""

    def exploration_at(self, progress):
        return 100 * super().exploration_at(progress)


class Living(DQN):
    """Hands out its own weights."""

    def policy_network(self):
        return SimpleNamespace(values=self.predict)


@pytest.mark.parametrize(
    ("cls", "promise", "arguments"),
    [
        (Forgetful, "test_state_and_restore_continue_bit_by_bit", ()),
        (Noisy, "test_same_seed_same_bytes", ()),
        (Noisy, "test_the_global_random_state_is_left_alone", ()),
        (Hiding, "test_predict_does_not_hide_nan", ()),
        (Deaf, "test_nan_in_a_batch_is_refused_and_changes_nothing", ("r_t",)),
        (Lazy, "test_it_learns_a_bandit", (False,)),
        (Stubborn, "test_all_random_actions_come_equally_often", ()),
        (Stubborn, "test_each_state_explores_by_itself", ()),
        (Contrary, "test_without_exploration_the_action_is_the_best_one", ()),
        (Flock, "test_each_state_explores_by_itself", ()),
        (Careless, "test_no_action_is_chosen_from_nan", ()),
        (Eager, "test_acting_and_observing_do_not_learn", ()),
        (Percent, "test_the_exploration_rate_is_a_probability_at_every_progress", ()),
        (Living, "test_the_policy_network_gives_the_greedy_action", ()),
    ],
)
def test_the_contract_catches(cls, promise, arguments):
    def make_model(seed):
        return cls({"hyperparameters": SETTINGS, "seed": seed})

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(ModelContract(), promise)(make_model, *arguments)
