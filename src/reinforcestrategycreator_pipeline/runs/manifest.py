"""``manifest.json``: the configuration of a run, its environment, and the state of each stage.

The file is rewritten atomically after every change of state, so a resume can rely on it however
the process ended. It is sealed with a hash of its text, and holds the hashes of the artifacts:
edited figures are not shown as true. The seal is no signature: whoever computes it again forges it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import RunError, shorten
from reinforcestrategycreator_pipeline.runs.artifacts import ARTIFACTS, CONFIG, MANIFEST
from reinforcestrategycreator_pipeline.runs.folder import RUNS, command, is_free, resume_command

FORMAT = 4
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
    """The manifest's record of one stage.

    Attributes
    ----------
    status : str
        One of `STATUSES`; "running" without a running process means that the stage was killed.
    key : str or None
        Hash of everything that the stage's outputs depend on; see `stage_key`.
    inputs, outputs : dict of str to str
        SHA-256 of each artifact, by name.
    seconds : float or None
        Wall time of the last attempt, in seconds.
    summary : dict
        Key results of the stage, ready for JSON.
    scratch : list of str
        Paths, relative to the run, of files that the stage keeps for resuming.
    error : str or None
        Message that the user saw, if the stage failed.
    previous : dict
        Key, inputs, outputs, seconds and summary of the last complete attempt, whose files stay in
        place until this attempt has written others.
    """

    status: str = "pending"
    key: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    scratch: list[str] = field(default_factory=list)
    error: str | None = None
    previous: dict[str, Any] = field(default_factory=dict)

    def completed(self) -> dict[str, Any]:
        """Return what `previous` of the next attempt has to hold."""
        if self.status not in ("complete", "pending") or not self.outputs:
            return self.previous
        return {name: getattr(self, name) for name in _KEPT}

    def restored(self) -> StageRecord | None:
        """Return the record of the previous complete attempt, if there is one."""
        kept = {name: self.previous[name] for name in _KEPT if name in self.previous}
        return StageRecord("pending", scratch=self.scratch, **kept) if kept else None


_KEPT = ("key", "inputs", "outputs", "seconds", "summary")


@dataclass
class Manifest:
    """The state of one run.

    Attributes
    ----------
    run_id, status : str
        Name of the run, and one of `STATUSES`.
    created, updated : str
        Times of creation and of the last change, UTC, ISO 8601.
    seed : int
        Seed of the run.
    package_version : str
        Version of the package that last worked on the run.
    config : dict
        Complete resolved configuration.
    environment : dict
        Versions, processor and BLAS of the last process; see `machine.describe`.
    stages : dict of str to StageRecord
        Records by stage name, in order of execution.
    resumed : list of str
        Times at which the run was resumed, UTC, ISO 8601.
    folder : str
        Folder of the configuration file, for a hint where modules may be; none is loaded from there
        for that reason.
    config_files : list of str
        SHA-256 of ``config.yaml``: of the current one, then, while it is replaced, of the one
        before.
    trial : str
        Name of the trial whose configuration the run has, ``STUDY/NUMBER``; empty if a search did
        not choose it.
    study : str
        Name of the search with which the run began; empty if it began with none.
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
    config_files: list[str] = field(default_factory=list)
    trial: str = ""
    study: str = ""

    def save(self, run_dir: Path) -> None:
        """Write the manifest into the run's folder, sealed, atomically."""
        self.updated = now()
        self.created = self.created or self.updated
        content = jsonable({"format": FORMAT, **asdict(self)})
        files.write_text(run_dir / MANIFEST, files.sealed_text(content))

    def verified(self, run_dir: Path, artifact: str) -> Path:
        """Return the path of an artifact after comparing it with its hash in the manifest.

        Raises
        ------
        RunError
            If no stage has completed it, or if the file is missing, edited or damaged; the message
            names the command that makes it again.
        """
        path = run_dir / ARTIFACTS[artifact]
        for record in self.stages.values():
            if artifact in record.outputs:
                if hash_artifact(path) == record.outputs[artifact]:
                    return path
                raise RunError(
                    f"{path}: is missing, edited or damaged: it is not what the run wrote. Make it "
                    f"again with: {resume_command(run_dir)}"
                )
        raise RunError(
            f"{path}: no stage has completed it; the run is {self.status}. "
            f"Continue it with: {resume_command(run_dir)}"
        )


def refuse_links(run_dir: Path) -> None:
    """Raise `RunError` if there is a symbolic link in a run's folder, which never writes one.

    A folder from someone else could show, hash or overwrite any file of the user's through it.
    """
    for folder, folders, names in os.walk(run_dir):
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_symlink():
                raise RunError(f"{path}: is a symbolic link, which a run's folder may not have.")


def load_manifest(run_dir: Path) -> Manifest:
    """Read a run's manifest.

    Raises
    ------
    RunError
        If the manifest is missing, damaged or of another format, or if the folder has a link.
    """
    refuse_links(run_dir)
    return read_manifest(run_dir)


