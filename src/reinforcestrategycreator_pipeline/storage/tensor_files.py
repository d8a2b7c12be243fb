"""Tensors and a JSON header in one safetensors file, sealed with a SHA-256.

Loading safetensors executes no code, but a flipped bit goes unnoticed; the seal covers the header
and every byte of every tensor.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.files import write_bytes

MAX_FILE_BYTES = 4 * 1024**3
MAX_HEADER_BYTES = 100 * 1024**2


def tensors_sha256(tensors: Mapping[str, Array], header_json: str = "") -> str:
    """Return the SHA-256 of a header and of the name, dtype, shape, and bytes of each tensor."""
    digest = hashlib.sha256(header_json.encode("utf-8"))
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def write_tensors(path: str | Path, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> str:
    """Write tensors and a header to one file atomically, and return the seal.

    Parameters
    ----------
    path : str or Path
        The file; after a crash it is either complete or absent.
    tensors : mapping of str to ndarray
        Numeric or boolean arrays.
    header : mapping
        JSON-serializable values; NaN raises `ValueError`.

    Returns
    -------
    str
        The SHA-256 that `read_tensors` verifies.

    Raises
    ------
    CheckpointError
        If the file would be larger than `read_tensors` accepts; nothing is written then.
    """
    size = sum(array.nbytes for array in tensors.values())
    if size > MAX_FILE_BYTES - MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{path}: not written: its tensors take {size} bytes, and a file may have "
            f"{MAX_FILE_BYTES}; a smaller replay (buffer_size) takes less"
        )
    from safetensors.numpy import save  # lazy: importing the learner requires only NumPy

    header_json = json.dumps(header, sort_keys=True, allow_nan=False)
    seal = tensors_sha256(tensors, header_json)
    # One metadata key: safetensors does not keep the order of several, and equal content must give
    # equal bytes.
    metadata = {"rsc": json.dumps({"header": header_json, "sha256": seal})}
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_bytes(Path(path), save(contiguous, metadata=metadata))
    return seal


def read_tensors(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a file written by `write_tensors`, and verify its seal.

    Returns
    -------
    tensors : dict of str to ndarray
        The tensors by name.
    header : dict
        The header.

    Raises
    ------
    CheckpointError
        If the file is missing, too large, truncated, altered, or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise CheckpointError(f"{path}: {size} bytes exceed the limit of {MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read: {error.strerror or error}") from error
    try:
        (header_bytes,) = struct.unpack("<Q", data[:8])
        if header_bytes > min(len(data) - 8, MAX_HEADER_BYTES):
            raise ValueError("its header is longer than the file")
        metadata = json.loads(data[8 : 8 + header_bytes])["__metadata__"]
        envelope = json.loads(metadata["rsc"])
        header_json, seal = envelope["header"], envelope["sha256"]
        header = json.loads(header_json)
        tensors = load(data)
    except (
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        struct.error,
    ) as error:
        raise CheckpointError(f"{path}: not a complete file of this project: {error}") from error
    if tensors_sha256(tensors, header_json) != seal:
        raise CheckpointError(f"{path}: damaged: the content does not match its SHA-256")
    return tensors, header
