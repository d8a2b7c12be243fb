"""Hashes, and file writes that survive a crash (temp -> fsync -> rename -> fsync of the folder)."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import RunError

_WINDOWS = os.name == "nt"
_LINUX = sys.platform == "linux"
_SUFFIX = ".tmp"
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")


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
        descriptor, name = tempfile.mkstemp(_SUFFIX, f".{path.name}.", path.parent)
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


def copy(source: Path, path: Path) -> None:
    """Write a copy of the file `source` to `path` atomically."""
    write_bytes(path, source.read_bytes())


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically; NaN raises `ValueError` (use None).

    Text that has no UTF-8, such as a path of other bytes, is written as escapes.
    """
    write_text(path, _json(value))


def _json(value: Any) -> str:
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    if not _is_utf8(text):
        text = json.dumps(value, indent=2, allow_nan=False)
    return f"{text}\n"


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def full_disk(error: BaseException) -> OSError | None:
    """Return the system's error for a full disk or quota, if it caused `error`."""
    for found in (error, error.__cause__):
        if isinstance(found, OSError) and found.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
        ):
            return found
    return None


def seal(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object's content, excluding its key ``seal``.

    It shows damage and edits. It is no signature: anyone who can write the file can compute it.
    """
    rest = {key: value for key, value in content.items() if key != "seal"}
    text = json.dumps(rest, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return sha256_bytes(text.encode("utf-8", "surrogatepass"))


_SEAL = ',\n  "seal": "'
_SEALED = _SEAL + '{}"\n}}\n'


def sealed_text(content: Mapping[str, Any]) -> str:
    """Return a JSON object that is not empty as text, with the SHA-256 of that as last key, `seal`.

    It shows what `seal` shows, and every change of the text, in a tenth of the time.
    """
    rest = {key: value for key, value in content.items() if key != "seal"}
    body = _json(rest).removesuffix("\n}\n")
    return body + _SEALED.format(sha256_bytes(body.encode("utf-8")))


def is_sealed(text: str) -> bool:
    """Return whether a text is one that `sealed_text` returned."""
    body, seal, rest = text.rpartition(_SEAL)
    return seal + rest == _SEALED.format(sha256_bytes(body.encode("utf-8")))


def is_temporary(name: str) -> bool:
    """Return whether `name` is that of a file, folder or link that this module makes and renames.

    One that is there while nobody writes was left by a process that was killed.
    """
    return _TEMPORARY.fullmatch(name) is not None


def temporary_beside(path: Path) -> Path:
    """Return a new name beside `path` that `is_temporary`, for something that is made or goes."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its content, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove all temporaries in `folder`, however deep; nobody may be writing there.

    Raises
    ------
    RunError
        If the operating system reports an error.
    """
    try:
        for where, folders, names in os.walk(folder):
            for name in filter(is_temporary, (*folders, *names)):
                remove(Path(where, name))
    except OSError as error:
        raise RunError(f"{error.filename}: cannot be removed: {error.strerror}.") from error


def replace_link(link: Path, target: Path) -> None:
    """Point the symbolic link `link` to `target` (relative to its folder), atomically."""
    temporary = temporary_beside(link)
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
        or beside it as ``.NAME.*.tmp``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(_SUFFIX, f".{path.name}.", path.parent))
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


def put(new: Path, path: Path) -> None:
    """Rename a complete file or folder to `path`, replacing what is there; sync the parent folder.

    Raises
    ------
    OSError
        If the operating system reports an error; see `replace_folder`.
    """
    if path.is_dir() and not path.is_symlink() and not new.is_dir():
        shutil.rmtree(path)
    if new.is_dir():
        replace_folder(new, path)
    else:
        new.replace(path)
        _fsync(path.parent)


def replace_folder(new: Path, path: Path) -> None:
    """Rename the folder `new` to `path`, replacing any folder there.

    Linux exchanges the two at once. Elsewhere the old one is moved aside first, and `path` is
    absent for an instant.

    Raises
    ------
    OSError
        If the operating system reports an error; the previous content of `path` may then be beside
        it as ``.NAME.*.tmp``.
    """
    if not path.exists():
        new.replace(path)
    elif _exchange(new, path):
        shutil.rmtree(new)
    else:
        # A rename cannot replace a folder that is not empty.
        old = Path(tempfile.mkdtemp(_SUFFIX, f".{path.name}.", path.parent))
        path.replace(old)
        new.replace(path)
        shutil.rmtree(old)
    _fsync(path.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two paths at once; return False if the system or the file system cannot."""
    if not _LINUX:
        return False
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    if rename(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(b))
