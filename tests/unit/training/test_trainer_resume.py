"""Resume is bit-identical, from every checkpoint; and no part of the state could be left out."""

import shutil

import numpy as np
import pytest
from small_training import EVERY_OPTION, ScriptedValidation, bits, make_trainer

from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore


class Archive(CheckpointStore):
    """A store that puts the first checkpoint of every step aside."""

    def __init__(self, folder, archive):
        super().__init__(folder)
        self.archive = archive
        archive.mkdir(parents=True)

    def save(self, step, tensors, header):
        path = super().save(step, tensors, header)
        if not (self.archive / path.name).exists():
            shutil.copy(path, self.archive / path.name)
        return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted training, and all its checkpoints (those of a second one, to be sure)."""
    folder = tmp_path_factory.mktemp("whole")
    trainer = make_trainer()
    left = bits(trainer, trainer.run())
    archived = make_trainer(store=Archive(folder / "kept", folder / "all"), checkpoint_interval=1)
    archived.run()
    return left, folder / "all"


def restored(folder, whole, step, **arguments):
    """Return a new trainer that has resumed from the checkpoint of `step` alone."""
    folder.mkdir(exist_ok=True)
    name = f"step-{step:010d}.safetensors"
    shutil.copy(whole[1] / name, folder / name)
    trainer = make_trainer(store=CheckpointStore(folder), **arguments)
    assert trainer.resume() == []
    assert trainer.step == step
    return trainer


def test_there_is_a_checkpoint_of_every_step(whole):
    # And one before the first, as the trajectories alone make more steps than the interval.
    assert len(list(whole[1].iterdir())) == 61


@pytest.mark.parametrize("step", [1, 2, 9, 10, 20, 41, 59, 60])
def test_from_any_checkpoint_the_same_bits(tmp_path, whole, step):
    trainer = restored(tmp_path, whole, step)
    assert bits(trainer, trainer.run()) == whole[0]


def test_again_and_again(tmp_path, whole):
    """Resumed, stopped by an error right after a save, resumed: five trainers' worth of state."""
    store = CheckpointStore(tmp_path)
    for stop in (3, 11, 12, 40):
        trainer = make_trainer(store=store)
        trainer.resume()
        trainer.on_row = stop_at(trainer, stop)
        with pytest.raises(RuntimeError, match="plug"):
            trainer.run()
    trainer = make_trainer(store=store)
    trainer.resume()
    assert bits(trainer, trainer.run()) == whole[0]


def stop_at(trainer, step):
    def on_row(row):
        if row["step"] == step:
            trainer.save()
            raise RuntimeError("pulled the plug")

    return on_row


@pytest.mark.parametrize(
    "change", [{"counterfactual": False}, {"patience": 3}, {"trajectories": 5}]
)
def test_other_ways_of_training_too(tmp_path, change):
    one = make_trainer(**change)
    one = bits(one, one.run())
    archive = tmp_path / "all"
    make_trainer(store=Archive(tmp_path / "kept", archive), **change).run()
    for file in sorted(archive.iterdir()):
        folder = tmp_path / file.stem
        folder.mkdir()
        shutil.copy(file, folder / file.name)
        trainer = make_trainer(store=CheckpointStore(folder), **change)
        trainer.resume()
        assert bits(trainer, trainer.run()) == one


def fresh(name):
    return generator(5, f"training/{name}").bit_generator.state


def forget_generator(attribute, name):
    def forget(trainer):
        getattr(trainer, attribute).bit_generator.state = fresh(name)

    return forget


def forget_model_generator(name):
    def forget(trainer):
        start = generator(5, f"dqn/{name}").bit_generator.state
        trainer.model._generators[name].bit_generator.state = start

    return forget


def forget_column(name):
    def forget(trainer):
        column = trainer.replay._columns[name]
        column[...] = np.roll(column, 1)

    return forget


def forget_tensors(name):
    def forget(trainer):
        getattr(trainer.model.learner.networks, name).flat[:] = 0.0

    return forget


def forget_value(name, value):
    return lambda trainer: setattr(trainer.progress, name, value)


def forget_adams_t(trainer):
    trainer.model.q_network["optimizer_state"]["t"] = 0


def forget_learning_rate(trainer):
    trainer.model.learning_rate = 1e-3


def best_of_now(trainer):
    tensors, header = trainer.model.state()
    trainer.best.tensors = {k: v.copy() for k, v in tensors.items()}
    trainer.best.header = header


