"""Ctrl-C and SIGTERM: the state is whole, saved, and continues to the same bits."""

import shutil
import signal
import threading
import time

import pytest
from small_training import bits, make_trainer

from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore


def at_step(step, times=1, signum=signal.SIGINT):
    def on_row(row):
        if row["step"] == step:
            for _ in range(times):
                signal.raise_signal(signum)

    return on_row


@pytest.fixture(scope="module")
def whole():
    trainer = make_trainer()
    return bits(trainer, trainer.run())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 13, 30, 60])
def test_saves_and_continues_to_the_same_bits(tmp_path, whole, step, signum):
    store = CheckpointStore(tmp_path)
    trainer = make_trainer(store=store, on_row=at_step(step, signum=signum))
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert trainer.step == step
    newest = max(p.name for p in tmp_path.iterdir())
    assert newest == f"step-{step:010d}.safetensors"
    resumed = make_trainer(store=store)
    assert resumed.resume() == []
    assert resumed.step == step
    assert bits(resumed, resumed.run()) == whole


def test_second_one_interrupts_at_once(tmp_path):
    trainer = make_trainer(
        store=CheckpointStore(tmp_path), on_row=at_step(5, times=2), checkpoint_interval=1000
    )
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_training_step(tmp_path, whole):
    store = CheckpointStore(tmp_path)
    trainer = make_trainer(store=store)
    collect = trainer._collect

    def interrupted():
        collect()
        signal.raise_signal(signal.SIGINT)
        trainer._collect = collect

    trainer._collect = interrupted
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert [p.name for p in tmp_path.iterdir()] == ["step-0000000000.safetensors"]
    resumed = make_trainer(store=store)
    resumed.resume()
    assert bits(resumed, resumed.run()) == whole


def test_one_that_comes_as_the_loop_ends_is_not_lost():
    trainer = make_trainer()
    out_of_patience = trainer._out_of_patience

    def late():
        if trainer.step == 59:  # the last time that the loop asks
            signal.raise_signal(signal.SIGINT)
        return trainer.step == 59 or out_of_patience()

    trainer._out_of_patience = late
    with pytest.raises(KeyboardInterrupt):
        trainer.run()


def test_without_a_store_it_still_stops():
    trainer = make_trainer(on_row=at_step(7))
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert trainer.step == 7


@pytest.mark.parametrize("how", ["end", "interrupt", "error"])
def test_handlers_are_put_back(how):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]

    def broken(row):
        raise ZeroDivisionError

    on_row = {"end": None, "interrupt": at_step(3), "error": broken}[how]
    trainer = make_trainer(on_row=on_row, steps=10)
    expected = {"interrupt": KeyboardInterrupt, "error": ZeroDivisionError}.get(how)
    if expected:
        with pytest.raises(expected):
            trainer.run()
    else:
        trainer.run()
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_it_trains_and_touches_no_handler(whole):
    before = signal.getsignal(signal.SIGINT)
    seen, left = [], []

    def train():
        trainer = make_trainer(on_row=lambda row: seen.append(signal.getsignal(signal.SIGINT)))
        left.append(bits(trainer, trainer.run()))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join(timeout=60)
    assert left == [whole]
    assert set(seen) == {before}


def test_request_is_seen_and_does_not_interrupt():
    with deferred_interrupts() as stop:
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


# -- rounds that take for ever --------------------------------------------------------------------

FOR_EVER = 10**6


@pytest.mark.parametrize(
    "endless",
    [
        {"gradient_steps": FOR_EVER},
        {"train_frequency": FOR_EVER, "gradient_steps": 1},
        {"learning_starts": FOR_EVER, "buffer_size": FOR_EVER},
        {"train_frequency": FOR_EVER, "gradient_steps": -1},
    ],
    ids=str,
)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_stops_within_a_second_in_a_round_that_would_take_for_ever(tmp_path, endless, signum):
    trainer = make_trainer(
        store=CheckpointStore(tmp_path),
        hyperparameters=endless,
        steps=FOR_EVER,
        checkpoint_interval=FOR_EVER,
        validation_interval=FOR_EVER,
    )
    pressed, collect = [], trainer._collect

    def press():
        pressed.append(time.process_time())
        signal.pthread_kill(threading.main_thread().ident, signum)

    timer = threading.Timer(0.1, press)

    def begun():  # only now are there handlers
        trainer._collect = collect
        timer.start()
        collect()

    trainer._collect = begun
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert time.process_time() - pressed[0] < 1.0
    timer.join()
    assert len(list(tmp_path.iterdir())) == 1


class EveryCheckpoint(CheckpointStore):
    """A store that puts every checkpoint aside, also several of one step."""

    def save(self, step, tensors, header):
        path = super().save(step, tensors, header)
        aside = self.folder.parent / "all"
        aside.mkdir(exist_ok=True)
        shutil.copy(path, aside / f"{len(list(aside.iterdir())):04d}-{path.name}")
        return path


ROUNDS = {
    "many training steps": {"gradient_steps": 11, "train_frequency": 1},
    "many steps of the trajectories": {"gradient_steps": 5, "train_frequency": 13},
    "as many of both": {"gradient_steps": -1, "train_frequency": 9},
}


@pytest.mark.parametrize("settings", ROUNDS.values(), ids=ROUNDS)
def test_checkpoints_come_in_time_and_from_the_middle_of_a_round_the_same_bits(tmp_path, settings):
    arguments = {"hyperparameters": settings, "steps": 20}
    expected = make_trainer(**arguments)
    expected = bits(expected, expected.run())
    store = EveryCheckpoint(tmp_path / "kept")
    trainer = make_trainer(store=store, checkpoint_interval=4, **arguments)
    assert bits(trainer, trainer.run()) == expected
    found = sorted((tmp_path / "all").iterdir())
    steps = [int(path.stem.rpartition("-")[2]) for path in found]
    assert set(range(4, 21, 4)) <= set(steps)
    if settings["train_frequency"] > 4:  # none of 4 or more without one, in between either
        assert len(steps) > len(set(steps))
    for path in found[::2]:
        folder = tmp_path / path.stem
        folder.mkdir()
        shutil.copy(path, folder / path.name[5:])
        resumed = make_trainer(store=CheckpointStore(folder), **arguments)
        assert resumed.resume() == []
        assert bits(resumed, resumed.run()) == expected
