"""The training loop: its counts, its rows, its best weights, its end, its independence."""

import dataclasses

import numpy as np
import pytest
from small_training import EVERY_OPTION, GRID, ScriptedValidation, bits, make_trainer, markets

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQNHyperparameters
from reinforcestrategycreator_pipeline.pipeline.fits import write_history
from reinforcestrategycreator_pipeline.policies.dqn_training import (
    HISTORY_COLUMNS,
    MarketTrainer,
    TrainingConfig,
    require_single_steps,
)
from reinforcestrategycreator_pipeline.replay.sampling import UniformSampler
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore
from reinforcestrategycreator_pipeline.testing.trading_cases import FREE, asset_of, random_asset


def finished(**arguments):
    trainer = make_trainer(**arguments)
    return bits(trainer, trainer.run())


class TestDeterminism:
    @pytest.mark.parametrize("counterfactual", [True, False])
    def test_same_seed_same_bits(self, counterfactual):
        one = finished(counterfactual=counterfactual)
        assert finished(counterfactual=counterfactual) == one

    def test_other_seed_other_bits(self):
        one, other = finished(seed=5), finished(seed=6)
        for part in ("weights", "replay", "trajectories", "history"):
            assert one[part] != other[part]

    def test_global_generator_does_not_matter(self):
        one = finished()
        np.random.seed(99)  # noqa: NPY002
        assert finished() == one

    def test_counterfactual_learns_from_other_batches(self):
        one, other = finished(), finished(counterfactual=False)
        assert one["weights"] != other["weights"]

    def test_checkpoints_change_nothing(self, tmp_path):
        assert finished(store=CheckpointStore(tmp_path)) == finished()