PARTS = {
    "exploration generator": forget_model_generator("exploration"),
    "trajectories generator": forget_generator("_walk", "trajectories"),
    "replay generator": forget_generator("_draw", "replay"),
    "replay rows": forget_column("rows"),
    "replay positions": forget_column("positions"),
    "replay next": lambda trainer: setattr(trainer.replay, "_next", 0),
    "replay size": lambda trainer: setattr(trainer.replay, "_size", 400),
    "trajectory rows": lambda t: (
        t.trajectories.rows.__setitem__(slice(None), 3)
        if t.trajectories.rows.flags.writeable
        else setattr(t.trajectories, "rows", np.full(16, 3))
    ),
    "trajectory targets": lambda t: setattr(t.trajectories, "held", np.zeros(16, int)),
    "online weights": forget_tensors("weights"),
    "target weights": forget_tensors("target_weights"),
    "first moments": forget_tensors("m"),
    "second moments": forget_tensors("v"),
    "Adam's t": forget_adams_t,
    "learning rate": forget_learning_rate,
    "step": forget_value("step", 24),
    "history": forget_value("history", []),
    "sum of losses": forget_value("loss_sum", 0.0),
    "count of losses": forget_value("loss_count", 0),
    "best weights": best_of_now,
    "best value": lambda t: setattr(t.best, "value", -1e9),
    "best step": lambda t: setattr(t.best, "step", 0),
    "validation not yet logged": forget_value("unlogged", None),
}


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A training that is between everything at step 25: rows, looks, target updates.

    Its best look is the first, before step 25, and a row is due after every 7 steps.
    """
    folder = tmp_path_factory.mktemp("rich")
    # Without second moments the steps are so large that the values diverge.
    return archived(folder, {"log_interval": 7, "on_divergence": "ignore"})


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The same with every option of the learner that a market allows; two steps a round."""
    folder = tmp_path_factory.mktemp("everything")
    return archived(folder, {**EVERY_OPTION, "log_interval": 7})


def archived(folder, hyperparameters):
    """Return what an uninterrupted training leaves, and the checkpoints of its twin."""
    arguments = {"hyperparameters": hyperparameters, "checkpoint_interval": 1}
    arguments["validation_interval"] = 12
    looks = (3.0, 2.0, 1.0, 2.5, 0.5)
    trainer = make_trainer(validation=ScriptedValidation(*looks), **arguments)
    left = bits(trainer, trainer.run())
    store = Archive(folder / "kept", folder / "all")
    make_trainer(validation=ScriptedValidation(*looks), store=store, **arguments).run()
    return left, folder / "all", arguments, looks