def read_manifest(run_dir: Path) -> Manifest:
    """Read a run's manifest as `load_manifest` does, without a look at the run's other files.

    Raises
    ------
    RunError
        If the manifest is missing, damaged, a link, or of another format.
    """
    path = run_dir / MANIFEST
    if path.is_symlink():
        raise RunError(f"{path}: is a symbolic link, which a run's folder may not have.")
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text)
    except FileNotFoundError as error:
        said = f"{path}: no such file: the run never started, or is not a run."
        if is_free(run_dir):
            said += f" Its name is free: {command(run_dir, 'run', '--run-id')}"
        elif (run_dir / CONFIG).is_file():
            said += f" {_new_run(run_dir)}"
        raise RunError(said) from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(run_dir, f"not valid JSON ({shorten(str(error), 80)})") from error
    if not isinstance(found, dict) or "format" not in found:
        raise _damaged(run_dir, "it is not a run's manifest")
    if (made := found.pop("format")) != FORMAT:
        version = shorten(repr(found.get("package_version", "unknown")))
        raise RunError(
            f"{path}: was written by another version ({version}, format {made!r}; this version "
            f"needs format {FORMAT}). Read it with that version. {_new_run(run_dir)}"
        )
    if not files.is_sealed(text):
        raise _damaged(run_dir, "its content does not match its seal, so it was edited or cut")
    del found["seal"]
    try:
        stages = {name: StageRecord(**record) for name, record in found.pop("stages").items()}
        manifest = Manifest(**found, stages=stages)
    except (TypeError, KeyError, AttributeError) as error:
        raise _damaged(run_dir, shorten(str(error))) from error
    _check(run_dir, "the run", manifest)
    for name, record in stages.items():
        _check(run_dir, f"stage {name!r}", record)
        for folder in record.scratch:
            # A resume removes these folders, so all of them must be inside the stage's own.
            if PurePosixPath(folder).parts[:1] != (name,) or ".." in folder or "\0" in folder:
                raise _damaged(run_dir, f"{folder!r} is not a folder of stage {name!r}")
    return manifest


def _damaged(run_dir: Path, what: str) -> RunError:
    """Return the error that a manifest is damaged, with the way on: a new run."""
    return RunError(f"{run_dir / MANIFEST}: is damaged: {what}. {_new_run(run_dir)}")


def _new_run(run_dir: Path) -> str:
    """Return the advice to start a new run, with the command if there is a configuration."""
    config = run_dir / CONFIG
    if not config.is_file():
        return "Start a new run."
    words = ["rsc", "run", "--config", str(config)]
    if run_dir.parent != RUNS:
        words += ["--runs-dir", str(run_dir.parent)]
    return f"Start a new run with its configuration: {shlex.join(words)}"


def _check(run_dir: Path, owner: str, found: Manifest | StageRecord) -> None:
    """Require the types that the dataclass declares, as JSON may hold any."""
    if found.status not in STATUSES:
        raise _damaged(run_dir, f"{owner} is {found.status!r}")
    for name, types, of_texts in _declared(type(found).__name__):
        value = getattr(found, name)
        ok = isinstance(value, types)
        if ok and of_texts:
            items = value.values() if isinstance(value, dict) else value
            ok = all(isinstance(item, str) for item in items)
        if not ok:
            got = shorten(repr(value))
            raise _damaged(run_dir, f"the {name} of {owner} is {got}")


@functools.cache
def _declared(record: str) -> list[tuple[str, tuple[type, ...], bool]]:
    """Return name and types of each field of a record, and whether it holds texts alone."""
    kind = Manifest if record == Manifest.__name__ else StageRecord
    declared = {field_.name: str(field_.type) for field_ in fields(kind)}
    return [
        (name, _TYPES[text.partition("[")[0]], text in ("dict[str, str]", "list[str]"))
        for name, text in declared.items()
    ]


def stage_key(
    name: str, section: Any, seed: int, inputs: Mapping[str, str], package_version: str
) -> str:
    """Return the hash of everything that a stage's outputs depend on.

    Parameters
    ----------
    name : str
        Name of the stage.
    section : Any
        Part of the configuration that the stage reads, ready for JSON.
    seed : int
        Seed of the run.
    inputs : mapping of str to str
        SHA-256 of each input artifact, by name.
    package_version : str
        Version of the package, as another version may compute something else.
    """
    text = json.dumps(
        [name, jsonable(section), seed, dict(inputs), package_version],
        sort_keys=True,
        separators=(",", ":"),
    )
    return files.sha256_bytes(text.encode("utf-8"))


def hash_artifact(path: Path) -> str | None:
    """Return the SHA-256 of a file, or of a folder's sorted relative paths and file hashes.

    Return None if nothing exists at `path`. A symbolic link inside a folder is hashed as its
    target.
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
    """Convert `value` for JSON: NumPy scalars to Python's, NaN and infinities to None.

    Raises
    ------
    TypeError
        If a value has no JSON form, which is a defect of the code that made it.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float):  # includes NumPy's float64
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return jsonable(value.item())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"cannot write an object of type {type(value).__name__} as JSON: {value!r}")


def now() -> str:
    """Return the current time in UTC, ISO 8601, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
