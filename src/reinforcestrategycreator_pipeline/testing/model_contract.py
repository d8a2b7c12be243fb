"""The contract of models. Inherit `ModelContract`, override the fixture `make_model`, and run.

class TestMyModel(ModelContract):
    @pytest.fixture
    def make_model(self):
        return lambda seed: MyModel({"hyperparameters": {...}, "seed": seed})
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import CheckpointError, NonFiniteError
from reinforcestrategycreator_pipeline.models.base import Model
from reinforcestrategycreator_pipeline.replay.batch import Batch

N_INPUTS, N_ACTIONS = 5, 3
SETTINGS = ("buffer_size", "learning_starts", "batch_size", "train_frequency", "gradient_steps")
MakeModel = Callable[[int], Model]


class BanditReplay:
    """Batches of one-step episodes in which action k pays element k of the state."""

    def __init__(self, all_actions: bool = False, seed: int = 0) -> None:
        self.all_actions = all_actions
        self.rng = np.random.default_rng(seed)
        self.spoil: str | None = None

    def __len__(self) -> int:
        return 10_000

    def sample(self, batch_size: int) -> Batch:
        s = self.rng.normal(size=(batch_size, N_INPUTS)).astype(np.float32)
        a = self.rng.integers(N_ACTIONS, size=batch_size)
        pays = s[:, :N_ACTIONS]
        if self.all_actions:
            following = np.repeat(s[:, None, :], N_ACTIONS, axis=1)
            batch = Batch(s, None, pays.copy(), following, np.ones(pays.shape, bool))
        else:
            r = pays[np.arange(batch_size), a]
            batch = Batch(s, a, r, s.copy(), np.ones(batch_size, bool))
        if self.spoil:
            getattr(batch, self.spoil).ravel()[0] = np.nan
        return batch


def built(make_model: MakeModel, seed: int = 0, all_actions: bool = False, steps: int = 0) -> Model:
    """Return a built model after `steps` training steps."""
    model = make_model(seed)
    model.build((N_INPUTS,), (N_ACTIONS,), BanditReplay(all_actions))
    for _ in range(steps):
        model.train_step()
    return model


def content(model: Model) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.state()[0].items()}


def clear(values: np.ndarray) -> np.ndarray:
    """Return which rows have a clear best action, as rounding may decide a tie."""
    best_two = np.sort(values, axis=1)[:, -2:]
    found: np.ndarray = best_two[:, 1] - best_two[:, 0] > 1e-4
    assert found.mean() > 0.9
    return found


STATES = np.random.default_rng(1).normal(size=(40, N_INPUTS))


class ModelContract:
    """The contract of a model, one test per promise.

    Attributes
    ----------
    remaining_loss : float
        Largest final loss as a fraction of the first losses. A cross-entropy cannot fall below the
        entropy of its targets, so models with such a loss may set a larger value.
    """

    remaining_loss = 0.1

    @pytest.fixture
    def make_model(self) -> MakeModel:
        raise NotImplementedError("override the fixture make_model: seed -> a model, not built")

    def test_it_tells_the_training_loop_its_settings(self, make_model):
        settings = make_model(0).hyperparameters
        for name in SETTINGS:
            assert isinstance(getattr(settings, name), int)
        for name in ("buffer_size", "batch_size", "train_frequency"):
            assert getattr(settings, name) >= 1
        assert settings.gradient_steps >= 1 or settings.gradient_steps == -1
        assert settings.learning_starts >= 0
        assert settings.log_interval >= 0

    def test_the_exploration_rate_is_a_probability_at_every_progress(self, make_model):
        model = built(make_model)
        assert 0 <= model.exploration_rate <= 1
        for progress in np.linspace(0, 1, 101):
            model.set_progress(float(progress))
            assert 0 <= model.exploration_rate <= 1

    def test_every_state_gets_an_action(self, make_model):
        model = built(make_model)
        actions = model.select_actions(STATES, 0.0)
        assert actions.shape == (len(STATES),)
        assert actions.dtype == np.int64
        assert set(actions.tolist()) <= set(range(N_ACTIONS))

    def test_without_exploration_the_action_is_the_best_one(self, make_model):
        model = built(make_model, steps=20)
        actions, values = model.select_actions(STATES), model.predict(STATES)
        assert (actions == values.argmax(axis=1))[clear(values)].all()

    def test_all_random_actions_come_equally_often(self, make_model):
        actions = built(make_model).select_actions(np.tile(STATES[0], (6000, 1)), 1.0)
        # Binomial standard error sqrt(6000 * 2 / 9) = 36.5, five of it.
        assert np.abs(np.bincount(actions, minlength=N_ACTIONS) - 2000).max() < 5 * 36.5

    def test_each_state_explores_by_itself(self, make_model):
        model = built(make_model)
        states = np.tile(STATES[0], (6000, 1))
        greedy = model.select_actions(states[:1], 0.0)[0]
        others = int((model.select_actions(states, 0.3) != greedy).sum())
        # 0.3 explore, two thirds of them elsewhere: 1200, standard error sqrt(6000 * .2 * .8) = 31.
        assert abs(others - 1200) < 5 * 31

    def test_no_action_is_chosen_from_nan(self, make_model):
        states = STATES.copy()
        states[3, 2] = np.nan
        with pytest.raises(NonFiniteError):
            built(make_model).select_actions(states)

    def test_acting_and_observing_do_not_learn(self, make_model):
        acting, still = built(make_model), built(make_model)
        acting.observe(STATES)
        acting.select_actions(STATES, 0.5)
        still.observe(STATES)  # which may update a normalization
        assert content(acting) == content(still)
        assert acting.predict(STATES).tobytes() == still.predict(STATES).tobytes()

    def test_predict_gives_one_value_an_action(self, make_model):
        model = built(make_model)
        values = model.predict(STATES)
        assert values.shape == (len(STATES), N_ACTIONS)
        assert np.isfinite(values).all()
        one = model.predict(STATES[0])
        assert one.shape == (N_ACTIONS,)
        np.testing.assert_allclose(one, values[0], rtol=1e-4, atol=1e-6)

    def test_predict_does_not_hide_nan(self, make_model):
        states = STATES.copy()
        states[3, 2] = np.nan
        assert np.isnan(built(make_model).predict(states)[3]).any()

    def test_predict_changes_nothing(self, make_model):
        model = built(make_model)
        before = content(model)
        first = model.predict(STATES).tobytes()
        assert model.predict(STATES).tobytes() == first
        assert content(model) == before

    def test_same_seed_same_bytes(self, make_model):
        def losses_and_content():
            model = built(make_model, seed=3)
            return [model.train_step() for _ in range(10)], content(model)

        assert losses_and_content() == losses_and_content()

    def test_the_global_random_state_is_left_alone(self, make_model):
        before = np.random.get_state()[1].tobytes()  # noqa: NPY002
        model = built(make_model, steps=3)
        model.predict(STATES)
        assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002

    @pytest.mark.parametrize("all_actions", [False, True])
    def test_it_learns_a_bandit(self, make_model, all_actions):
        model = built(make_model, all_actions=all_actions)
        losses = [model.train_step() for _ in range(3000)]
        assert all(isinstance(loss, float) for loss in losses)
        assert np.isfinite(losses).all()
        assert np.mean(losses[-100:]) < self.remaining_loss * np.mean(losses[:10])
        greedy = model.predict(STATES).argmax(axis=1)
        assert (greedy == STATES[:, :N_ACTIONS].argmax(axis=1)).mean() > 0.8

    def test_diagnostics_are_finite_numbers(self, make_model):
        model = built(make_model)
        for _ in range(max(model.hyperparameters.log_interval, 1)):
            model.train_step()
        assert bool(model.diagnostics) == bool(model.hyperparameters.log_interval)
        assert all(np.isfinite(value) for value in model.diagnostics.values())
        assert isinstance(model.squared_error, bool)

    @pytest.mark.parametrize("field", ["s_tm1", "s_t", "r_t"])
    def test_nan_in_a_batch_is_refused_and_changes_nothing(self, make_model, field):
        model, replay = make_model(0), BanditReplay()
        model.build((N_INPUTS,), (N_ACTIONS,), replay)
        model.train_step()
        before = content(model)
        replay.spoil = field
        with pytest.raises(NonFiniteError):
            model.train_step()
        assert content(model) == before

    def test_state_and_restore_continue_bit_by_bit(self, make_model):
        replays = [BanditReplay(seed=seed) for seed in (0, 8)]
        model, other = make_model(0), make_model(8)
        for each, replay in zip((model, other), replays, strict=True):
            each.build((N_INPUTS,), (N_ACTIONS,), replay)
        for _ in range(5):
            model.train_step()
        tensors, header = model.state()
        tensors = {name: array.copy() for name, array in tensors.items()}
        header = json.loads(json.dumps(header, allow_nan=False))
        other.restore(tensors, header)
        assert content(other) == content(model)
        for replay in replays:
            replay.rng = np.random.default_rng(5)
        assert [other.train_step() for _ in range(5)] == [model.train_step() for _ in range(5)]
        assert content(other) == content(model)

    def test_save_and_load_give_the_same_bytes(self, make_model, tmp_path):
        model = built(make_model, steps=5)
        seal = model.save(tmp_path / "model")
        loaded = type(model).load(tmp_path / "model")
        assert content(loaded) == content(model)
        assert loaded.predict(STATES).tobytes() == model.predict(STATES).tobytes()
        assert loaded.save(tmp_path / "again") == seal
        assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()

    def test_a_damaged_file_is_refused(self, make_model, tmp_path):
        path = tmp_path / "model"
        built(make_model).save(path)
        data = path.read_bytes()
        damaged = bytearray(data)
        damaged[len(data) // 2] ^= 1
        for content_ in (damaged, data[:-1], b"", b"\x80\x04N."):
            path.write_bytes(content_)
            with pytest.raises(CheckpointError, match=r"model: .*"):
                type(built(make_model)).load(path)

    def test_the_policy_network_gives_the_greedy_action(self, make_model):
        model = built(make_model, steps=20)
        network = model.policy_network()
        predicted, best = model.predict(STATES), network.values(STATES)
        assert best.shape == predicted.shape
        assert (best.argmax(axis=1) == predicted.argmax(axis=1))[clear(best)].all()
        for _ in range(20):  # it is a copy
            model.train_step()
        assert network.values(STATES).tobytes() == best.tobytes()
