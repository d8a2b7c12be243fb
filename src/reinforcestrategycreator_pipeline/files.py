"""Hashes, and file writes that survive a crash (temp -> fsync -> rename -> fsync of the folder)."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import RunError

_WINDOWS = os.name == "nt"


def sha256_bytes(data: bytes | memoryview) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of the content of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    if _WINDOWS and path.is_dir():
        return  # Windows cannot open a folder
    # Windows flushes only what is open for writing.
    descriptor = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write; on success it becomes `path`, otherwise nothing changes.

    Raises
    ------
    RunError
        If the operating system reports an error (disk full, no permission); `path` is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        temporary.chmod(0o644)
        try:
            yield temporary
            _fsync(temporary)
            temporary.replace(path)
            _fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror or error}") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically; NaN raises `ValueError` (use None)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def replace_link(link: Path, target: Path) -> None:
    """Point the symbolic link `link` to `target` (relative to its folder), atomically."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.symlink_to(target)
        try:
            temporary.replace(link)
        finally:
            temporary.unlink(missing_ok=True)
        _fsync(link.parent)
    except OSError as error:
        raise RunError(f"{link}: cannot write: {error.strerror or error}") from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success it replaces `path`, otherwise nothing changes.

    Raises
    ------
    RunError
        If the operating system reports an error; the previous content of `path` is then unchanged,
        or beside it as ``.NAME.old.*``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            temporary.chmod(0o755)
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _fsync(file)
            replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror or error}") from error


def replace_folder(new: Path, path: Path) -> None:
    """Rename the folder `new` to `path`, replacing any folder there.

    Raises
    ------
    OSError
        If the operating system reports an error; the previous content of `path` may then be beside
        it as ``.NAME.old.*``.
    """
    if path.exists():
        # Move the old folder aside first: a rename cannot replace a folder that is not empty.
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
        path.replace(old)
        new.replace(path)
        shutil.rmtree(old)
    else:
        new.replace(path)
    _fsync(path.parent)
