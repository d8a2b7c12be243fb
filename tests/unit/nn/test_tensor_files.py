"""Saved tensors come back bit by bit, and no damaged file does."""

import json
import os
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import CheckpointError, RunError
from reinforcestrategycreator_pipeline.storage import tensor_files as serialization
from reinforcestrategycreator_pipeline.storage.tensor_files import (
    read_tensors,
    tensors_sha256,
    write_tensors,
)

TENSORS = {
    "b": np.array([1.5, -0.0, 5e-324, np.nan, np.inf]),
    "a": np.arange(12, dtype=np.float32).reshape(3, 4),
    "flags": np.array([True, False]),
    "steps": np.array([2**62, -1]),
    "none": np.empty((0, 3), np.float32),
}
HEADER = {"format": "test/1", "numbers": [0.1, 1e-300, 2**70], "text": "Zürich, 東京\n"}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "state.safetensors"
    write_tensors(path, TENSORS, HEADER)
    return path


def refused(path):
    """The one line with which a file is refused."""
    with pytest.raises(CheckpointError) as caught:
        read_tensors(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_the_same_bytes_come_back(saved):
    tensors, header = read_tensors(saved)
    assert header == HEADER
    assert set(tensors) == set(TENSORS)
    for name, array in TENSORS.items():
        assert tensors[name].dtype == array.dtype
        assert tensors[name].shape == array.shape
        assert tensors[name].tobytes() == array.tobytes()


def test_the_same_content_gives_the_same_file(saved, tmp_path):
    again = tmp_path / "again.safetensors"
    backwards = dict(reversed(list(TENSORS.items())))
    write_tensors(again, backwards, dict(reversed(list(HEADER.items()))))
    assert again.read_bytes() == saved.read_bytes()


def test_memory_layout_does_not_matter(saved, tmp_path):
    other = tmp_path / "other.safetensors"
    write_tensors(other, {**TENSORS, "a": np.asfortranarray(TENSORS["a"])}, HEADER)
    assert other.read_bytes() == saved.read_bytes()


def test_the_seal_depends_on_every_part():
    seals = {
        tensors_sha256(tensors, header)
        for tensors, header in [
            ({"a": np.zeros(4, np.float32)}, "{}"),
            ({"a": np.zeros(4, np.float32)}, "{} "),
            ({"b": np.zeros(4, np.float32)}, "{}"),
            ({"a": np.zeros(2, np.float64)}, "{}"),
            ({"a": np.zeros((2, 2), np.float32)}, "{}"),
            ({"a": np.zeros(4, np.int32)}, "{}"),
            ({"a": np.array([0, 0, 0, -0.0], np.float32)}, "{}"),
        ]
    }
    assert len(seals) == 7


def test_any_truncation_is_refused(saved):
    data = saved.read_bytes()
    for length in range(len(data)):
        saved.write_bytes(data[:length])
        refused(saved)


def test_appended_bytes_are_refused(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    refused(saved)


def test_any_flipped_bit_is_refused(saved):
    data = saved.read_bytes()
    (header_bytes,) = struct.unpack("<Q", data[:8])
    tensors_start = 8 + header_bytes
    # Every bit of the length; of each other byte, header and tensors, one bit in turn.
    flips = [(i, bit) for i in range(8) for bit in range(8)]
    flips += [(i, i % 8) for i in range(8, len(data))]
    assert flips[-1][0] >= tensors_start + 100  # there are tensors to flip
    for i, bit in flips:
        damaged = bytearray(data)
        damaged[i] ^= 1 << bit
        saved.write_bytes(damaged)
        message = refused(saved)
        assert i < tensors_start or "does not match its SHA-256" in message
    saved.write_bytes(data)
    read_tensors(saved)


def test_without_the_seal_a_flipped_bit_would_pass(saved, monkeypatch):
    # The planted bug: safetensors itself accepts it, which is why the seal is there.
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    monkeypatch.setattr(serialization, "tensors_sha256", lambda *a: _seal_of(saved))
    tensors, _ = read_tensors(saved)
    assert any(tensors[n].tobytes() != TENSORS[n].tobytes() for n in TENSORS)


def _seal_of(path):
    data = path.read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    return json.loads(json.loads(data[8 : 8 + n])["__metadata__"]["rsc"])["sha256"]


def test_an_altered_header_is_refused(saved):
    data = saved.read_bytes()
    assert b"test/1" in data
    saved.write_bytes(data.replace(b"test/1", b"test/2"))
    assert "does not match its SHA-256" in refused(saved)


def test_files_of_another_kind_are_refused(tmp_path):
    from safetensors.numpy import save

    path = tmp_path / "other"
    foreign = save({"a": np.zeros(3)})
    for content in (b"", b"hello", b"\x93NUMPY", b"PK\x03\x04" + bytes(50), foreign, bytes(100)):
        path.write_bytes(content)
        assert "not a complete file of this project" in refused(path)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    path = tmp_path / "evil"
    marker = tmp_path / "it ran"
    # protocol 0 by hand: os.mkdir(marker)
    path.write_bytes(f"cos\nmkdir\n(V{marker}\ntR.".encode())
    refused(path)
    assert not marker.exists()


def test_missing_and_unreadable_paths_are_refused(tmp_path):
    assert "No such file" in refused(tmp_path / "nowhere")
    assert "Is a directory" in refused(tmp_path)


def test_an_oversized_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(4 * 1024**3 + 1)  # sparse: takes no room
    started = time.perf_counter()
    assert "exceed the limit of 4294967296" in refused(path)
    assert time.perf_counter() - started < 0.5


def test_a_header_that_claims_more_than_the_file_is_refused(tmp_path):
    path = tmp_path / "claims"
    for claim in (2**63, 2**40, 101 * 1024**2, 200):
        path.write_bytes(struct.pack("<Q", claim) + b"{" + b" " * 100)
        assert "header is longer than the file" in refused(path)


def test_a_deeply_nested_header_is_refused(tmp_path):
    path = tmp_path / "nested"
    path.write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000)
    assert "not a complete file of this project" in refused(path)


def test_nan_in_the_header_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_tensors(tmp_path / "x", TENSORS, {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace", "write_bytes"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(saved, monkeypatch, call):
    before = saved.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(f"pathlib.Path.{call}", full)
    with pytest.raises(RunError, match="No space left on device"):
        write_tensors(saved, {"a": np.ones(1000)}, {})
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from reinforcestrategycreator_pipeline.storage.tensor_files import write_tensors
i = 0
while True:
    i += 1
    write_tensors(Path(sys.argv[1]), {"a": np.full(200_000, i, np.int64)}, {"i": i})
    if i == 2:
        print("writing", flush=True)
"""


def test_a_kill_while_writing_leaves_a_whole_file(tmp_path):
    path = tmp_path / "state.safetensors"
    rng = np.random.default_rng(13)
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        tensors, header = read_tensors(path)
        assert (tensors["a"] == header["i"]).all()
