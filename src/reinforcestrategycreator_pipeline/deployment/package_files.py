"""The files of a package, and the check that a folder holds exactly these.

The hashes detect damage and mix-ups: a truncated copy, a flipped bit, a file of another package.
They are not a signature: anyone who can change the files can also change the manifest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.files import seal, sha256_file
from reinforcestrategycreator_pipeline.policies.base import Policy, load_policy

FORMAT = "policy-package/3"
MANIFEST = "manifest.json"
WEIGHTS = "policy.safetensors"
SCHEMA = "schema.json"
CONFIG = "config.yaml"
MODEL_CARD = "MODEL_CARD.md"
FILES = (WEIGHTS, SCHEMA, CONFIG, MODEL_CARD)
MAX_JSON_BYTES = 16 * 1024**2


def file_entry(path: Path) -> dict[str, Any]:
    """Return the manifest's entry for one file."""
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a package, which must hold an object.

    Raises
    ------
    CheckpointError
        If the file is missing, too large, or not a JSON object.
    """
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path}: {size} bytes exceed the limit of {MAX_JSON_BYTES}")
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: must be a JSON object, not a {type(value).__name__}")
    return value


def verify_package(folder: str | Path) -> dict[str, Any]:
    """Check every file of a package against its manifest.

    Parameters
    ----------
    folder : path
        Folder of the package. Its path may contain symbolic links; the package may not.

    Returns
    -------
    dict
        Content of the package's manifest.

    Raises
    ------
    CheckpointError
        If the folder is missing; if the manifest is missing, damaged, of another format or names
        a file outside the folder; or if a file is missing, unexpected, a link or altered.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such package folder")
    for inner in (folder / "deployment" / "package", folder / "package"):
        if inner.is_dir():
            raise CheckpointError(f"{folder}: not a package; the run's package is {inner}")
    present = _plain_files(folder)
    if MANIFEST not in present:
        raise CheckpointError(f"{folder}: not a package: it has no {MANIFEST}")
    path = folder / MANIFEST
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: has the format {manifest.get('format')!r}; this version reads {FORMAT!r}"
        )
    try:
        sealed = seal(manifest) == manifest.get("seal")
    except (ValueError, RecursionError):  # NaN, or too deep: never written here
        sealed = False
    if not sealed:
        raise CheckpointError(f"{path}: its content does not match its seal; it is damaged")
    files = _listed_files(path, manifest)
    for name in sorted(present - {MANIFEST} - files.keys()):
        raise CheckpointError(f"{folder / name}: is not in the package's manifest")
    for name, entry in files.items():
        if name not in present:
            raise CheckpointError(f"{folder / name}: is missing from the package")
        if file_entry(folder / name) != entry:
            raise CheckpointError(
                f"{folder / name}: its content does not match its SHA-256 in the manifest"
            )
    return manifest


def load_package(folder: str | Path) -> Policy:
    """Return the policy of a package, after checking every file against the manifest.

    Raises
    ------
    CheckpointError
        If the package is missing, damaged, or of another format.
    """
    verify_package(folder)
    return load_policy(Path(folder) / WEIGHTS)


def _plain_files(folder: Path) -> set[str]:
    """Return the names in `folder`, which may hold only regular files."""
    names = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise CheckpointError(f"{folder / entry.name}: a package has no symbolic links")
            if not entry.is_file(follow_symlinks=False):
                raise CheckpointError(f"{folder / entry.name}: a package has regular files only")
            names.add(entry.name)
    return names


def _listed_files(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest's list of files, whose names must be plain file names."""
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise CheckpointError(f"{path}: its 'files' must be an object")
    for name in files:
        if name in ("", ".", "..", MANIFEST) or any(c in name for c in "/\\\0"):
            raise CheckpointError(f"{path}: {name!r} is not a plain file name")
    for name in FILES:
        if name not in files:
            raise CheckpointError(f"{path}: its 'files' lack {name!r}")
    return files
