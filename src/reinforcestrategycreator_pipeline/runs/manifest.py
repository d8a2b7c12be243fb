"""``manifest.json``: what a run was asked, on what machine, and how far each stage came.

The file is rewritten atomically after every change of state, so that whatever kills the
process leaves a manifest that a resume can trust.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import RunError, shorten
from reinforcestrategycreator_pipeline.runs.artifacts import MANIFEST

FORMAT = 2
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "dict": (dict,),
    "list": (list,),
    "str | None": (str, type(None)),
    "float | None": (float, int, type(None)),
}
STATUSES = ("pending", "running", "complete", "failed", "interrupted")


@dataclass
class StageRecord:
    """What the manifest says of one stage.

    Attributes
    ----------
    status : str
        One of `STATUSES`; "running" in a run that no process works on means it was killed.
    key : str or None
        Hash of all that the stage's outputs depend on; see `stage_key`.
    inputs, outputs : dict of str to str
        Artifact name -> SHA-256.
    seconds : float or None
        Wall time of the last attempt.
    summary : dict
        What the stage had to say, JSON-ready.
    scratch : list of str
        Paths, relative to the run, of what the stage keeps for its own resumption.
    error : str or None
        The line that the user saw, if the stage failed.
    """

    status: str = "pending"
    key: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    scratch: list[str] = field(default_factory=list)
    error: str | None = None


@dataclass
class Manifest:
    """The state of one run.

    Attributes
    ----------
    run_id, status : str
        The run's name; one of `STATUSES`.
    created, updated : str
        UTC, ISO 8601.
    seed : int
        The run's one seed.
    package_version : str
        The version that worked on the run last.
    config : dict
        The resolved configuration, complete.
    environment : dict
        Versions, processor and BLAS of the last process; see `environment.describe`.
    stages : dict of str to StageRecord
        In order of execution.
    resumed : list of str
        When the run was continued, UTC.
    folder : str
        Where the configuration file was, and with it perhaps modules that it names.
    """

    run_id: str
    seed: int
    package_version: str
    config: dict[str, Any]
    status: str = "pending"
    created: str = ""
    updated: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, StageRecord] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)
    folder: str = ""

    def save(self, run_dir: Path) -> None:
        """Write the manifest into its run, atomically."""
        self.updated = now()
        self.created = self.created or self.updated
        files.write_json(run_dir / MANIFEST, jsonable({"format": FORMAT, **asdict(self)}))


def load_manifest(run_dir: Path) -> Manifest:
    """Read a run's manifest.

    Raises
    ------
    RunError
        If it is missing, damaged or of another format.
    """
    path = run_dir / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file: this run never started, or is no run.") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise RunError(f"{path}: is damaged: not valid JSON ({error}).") from error
    if not isinstance(found, dict) or "format" not in found:
        raise RunError(f"{path}: is not a run's manifest.")
    if (made := found.pop("format")) != FORMAT:
        version = shorten(repr(found.get("package_version", "unknown")))
        raise RunError(
            f"{path}: was made by another version ({version}, format {made!r}; this one needs "
            f"{FORMAT}). Read it with that version, or start a new run."
        )
    try:
        stages = {name: StageRecord(**record) for name, record in found.pop("stages").items()}
        manifest = Manifest(**found, stages=stages)
    except (TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path}: is damaged: {error}.") from error
    _check(path, "the run", manifest)
    for name, record in stages.items():
        _check(path, f"stage {name!r}", record)
        for folder in record.scratch:
            # A resume removes these folders: nothing outside the stage's own may be among them.
            if PurePosixPath(folder).parts[:1] != (name,) or ".." in folder or "\0" in folder:
                raise RunError(f"{path}: is damaged: {folder!r} is no folder of stage {name!r}.")
    return manifest


def _check(path: Path, owner: str, found: Manifest | StageRecord) -> None:
    """Require the types that the dataclass declares; JSON from a file may hold anything."""
    if found.status not in STATUSES:
        raise RunError(f"{path}: is damaged: {owner} is {found.status!r}.")
    for field_ in fields(found):
        value, declared = getattr(found, field_.name), str(field_.type)
        ok = isinstance(value, _TYPES[declared.partition("[")[0]])
        if ok and declared in ("dict[str, str]", "list[str]"):
            items = value.values() if isinstance(value, dict) else value
            ok = all(isinstance(item, str) for item in items)
        if not ok:
            got = shorten(repr(value))
            raise RunError(f"{path}: is damaged: the {field_.name} of {owner} is {got}.")


def stage_key(
    name: str, section: Any, seed: int, inputs: Mapping[str, str], package_version: str
) -> str:
    """Return the hash of all that a stage's outputs depend on.

    Parameters
    ----------
    name : str
        The stage.
    section : Any
        The part of the configuration that the stage reads, JSON-ready.
    seed : int
        The run's seed.
    inputs : mapping of str to str
        Artifact name -> SHA-256.
    package_version : str
        Another version of the code may compute something else.
    """
    text = json.dumps(
        [name, jsonable(section), seed, dict(inputs), package_version],
        sort_keys=True,
        separators=(",", ":"),
    )
    return files.sha256_bytes(text.encode("utf-8"))


def hash_artifact(path: Path) -> str | None:
    """Return the SHA-256 of a file, or of a folder's sorted relative paths and file hashes.

    None if there is nothing at `path`. A symbolic link inside a folder is hashed as what it
    points to.
    """
    if path.is_file():
        return files.sha256_file(path)
    if not path.is_dir():
        return None
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        line = f"{file.relative_to(path).as_posix()}\0{files.sha256_file(file)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def jsonable(value: Any) -> Any:
    """Return `value` as JSON can hold it: NumPy scalars unpacked, NaN and infinities as null.

    Raises
    ------
    TypeError
        For anything else that JSON has no form for: a defect of whoever made the value.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float):  # NumPy's float64 is one, too
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return jsonable(value.item())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"JSON has no form for a {type(value).__name__}: {value!r}")


def now() -> str:
    """Return the current time, UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