def resume_rich(folder, rich, step=25, forget=None):
    left, archive, arguments, looks = rich
    remaining = ScriptedValidation(*looks[step // 12 :])
    trainer = restored(folder, (left, archive), step, validation=remaining, **arguments)
    if forget:
        forget(trainer)
    return bits(trainer, trainer.run())


def test_rich_training_resumes(tmp_path, rich):
    assert resume_rich(tmp_path, rich) == rich[0]


@pytest.mark.parametrize("part", PARTS)
def test_part_that_is_left_out_shows(tmp_path, rich, part):
    """Each part of a checkpoint, put back to what a new trainer would have."""
    # Unlogged growth is there between a look, at 24, and the next row, at 28.
    assert resume_rich(tmp_path, rich, forget=PARTS[part]) != rich[0]


OPTIONAL_PARTS = {
    "priorities": lambda t: t.replay.sampler._tree.fill(np.ones(len(t.replay))),
    "largest priority": lambda t: setattr(t.replay.sampler, "max_priority", 50.0),
    "noise generator": forget_model_generator("noise"),
    "target's noise generator": forget_model_generator("target-noise"),
    "exploration generator": forget_model_generator("exploration"),
    "mean of the observations": lambda t: setattr(t.model.normalizer, "mean", np.zeros(6)),
    "deviation of the observations": lambda t: setattr(t.model.normalizer, "m2", np.ones(6)),
    "count of the observations": lambda t: setattr(t.model.normalizer, "count", 16.0),
    "first moments": forget_tensors("m"),
    "second moments": forget_tensors("v"),
    "target weights": forget_tensors("target_weights"),
}


@pytest.mark.parametrize("step", [2, 12, 24, 26, 40, 58, 60])
def test_with_every_option_from_any_checkpoint_the_same_bits(tmp_path, everything, step):
    assert resume_rich(tmp_path, everything, step) == everything[0]


def test_the_options_are_on(tmp_path, everything):
    left, _, _, _ = everything
    priorities = np.frombuffer(left["replay"]["sampler.priorities"])
    assert len(np.unique(priorities)) > 50
    assert {"q.gain0", "q.sigma_W0", "normalizer.mean"} <= set(left["weights"])
    rates = [row["learning_rate"] for row in left["history"]]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 2 * rates[-1]


@pytest.mark.parametrize("part", OPTIONAL_PARTS)
def test_optional_part_that_is_left_out_shows(tmp_path, everything, part):
    forget = OPTIONAL_PARTS[part]
    assert resume_rich(tmp_path, everything, step=26, forget=forget) != everything[0]


@pytest.mark.parametrize("options", ["rich", "everything"])
def test_what_is_resumed_saves_the_same_bytes(tmp_path, request, options):
    """Also what has no effect at this moment, such as the guard's largest reward and beta."""
    left, archive, arguments, _ = request.getfixturevalue(options)
    looks = ScriptedValidation(0.0)
    trainer = restored(tmp_path / "a", (left, archive), 26, validation=looks, **arguments)
    trainer.checkpoints.store = CheckpointStore(tmp_path / "b")
    trainer.save()
    (again,) = (tmp_path / "b").iterdir()
    assert again.read_bytes() == (archive / again.name).read_bytes()


@pytest.mark.parametrize(
    "forget",
    [
        lambda t: setattr(t.replay.sampler, "beta", 0.4),
        lambda t: setattr(t.model.learner.guard, "largest_reward", 0.0),
        lambda t: setattr(t.model.learner.guard, "first_q", None),
        lambda t: t.model.set_progress(0.0),
        lambda t: setattr(t.model, "learning_rate_scale", 1.0),
    ],
)
def test_the_comparison_of_files_sees_it(tmp_path, everything, forget):
    left, archive, arguments, _ = everything
    looks = ScriptedValidation(0.0)
    trainer = restored(tmp_path / "a", (left, archive), 26, validation=looks, **arguments)
    forget(trainer)
    trainer.checkpoints.store = CheckpointStore(tmp_path / "b")
    trainer.save()
    (again,) = (tmp_path / "b").iterdir()
    assert again.read_bytes() != (archive / again.name).read_bytes()


def test_checkpoint_of_the_other_sampler_is_refused(tmp_path):
    store = CheckpointStore(tmp_path)
    make_trainer(store=store, steps=10).run()
    other = make_trainer(store=store, steps=10, hyperparameters={"prioritized_replay": True})
    with pytest.raises(ConfigError, match="this one samples by priority"):
        other.resume()


def test_patience_is_part_of_it(tmp_path):
    arguments = {"patience": 3, "checkpoint_interval": 1}
    one = make_trainer(validation=ScriptedValidation(9.0, 1.0), **arguments).run()
    assert one.steps == 40
    store = Archive(tmp_path / "kept", tmp_path / "all")
    make_trainer(validation=ScriptedValidation(9.0, 1.0), store=store, **arguments).run()
    for forget, expected in ((False, 40), (True, 60)):
        looks = ScriptedValidation(1.0)
        trainer = restored(
            tmp_path / str(forget), (None, store.archive), 35, validation=looks, **arguments
        )
        if forget:
            trainer.progress.stale = 0
        assert trainer.run().steps == expected


def test_nothing_to_resume_from(tmp_path, whole):
    trainer = make_trainer(store=CheckpointStore(tmp_path / "none"))
    assert trainer.resume() == []
    assert make_trainer().resume() == []
    assert bits(trainer, trainer.run()) == whole[0]


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "flipped bit":
        data[len(data) // 2] ^= 4
    elif how == "truncated":
        data = data[: len(data) * 2 // 3]
    else:
        data = bytearray()
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flipped bit", "truncated", "empty"])
def test_damaged_newest_falls_back_and_says_so(tmp_path, whole, how):
    store = CheckpointStore(tmp_path)
    make_trainer(store=store).run()
    older, newest = sorted(tmp_path.iterdir())
    assert (older.name, newest.name) == (
        "step-0000000049.safetensors",
        "step-0000000056.safetensors",
    )
    damage(newest, how)
    trainer = make_trainer(store=store)
    said = trainer.resume()
    assert len(said) == 1
    assert newest.name in said[0]
    assert "\n" not in said[0]
    assert trainer.step == 49
    assert bits(trainer, trainer.run()) == whole[0]


def test_all_damaged_is_an_error(tmp_path):
    store = CheckpointStore(tmp_path)
    make_trainer(store=store).run()
    for path in tmp_path.iterdir():
        damage(path, "flipped bit")
    with pytest.raises(CheckpointError, match=r"no checkpoint can be read: .*056.*; .*049"):
        make_trainer(store=store).resume()


def test_checkpoint_of_another_network_is_refused(tmp_path):
    store = CheckpointStore(tmp_path)
    make_trainer(store=store, steps=10).run()
    other = make_trainer(store=store, steps=10, hyperparameters={"hidden_layers": [9]})
    with pytest.raises(CheckpointError, match=r"does not fit this network: q\.W0"):
        other.resume()


def test_save_without_a_store_is_refused():
    with pytest.raises(CheckpointError, match="no checkpoint store"):
        make_trainer().save()
