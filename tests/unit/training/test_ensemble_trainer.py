"""Training of an ensemble: what it learns from, and that it can be resumed at any step."""

import numpy as np
import pytest
from small_training import GRID
from test_trainer_resume import Archive

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.errors import CheckpointError, NonFiniteError
from reinforcestrategycreator_pipeline.nn.network import apply
from reinforcestrategycreator_pipeline.policies import ensemble_training
from reinforcestrategycreator_pipeline.policies.ensemble_training import (
    EnsembleTrainer,
    EnsembleTraining,
)
from reinforcestrategycreator_pipeline.policies.relevance import threshold_for
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, random_asset

SMALL = {
    "agents": 3,
    "hidden_layers": (8,),
    "batch_size": 6,
    "value_interval": 5,
    "screening_steps": 13,
    "steps": 11,
    "caution": 0.01,  # little enough for some features to stay
    "checkpoint_interval": 7,
    "learning_rate": 3e-3,
}


def market():
    assets = [random_asset(50, 1, "A"), random_asset(30, 2, "B")]
    return ExogenousMarket(assets, GRID, DEAR)


def make_trainer(store=None, on_row=None, seed=5, **changes):
    config = EnsembleTraining(**{**SMALL, **changes})
    return EnsembleTrainer(market(), config, Seeds(seed), store, on_row)


def bits(result):
    return [
        *(n.weights[name].tobytes() for n in result.networks for name in n.weights),
        result.relevance.tobytes(),
        result.steps,
        [{k: v for k, v in r.items() if k != "steps_per_second"} for r in result.history],
    ]


@pytest.mark.parametrize("interval", [5, 40], ids=["the drawn bars", "all bars"])
def test_what_is_learned_is_the_return_of_the_bars_drawn(interval):
    """Against one bar at a time, with fewer draws than bars, and with more."""
    trainer = make_trainer(value_interval=interval, caution=0.0, steps=100)
    for _ in range(interval + 1):
        trainer._learn()
    parts = trainer.afterstates
    for k, agent in enumerate(trainer.population.agents):
        gap, held = trainer._by_chance[:, k]
        for place in (0, 1, interval - 1):
            for row, pick in zip(trainer._rows[place, k], trainer._picks[place, k], strict=True):
                x = trainer._features[[row + 1]]
                u = apply(agent.spec, agent.target_network["weights"], x)[0, :, 0]
                for q in range(3):
                    best = max(u[a] - parts.cost[q, a] for a in range(3)) + parts.gap[row + 1, q]
                    expected = parts.held[row, q] + 0.9 * parts.alive[row, q] * best
                    expected -= held[q] + 0.9 * gap[q]
                    assert trainer._returns[pick, q] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_before_the_first_evaluation_only_the_next_bar_counts():
    trainer = make_trainer(caution=0.0)
    trainer._learn()
    rows, picks = trainer._rows, trainer._picks
    held = trainer._by_chance[1][:, None]
    np.testing.assert_array_equal(trainer._returns[picks], trainer.afterstates.held[rows] - held)


def test_samples_are_drawn_by_time_for_all_assets_together():
    trainer = make_trainer()
    stamps = np.concatenate([a.times for a in trainer.market.assets])
    for pool in trainer._pools:
        rows, counts = np.unique(pool, return_counts=True)
        assert np.isin(rows, trainer.market.decision_rows).all()
        at = {}
        for row, count in zip(rows, counts, strict=True):
            assert at.setdefault(stamps[row], count) == count
        # All rows of a drawn time are there.
        for row in trainer.market.decision_rows:
            assert (stamps[row] in at) == (row in rows)


def test_an_agent_is_the_same_however_many_there_are():
    few, many = (make_trainer(agents=n, caution=0.0).run().networks for n in (2, 4))
    for a, b in zip(few, many, strict=False):
        for name in a.weights:
            assert a.weights[name].tobytes() == b.weights[name].tobytes()
    assert many[0].weights["W0"].tobytes() != many[1].weights["W0"].tobytes()


def test_the_threshold_depends_on_the_number_of_times():
    assert make_trainer().threshold == 0.01 * threshold_for(49)


def test_without_caution_there_is_one_stage_and_every_feature_stays():
    trainer = make_trainer(caution=0.0)
    assert trainer.config.total_steps == 11
    result = trainer.run()
    assert result.relevance.tolist() == [1.0, 1.0, 1.0]
    assert result.steps == 11


def test_if_no_feature_matters_nothing_more_is_trained():
    result = make_trainer(caution=1000.0).run()
    assert result.networks == ()
    assert result.relevance.tolist() == [0.0, 0.0, 0.0]
    assert result.steps == 13


def test_the_networks_read_unscreened_features():
    trainer = make_trainer()
    result = trainer.run()
    assert result.relevance.max() == 1.0
    assert result.relevance.min() < 1.0
    x = trainer.market.features[:9]
    for agent, network in zip(trainer.population.agents, result.networks, strict=True):
        expected = agent.predict(x * result.relevance.astype(np.float32))
        np.testing.assert_allclose(network.values(x), expected, rtol=1e-4, atol=1e-5)


def test_resume_from_any_step_gives_the_same_bits(tmp_path):
    whole = bits(make_trainer().run())
    archive = tmp_path / "all"
    archived = make_trainer(Archive(tmp_path / "kept", archive), checkpoint_interval=1)
    assert bits(archived.run()) == whole
    checkpoints = sorted(archive.iterdir())
    assert len(checkpoints) == 24
    for path in checkpoints[::3]:
        folder = tmp_path / path.stem
        folder.mkdir()
        (folder / path.name).write_bytes(path.read_bytes())
        trainer = make_trainer(CheckpointStore(folder))
        assert trainer.resume() == []
        assert trainer.step == int(path.stem.partition("-")[2])
        assert bits(trainer.run()) == whole, path.name


@pytest.mark.parametrize("changes", [{"seed": 6}, {"gamma": 0.8}, {"agents": 2}])
def test_another_training_is_not_resumed(tmp_path, changes):
    trainer = make_trainer(CheckpointStore(tmp_path))
    trainer.run()
    with pytest.raises(CheckpointError, match="belong to another training"):
        make_trainer(CheckpointStore(tmp_path), **changes).resume()


def test_numbers_that_are_not_finite_stop_it_and_name_the_agent():
    trainer = make_trainer()
    trainer.population.agents[1].q_network["weights"]["W0"][0, 0] = np.nan
    with pytest.raises(NonFiniteError, match="agent 1 of 3"):
        trainer.run()


def test_more_bars_need_less_decay(monkeypatch):
    """The 49 times are four times as many as none is taken off for: half of the decay is left."""
    monkeypatch.setattr(ensemble_training, "DECAY_TIMES", 49 / 4)
    trainer = make_trainer(screening_steps=1, caution=1e-6, weight_decay=2.0)
    decays = []
    for stage in (0, 1):
        trainer.progress.stage = stage
        trainer._enter()
        agents = trainer.population.agents
        decays += [agent.hyperparameters.weight_decay for agent in agents[:1]]
    assert decays == [0.5, 1.0]
