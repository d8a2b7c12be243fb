"""The folder of checkpoints: which are kept, which is found."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore


def save(store, *steps):
    for step in steps:
        store.save(step, {"x": np.array([float(step)])}, {"step": step})


def names(folder):
    return sorted(int(p.stem.removeprefix("step-")) for p in folder.glob("step-*"))


def newest(store):
    found, skipped = store.load_newest()
    return None if found is None else found[1]["step"], len(skipped)


@pytest.mark.parametrize(("keep", "left"), [(2, [40, 1000]), (3, [9, 40, 1000])])
def test_keeps_the_newest(tmp_path, keep, left):
    store = CheckpointStore(tmp_path, keep)
    save(store, 1, 9, 40, 1000)
    assert names(tmp_path) == left
    assert newest(store) == (1000, 0)


def test_one_alone_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="The keep parameter of CheckpointStore"):
        CheckpointStore(tmp_path, 1)


def test_no_folder_and_an_empty_one_have_none(tmp_path):
    assert CheckpointStore(tmp_path / "none").load_newest() == (None, [])
    assert CheckpointStore(tmp_path).load_newest() == (None, [])


def test_other_files_are_not_its_business(tmp_path):
    store = CheckpointStore(tmp_path)
    strangers = ["notes.txt", ".step-0000000009.safetensors.tmp", "step-x.safetensors"]
    for name in strangers:
        (tmp_path / name).write_text("hello")
    save(store, 1, 2, 3)
    assert newest(store) == (3, 0)
    assert all((tmp_path / name).exists() for name in strangers)


def test_same_step_is_written_over(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, 1, 2, 2)
    assert names(tmp_path) == [1, 2]


def test_what_was_just_saved_is_never_removed(tmp_path):
    """Newer files are there after a fallback (damaged), or from a training that is replaced."""
    store = CheckpointStore(tmp_path)
    save(store, 3000, 4000)
    save(store, 100)
    assert newest(store) == (100, 0)
    save(store, 200, 300)
    assert names(tmp_path) == [200, 300]


def test_after_a_fallback_there_are_two_sound_ones_again(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, 10, 20)
    damaged = tmp_path / "step-0000000020.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert newest(store) == (10, 1)
    save(store, 15)
    assert names(tmp_path) == [10, 15]
    assert newest(store) == (15, 0)


def test_file_of_another_kind_is_skipped_and_named(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, 1)
    (tmp_path / "step-0000000002.safetensors").write_bytes(b"\x80\x04pickle me")
    found, skipped = store.load_newest()
    assert found[1] == {"step": 1}
    assert "step-0000000002.safetensors: not a complete file" in skipped[0]


def test_none_sound_is_an_error_that_names_each(tmp_path):
    for step in (1, 2):
        (tmp_path / f"step-{step:010d}.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"(?s)0000000002.*0000000001"):
        CheckpointStore(tmp_path).load_newest()
