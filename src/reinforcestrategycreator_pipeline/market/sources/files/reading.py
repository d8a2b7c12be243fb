"""Input files and folders: which files to read, their bytes, unpacked within bounds, and hashes."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import DataError, nearest_file, shorten
from reinforcestrategycreator_pipeline.files import sha256_file

MAX_DATA_BYTES = 2 * 1024**3
"""Largest accepted file, in bytes, packed or not; text needs several times its size in memory."""

GZIP, ZIP = ".gz", ".zip"
_CHUNK = 2**24
_DEFLATE_MOST = 1032
_NO_DATA = re.compile(r"(readme|licen[cs]e|changelog|copying|notice)([-_. ].*)?", re.IGNORECASE)
_SHOWN = 5  # names of files that a message lists


def list_files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of a folder with one of the suffixes, sorted, or the path of a file."""
    try:
        if not path.is_dir():
            return [path]
        members = sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    found = [p for p in members if counts(p, suffixes)]
    if not found:
        others = [p.name for p in members if not p.name.startswith(".")]
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        seen = f" It has {', '.join(others[:_SHOWN])}{more}." if others else ""
        raise DataError(f"{path}: the folder contains no {' or '.join(suffixes)} file.{seen}")
    return found


def require_files(path: Path, suffixes: tuple[str, ...]) -> None:
    """Raise `DataError` unless a file is there, or a folder with a file; nothing is read."""
    for file in list_files(path, suffixes):
        if not file.exists():
            raise DataError(f"{file}: no such file.{nearest_file(file)}")


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
        raise DataError(f"{path}: no such file.{nearest_file(path)}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    if not content:
        raise DataError(f"{path}: the file is empty.")
    return content


def unpacked(path: Path, content: bytes, suffixes: tuple[str, ...]) -> Iterator[tuple[Path, bytes]]:
    """Yield the file itself, what is in it if it ends in .gz, or the members of a .zip.

    Parameters
    ----------
    path : Path
        Path of the file.
    content : bytes
        Bytes of the file.
    suffixes : tuple of str
        Endings of the members to read.

    Raises
    ------
    DataError
        If the archive is damaged, needs a password, holds no such file, or would unpack to more
        than `MAX_DATA_BYTES`.
    """
    name = path.name.lower()
    if name.endswith(GZIP):
        yield path, _gunzipped(path, content)
    elif name.endswith(ZIP):
        yield from _unzipped(path, content, suffixes)
    else:
        yield path, content


def names_in(path: Path) -> list[str]:
    """Return the names that tell the format of a file: its own, or those in a .zip."""
    if path.suffix.lower() == ZIP:
        # What zipfile raises for damaged or unusual archives; reading the file reports it.
        damaged = (OSError, ValueError, EOFError, NotImplementedError, struct.error)
        with contextlib.suppress(*damaged, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            return [name.lower() for name in archive.namelist()]
    name = path.name.lower()
    return [name.removesuffix(GZIP)]


def stem_of(path: Path) -> str:
    """Return the name of a file without its endings: AAPL for ``AAPL.csv.gz``."""
    return (path.with_suffix("") if path.suffix.lower() == GZIP else path).stem


def counts(file: Path, suffixes: tuple[str, ...]) -> bool:
    """Return whether a file of a folder may be data: by its ending, neither hidden nor a readme."""
    name = file.name.lower()
    packed = tuple(suffix + GZIP for suffix in suffixes)
    data = name.endswith((*suffixes, *packed, ZIP)) and not name.startswith(".")
    return data and not (name.endswith(".txt") and _NO_DATA.fullmatch(file.stem))


def fingerprint_files(path: Path, suffixes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the SHA-256 of a file, or of a folder's files with one of the suffixes (default: all).

    Missing and unreadable files are omitted; loading reports them.
    """
    hashes = {}
    with contextlib.suppress(OSError):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file() and (file == path or not suffixes or counts(file, suffixes)):
                hashes[file.name] = sha256_file(file)
    return hashes


def _gunzipped(path: Path, content: bytes) -> bytes:
    # The trailer holds the size, modulo 2**32; nothing is unpacked if it already says too much.
    # Of a file that is cut off, it is any four bytes, and deflate packs no more than 1032 to 1.
    stated = int.from_bytes(content[-4:], "little")
    if MAX_DATA_BYTES < stated <= _DEFLATE_MOST * len(content):
        raise _too_much(path, len(content))
    found, rest = bytearray(), content
    try:
        while rest:
            stream = zlib.decompressobj(wbits=31)
            while not stream.eof:
                chunk = stream.decompress(rest, _CHUNK)
                rest = stream.unconsumed_tail
                if not chunk and not stream.eof:
                    raise DataError(f"{path}: the gzip file is cut off.")
                found += chunk
                if len(found) > MAX_DATA_BYTES:
                    raise _too_much(path, len(content))
            rest = stream.unused_data.lstrip(b"\0")  # another member, or padding
    except zlib.error as error:
        raise DataError(f"{path}: is not a valid gzip file: {error}.") from error
    return _filled(path, bytes(found))


def _unzipped(
    path: Path, content: bytes, suffixes: tuple[str, ...]
) -> Iterator[tuple[Path, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = [i for i in archive.infolist() if not i.is_dir()]
            inside = [i for i in inside if not i.filename.startswith("__MACOSX/")]
            members = [i for i in inside if counts(Path(i.filename), suffixes)]
            members = [i for i in members if not i.filename.lower().endswith((GZIP, ZIP))]
            if any(i.filename.startswith("xl/") for i in inside):
                raise DataError(f"{path}: is an Excel file; export it as CSV.")
            if not members:
                seen = ", ".join(i.filename for i in inside[:_SHOWN]) or "nothing"
                raise DataError(
                    f"{path}: the archive contains no {' or '.join(suffixes)} file, but "
                    f"{shorten(seen)}."
                )
            if sum(i.file_size for i in members) > MAX_DATA_BYTES:
                raise _too_much(path, len(content))
            for info in sorted(members, key=lambda i: i.filename):
                inner = path / Path(info.filename).name
                with archive.open(info) as file:
                    yield inner, _filled(inner, file.read(info.file_size))
                    if file.read(1):
                        raise _too_much(path, len(content))
    except DataError:
        raise
    except Exception as error:  # a damaged archive may raise anything, ValueError too
        reason = shorten(" ".join(str(error).split())) or "it is cut off"
        raise DataError(f"{path}: is not a zip file that can be read: {reason}.") from error


def _filled(path: Path, content: bytes) -> bytes:
    if not content:
        raise DataError(f"{path}: the file is empty.")
    return content


def _too_much(path: Path, size: int) -> DataError:
    return DataError(
        f"{path}: has {size:,} bytes, but unpacks to more than {MAX_DATA_BYTES:,}, which is the "
        "most that is read. Split it."
    )
