"""A write appears whole or not at all."""

import errno
import fcntl
import os
import shutil
import sys
from pathlib import Path

import pytest

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import RunError


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    files.write_text(target, "one")
    files.write_text(target, "zwei ä")
    assert target.read_text(encoding="utf-8") == "zwei ä"
    assert names(target.parent) == ["a.txt"]


def test_a_write_does_what_windows_allows(tmp_path, monkeypatch):
    """Windows opens no folders, and flushes only files that are open for writing."""
    monkeypatch.setattr(files, "_WINDOWS", True)
    real, flushed = os.open, []

    def windows_open(path, flags, *more):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *more)

    def windows_fsync(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flushed.append(descriptor)

    monkeypatch.setattr(os, "open", windows_open)
    monkeypatch.setattr(os, "fsync", windows_fsync)
    files.write_text(tmp_path / "a.txt", "one")
    with files.atomic_folder(tmp_path / "folder") as folder:
        (folder / "b.txt").write_text("two")
    assert (tmp_path / "a.txt").read_text() == "one"
    assert (tmp_path / "folder" / "b.txt").read_text() == "two"
    assert len(flushed) == 2


def test_an_exception_in_between_leaves_the_old_content(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "old")

    def fail() -> None:
        with files.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_said_and_leaves_the_old_content(tmp_path, monkeypatch):
    target = tmp_path / "a.txt"
    files.write_text(target, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"a\.txt: cannot write: No space left on device$"):
        files.write_text(target, "new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert names(tmp_path) == []


def test_a_folder_is_replaced_whole_or_stays(tmp_path):
    target = tmp_path / "package"
    with files.atomic_folder(target) as folder:
        (folder / "a").write_text("1")
        (folder / "gone").write_text("1")
    with files.atomic_folder(target) as folder:
        (folder / "a").write_text("2")
    assert names(target) == ["a"]
    assert (target / "a").read_text() == "2"

    def fail() -> None:
        with files.atomic_folder(target) as folder:
            (folder / "a").write_text("3")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert (target / "a").read_text() == "2"
    assert names(tmp_path) == ["package"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_is_there_at_every_instant(tmp_path, monkeypatch, exchanges):
    """Before each operation it is whole, old or new; where the system cannot exchange, or aside."""
    target = tmp_path / "package"
    if not exchanges:
        monkeypatch.setattr(files, "_exchange", lambda a, b: False)
    elif sys.platform != "linux":
        pytest.skip("only Linux exchanges two folders at once")
    seen = []

    def look(*_: object) -> None:
        folders = [target] if exchanges else [*tmp_path.iterdir()]
        seen.append({(f / "a").read_text() for f in folders if (f / "a").exists()})

    def watched(owner, name):
        real = getattr(owner, name)

        def act(*arguments, **options):
            look()
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, act)

    watched(Path, "replace")
    watched(shutil, "rmtree")
    for content in ("1", "2"):
        with files.atomic_folder(target) as folder:
            (folder / "a").write_text(content)
    if exchanges:
        assert {"1"} in seen
        assert set().union(*seen) == {"1", "2"}
        assert all(seen[seen.index({"1"}) :])
    else:
        assert all(seen)
    assert names(tmp_path) == ["package"]
    assert (target / "a").read_text() == "2"


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")

    def make() -> None:
        with files.atomic_folder(tmp_path / "file" / "package"):
            raise AssertionError("must not get here")

    with pytest.raises(RunError, match=r"package: cannot write: "):
        make()


def test_a_link_is_moved_atomically(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    files.replace_link(tmp_path / "latest", Path("a"))
    files.replace_link(tmp_path / "latest", Path("b"))
    assert (tmp_path / "latest").readlink() == Path("b")
    assert names(tmp_path) == ["a", "b", "latest"]


def test_sha256_of_the_published_test_vector(tmp_path):
    # FIPS 180-2, appendix B.1: the message "abc".
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256_file(tmp_path / "abc") == expected
    assert files.sha256_bytes(b"abc") == expected