class TestCounts:
    @pytest.mark.parametrize(("steps", "gradient_steps"), [(1, 1), (25, 4), (60, 7), (3, 50)])
    def test_exactly_as_many_steps_as_asked(self, steps, gradient_steps):
        trainer = make_trainer(steps=steps, hyperparameters={"gradient_steps": gradient_steps})
        result = trainer.run()
        assert result.steps == steps
        assert trainer.model.q_network["optimizer_state"]["t"] in range(1, steps + 1)
        assert [row["step"] for row in result.history] == list(range(1, steps + 1))
        assert not result.stopped_early

    def test_collects_before_it_learns(self):
        sizes = []
        trainer = make_trainer(
            on_row=lambda row: sizes.append(len(trainer.replay)),
            hyperparameters={"learning_starts": 300, "train_frequency": 3},
        )
        trainer.run()
        # 48 a round: the first at which 300 are there is the seventh, then 48 more each step, to
        # the capacity of 500.
        assert sizes[:5] == [336, 384, 432, 480, 500]

    def test_learning_starts_above_the_capacity_does_not_hang(self):
        result = make_trainer(hyperparameters={"learning_starts": 10_000}, steps=5).run()
        assert result.steps == 5

    def test_learning_starts_at_once_if_it_may(self):
        sizes = []
        trainer = make_trainer(
            on_row=lambda row: sizes.append(len(trainer.replay)),
            hyperparameters={"learning_starts": 0, "train_frequency": 1, "batch_size": 20},
        )
        trainer.run()
        assert sizes[:3] == [32, 48, 64]  # 16 a step; a batch needs 20

    @pytest.mark.parametrize("train_frequency", [1, 3])
    def test_minus_one_trains_as_often_as_the_trajectories_step(self, train_frequency):
        sizes = []
        settings = {"gradient_steps": -1, "train_frequency": train_frequency}
        trainer = make_trainer(
            on_row=lambda row: sizes.append(len(trainer.replay)),
            hyperparameters={**settings, "learning_starts": 0, "buffer_size": 5000},
            steps=10,
        )
        assert trainer.run().steps == 10
        rounds = -(-10 // train_frequency)
        expected = 16 * train_frequency * np.repeat(np.arange(1, rounds + 1), train_frequency)
        assert sizes == expected[:10].tolist()

    def test_exploration_falls_with_the_steps_and_adam_is_left_alone(self):
        trainer = make_trainer()
        before = trainer.model.learning_rate
        rates = [row["exploration_rate"] for row in trainer.run().history]
        # 1 -> 0.05 over the first 70% of 60 steps; step k collects at progress (k - 1) / 60.
        expected = [max(1 - 0.95 * (k - 1) / 42, 0.05) for k in range(1, 61)]
        np.testing.assert_allclose(rates, expected, rtol=1e-12)
        assert trainer.model.learning_rate == before

    def test_stored_transitions_are_of_the_training_market(self):
        trainer = make_trainer()
        trainer.run()
        stored = trainer.replay.arrays()
        assert np.isin(stored["rows"], trainer.market.decision_rows).all()
        assert set(stored["positions"].tolist()) == {0, 1, 2}
        assert set(stored["actions"].tolist()) == {0, 1, 2}


class TestOptions:
    @pytest.mark.parametrize("counterfactual", [True, False])
    def test_priorities_choose_the_batches_and_are_updated(self, counterfactual):
        settings = {"prioritized_replay": True, "buffer_size": 5000}
        trainer = make_trainer(hyperparameters=settings, counterfactual=counterfactual)
        batches, updates = [], []
        sample, update = trainer.replay.sample, trainer.replay.update_priorities

        def noting_sample(batch_size):
            batches.append(sample(batch_size))
            return batches[-1]

        def noting_update(indices, priorities):
            updates.append((indices.tolist(), np.array(priorities)))
            update(indices, priorities)

        trainer.replay.sample, trainer.replay.update_priorities = noting_sample, noting_update
        trainer.run()
        assert len(batches) == len(updates) == 60
        for batch, (indices, priorities) in zip(batches, updates, strict=True):
            assert batch.weights.shape == priorities.shape == (8,)
            assert batch.weights.max() == 1.0
            assert batch.indices.tolist() == indices
        # What was learned from has (|error| + 1e-6)^0.6; what was not has the largest there was.
        last = {slot: p for s, ps in updates for slot, p in zip(s, ps, strict=True)}
        stored = trainer.replay.arrays()["sampler.priorities"]
        for slot, error in last.items():
            assert stored[slot] == pytest.approx((float(error) + 1e-6) ** 0.6, rel=1e-6)
        others = np.delete(stored, list(last))
        assert others.min() >= 1.0

    def test_the_weights_correct_more_and_more(self):
        trainer = make_trainer(hyperparameters={"prioritized_replay": True})
        betas = []
        trainer.on_row = lambda row: betas.append(trainer.replay.sampler.beta)
        trainer.run()
        # 0.4 -> 1 over the 60 steps; step k is at progress (k - 1) / 60.
        np.testing.assert_allclose(betas, [0.4 + 0.01 * k for k in range(60)], rtol=1e-12)

    def test_the_learning_rate_follows_its_schedule(self):
        settings = {"learning_rate_schedule": "linear", "learning_rate_final": 0.0}
        rates = [r["learning_rate"] for r in make_trainer(hyperparameters=settings).run().history]
        np.testing.assert_allclose(rates, [3e-3 * (60 - k) / 60 for k in range(60)], rtol=1e-12)

    def test_observations_that_were_met_are_counted(self):
        trainer = make_trainer(hyperparameters={"normalize_observations": True}, steps=4)
        met = []
        step = trainer.trajectories.step

        def noting_step(actions):
            met.append(trainer.trajectories.states())
            return step(actions)

        trainer.trajectories.step = noting_step
        trainer.run()
        assert len(met) == 2 * 7  # seven rounds of two: the fourth training step, 100 of 32 before
        trainer.best.put_into(trainer.model)
        rows = np.concatenate(met).astype(float)
        assert trainer.model.normalizer.count == len(rows)
        np.testing.assert_allclose(trainer.model.normalizer.mean, rows.mean(axis=0), rtol=1e-9)

    def test_noise_explores_without_random_actions(self):
        def actions(**settings):
            trainer = make_trainer(
                hyperparameters={
                    "exploration_initial": 0.0,
                    "exploration_final": 0.0,
                    "learning_rate": 1e-12,
                    **settings,
                }
            )
            trainer.trajectories.rows[:], trainer.trajectories.held[:] = 7, 1
            chosen = []
            for _ in range(20):
                states = trainer.trajectories.states()
                chosen.append(trainer.model.select_actions(states, 0.0)[0])
            return set(chosen)

        assert len(actions()) == 1
        assert len(actions(noisy=True, noisy_sigma=2.0)) > 1

    @pytest.mark.parametrize("n_step", [2, 3])
    def test_returns_over_several_bars_are_refused(self, n_step):
        with pytest.raises(ConfigError, match=r"n_step parameter of DQN must be 1, .* Got [23]"):
            make_trainer(hyperparameters={"n_step": n_step})
        with pytest.raises(ConfigError, match="must be 1 on a market, whose replay holds si"):
            require_single_steps(DQNHyperparameters(n_step=n_step))

    def test_with_every_option_on_the_same_seed_gives_the_same_bits(self):
        one = finished(hyperparameters=EVERY_OPTION)
        assert finished(hyperparameters=EVERY_OPTION) == one
        for row in one["history"]:
            numbers = [v for k, v in row.items() if k != "validation_growth"]
            assert np.isfinite(np.array(numbers, dtype=float)).all()

    def test_the_model_makes_the_replay_draw_by_priority(self):
        assert isinstance(make_trainer().replay.sampler, UniformSampler)
        trainer = make_trainer(hyperparameters={"prioritized_replay": True, "priority_alpha": 0.3})
        assert trainer.replay.sampler is trainer.model.replay_buffer.sampler
        assert trainer.replay.sampler.alpha == 0.3


class TestHistory:
    def test_rows_have_the_columns_and_finite_numbers(self):
        for row in make_trainer().run().history:
            assert set(row) == set(HISTORY_COLUMNS)
            numbers = [v for k, v in row.items() if k != "validation_growth"]
            assert np.isfinite(np.array(numbers, dtype=float)).all()

    def test_a_models_own_diagnostics_are_columns(self, tmp_path):
        trainer = make_trainer(steps=5)
        train = trainer.model.train_step

        def noting():
            loss = train()
            trainer.model.learner.diagnostics["r2"] = 0.5
            return loss

        trainer.model.train_step = noting
        write_history(tmp_path / "history.csv", trainer.run().history)
        header, *rows = (tmp_path / "history.csv").read_text().splitlines()
        assert set(header.split(",")) == {*HISTORY_COLUMNS, "r2"}
        assert len(rows) == 5

    def test_loss_is_the_mean_since_the_last_row(self):
        every = [row["loss"] for row in make_trainer().run().history]
        fourth = [
            row["loss"] for row in make_trainer(hyperparameters={"log_interval": 4}).run().history
        ]
        np.testing.assert_allclose(fourth, np.reshape(every, (15, 4)).mean(axis=1), rtol=1e-12)

    def test_rows_are_handed_out_as_they_come(self):
        rows = []
        assert make_trainer(on_row=rows.append).run().history == rows

    @pytest.mark.parametrize("log_interval", [1, 3, 4, 10, 25])
    def test_validation_growth_is_in_the_next_row(self, log_interval):
        """Also where the two intervals do not fit: else the report has no validation curve."""
        trainer = make_trainer(
            validation=ScriptedValidation(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
            hyperparameters={"log_interval": log_interval},
        )
        seen = {r["step"]: r["validation_growth"] for r in trainer.run().history}
        for step, growth in seen.items():
            newest = step // 10
            is_news = newest > (step - log_interval) // 10
            assert growth == (float(newest) if is_news else None)

    def test_no_rows_when_switched_off(self):
        result = make_trainer(hyperparameters={"log_interval": 0}).run()
        assert result.history == []
        assert result.best_step > 0


class TestBest:
    def test_weights_of_the_best_look_are_left_in_the_model(self):
        weights = {}

        def keep(row):
            tensors, _ = trainer.model.state()
            weights[row["step"]] = {k: v.tobytes() for k, v in tensors.items()}

        trainer = make_trainer(validation=ScriptedValidation(1.0, 3.0, 2.0, 2.5), on_row=keep)
        result = trainer.run()
        assert (result.best_step, result.best_validation_growth) == (20, 3.0)
        left = {k: v.tobytes() for k, v in trainer.model.state()[0].items()}
        assert left == weights[20]
        assert left != weights[60]

    def test_first_of_equals_wins(self):
        assert make_trainer(validation=ScriptedValidation(1.0)).run().best_step == 10

    def test_growth_is_that_of_the_greedy_policy_that_is_left(self):
        trainer = make_trainer()
        result = trainer.run()
        market = trainer.validation
        growth = market.path_log_growth(market.greedy_paths(trainer.model.predict)).mean()
        assert growth == result.best_validation_growth

    @pytest.mark.parametrize("steps", [5, 15, 60])
    def test_last_weights_are_looked_at_too(self, steps):
        looks = ScriptedValidation(*np.arange(1.0, 9.0))
        result = make_trainer(validation=looks, steps=steps).run()
        assert result.best_step == steps

    @pytest.mark.parametrize("growth", [np.nan, np.inf])
    def test_look_that_is_not_finite_stops(self, growth):
        with pytest.raises(NonFiniteError, match="step 20: the validation growth is"):
            make_trainer(validation=ScriptedValidation(1.0, growth)).run()


class TestPatience:
    def test_stops_after_looks_without_a_new_best(self):
        result = make_trainer(patience=2, validation=ScriptedValidation(1.0, 5.0, 4.0)).run()
        assert (result.best_step, result.steps, result.stopped_early) == (20, 40, True)

    def test_a_new_best_renews_it(self):
        looks = ScriptedValidation(1.0, 0.0, 2.0, 1.0, 3.0, 1.0)
        result = make_trainer(patience=2, validation=looks).run()
        assert (result.best_step, result.steps, result.stopped_early) == (50, 60, False)

    def test_zero_is_for_ever(self):
        assert make_trainer(patience=0, validation=ScriptedValidation(1.0)).run().steps == 60

    def test_running_out_at_the_last_step_is_no_early_stop(self):
        # Looks at 20 (best), 40, and, after the end, at 50.
        result = make_trainer(
            patience=2, validation=ScriptedValidation(1.0), steps=50, validation_interval=20
        ).run()
        assert (result.steps, result.stopped_early) == (50, False)

    def test_best_of_the_last_look_leaves_the_early_stop_an_early_stop(self):
        # 7 steps at once: patience runs out at 20, training ends at 21, and the look there is best.
        result = make_trainer(
            patience=1,
            validation=ScriptedValidation(1.0, 0.5, 9.0),
            hyperparameters={"gradient_steps": 7},
        ).run()
        assert (result.steps, result.best_step, result.stopped_early) == (21, 21, True)


class TestNoLookAhead:
    """No. 4: what validation holds changes nothing that training computes."""

    def final(self, trainer):
        trainer.run()
        (tensors, header), skipped = trainer.checkpoints.store.load_newest()
        progress = header["progress"]
        assert skipped == []
        assert progress["step"] == 60
        kept = {k: v.tobytes() for k, v in tensors.items() if not k.startswith("best.")}
        losses = [(r["loss"], r["grad_norm"], r["q_mean"]) for r in progress["history"]]
        return kept, progress["generators"], losses

    def corrupt(self):
        rng = np.random.default_rng(0)
        bars = [random_asset(n, 77 + n, volatility=0.3) for n in (12, 40, 33)]
        shuffled = [
            asset_of(b.open, b.close, b.times, rng.normal(size=(len(b.close), 3))) for b in bars
        ]
        return ExogenousMarket(shuffled, GRID, FREE)

    def test_final_weights_do_not_depend_on_validation(self, tmp_path):
        def made(folder, **arguments):
            store = CheckpointStore(tmp_path / folder)
            return make_trainer(checkpoint_interval=60, store=store, **arguments)

        assert self.final(made("a")) == self.final(made("b", validation=self.corrupt()))

    def test_planted_dependence_is_seen(self, tmp_path):
        class Leaky(MarketTrainer):
            def _validate(self):
                super()._validate()
                self._draw.random(len(self.validation.features))

        def leaky(folder, **arguments):
            store = CheckpointStore(tmp_path / folder)
            trainer = make_trainer(checkpoint_interval=60, store=store, **arguments)
            trainer.__class__ = Leaky
            return trainer

        assert self.final(leaky("a")) != self.final(leaky("b", validation=self.corrupt()))


def test_reward_that_is_not_finite_stops_training():
    trainer = make_trainer()
    trainer.market.rewards[:] = np.nan
    with pytest.raises(NonFiniteError, match=r"training step 1: .*the sampled rewards"):
        trainer.run()


def test_loss_floor_by_hand():
    # Flat: 0 at every bar. Long: rewards 2, 0, 1 (variance 2/3) whatever was held before.
    train, _ = markets()
    trainer = make_trainer(counterfactual=False)
    trainer.market = train
    train.rewards[:] = 0.0
    train.rewards[train.decision_rows[0::3], :, 2] = 2.0
    train.rewards[train.decision_rows[2::3], :, 2] = 1.0
    m = len(train.decision_rows)
    counts = np.array([len(range(0, m, 3)), len(range(2, m, 3))]) / m
    variance = counts @ [4.0, 1.0] - (counts @ [2.0, 1.0]) ** 2
    # Three of four stored transitions went long.
    trainer.replay.push_many(*np.array([[0, 1, 2, 3], [0, 1, 2, 1], [2, 2, 2, 1]]))
    assert trainer.loss_floor() == pytest.approx(0.75 * variance, rel=1e-6)
    trainer.config = dataclasses.replace(trainer.config, counterfactual=True)
    assert trainer.loss_floor() == pytest.approx(variance / 3, rel=1e-6)


@pytest.mark.parametrize(
    "settings", [{"head": "c51"}, {"head": "qr"}, {"loss": "huber"}, {"prioritized_replay": True}]
)
def test_other_losses_have_no_floor(settings):
    trainer = make_trainer(hyperparameters=settings, steps=3)
    trainer.run()
    assert trainer.loss_floor() is None


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(TrainingConfig)])
@pytest.mark.parametrize("value", [-1, 1.5, "3", None])
def test_wrong_config_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"The {name} parameter of TrainingConfig must be"):
        TrainingConfig(**{name: value})


def test_unknown_config_is_offered_the_nearest():
    with pytest.raises(ConfigError, match=r"'patients'\. Did you mean 'patience'"):
        from_mapping(TrainingConfig, {"patients": 3}, "training")


def test_more_trajectories_than_the_replay_holds():
    with pytest.raises(
        ConfigError, match=r"cannot store 501 transitions at once: .* capacity is 500"
    ):
        make_trainer(trajectories=501).run()
