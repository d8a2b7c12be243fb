"""Input files and folders: which files to read, their bytes and their hashes."""

from __future__ import annotations

import contextlib
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import DataError, nearest
from reinforcestrategycreator_pipeline.files import sha256_file

MAX_DATA_BYTES = 2 * 1024**3
"""Largest accepted file, in bytes; text needs several times its size in memory."""


def list_files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of a folder with one of the suffixes, sorted, or the path of a file."""
    try:
        if not path.is_dir():
            return [path]
        members = sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    found = [p for p in members if _counts(p, suffixes)]
    if not found:
        raise DataError(f"{path}: the folder contains no {' or '.join(suffixes)} file.")
    return found


def read_content(path: Path) -> bytes:
    """Return the bytes of a file; raise with a one-line reason if it cannot be read."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is not a regular file.")
        if (size := path.stat().st_size) > MAX_DATA_BYTES:
            raise DataError(
                f"{path}: has {size} bytes; a file may have at most {MAX_DATA_BYTES}. "
                "Split it into one file per symbol."
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.{_nearest_sibling(path)}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    if not content:
        raise DataError(f"{path}: the file is empty.")
    return content


def _nearest_sibling(path: Path) -> str:
    try:
        hint = nearest(path.name, [p.name for p in path.parent.iterdir()])
    except OSError:
        return f" There is no folder {path.parent}."
    return hint if "Did you mean" in hint else ""


def fingerprint_files(path: Path, suffixes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the SHA-256 of a file, or of a folder's files with one of the suffixes (default: all).

    Missing and unreadable files are omitted; loading reports them.
    """
    hashes = {}
    with contextlib.suppress(OSError):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file() and (file == path or not suffixes or _counts(file, suffixes)):
                hashes[file.name] = sha256_file(file)
    return hashes


def _counts(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.suffix.lower() in suffixes and not file.name.startswith(".")
