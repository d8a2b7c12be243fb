"""``runs/studies/``: one folder per search, with its configuration, status and trials.

The file ``study.json`` is rewritten atomically after every change of state. Like a run's manifest,
it is sealed with a hash of its content, which shows damage and is no signature.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import RunError, nearest
from reinforcestrategycreator_pipeline.runs.artifacts import STUDIES
from reinforcestrategycreator_pipeline.runs.folder import (
    LATEST,
    RUNS,
    has_begun,
    locked,
    new_run_id,
    store_locked,
)
from reinforcestrategycreator_pipeline.runs.manifest import jsonable, now, refuse_links

STUDY = "study.json"
BARS = "bars.parquet"
"""The bars before the first test bar: all that the trials can read."""
JOURNAL = "journal.log"
"""The finished trials, for Optuna's tools."""
GENERATIONS, MARKETS, TRIALS = "generations", "markets", "trials"
"""Folders of the parameters, by generation; of features and windows; and of the trials."""
STUDY_REPORT = "report.html"
FORMAT = 1


@dataclass
class StudyRecord:
    """The state of one study.

    Attributes
    ----------
    study_id, status : str
        Name of the study; ``"running"``, ``"complete"``, ``"interrupted"`` or ``"failed"``.
    package_version : str
        Version of the package that last worked on the study.
    config : dict
        Complete resolved configuration.
    created, updated : str
        Times of creation and of the last change, UTC, ISO 8601.
    environment : dict
        Versions, processor and BLAS of the last process; see `machine.describe`.
    folder : str
        Folder of the configuration file, for a hint where modules may be.
    bars : str
        SHA-256 of `BARS`; empty until the data are there.
    end : str
        Close of the last bar that trials can read, UTC, ISO 8601.
    """

    study_id: str
    package_version: str
    config: dict[str, Any]
    status: str = "running"
    created: str = ""
    updated: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    bars: str = ""
    end: str = ""

    def save(self, study_dir: Path) -> None:
        """Write the record into the study's folder, sealed, atomically."""
        self.updated = now()
        self.created = self.created or self.updated
        content = jsonable({"format": FORMAT, **asdict(self)})
        files.write_json(study_dir / STUDY, {**content, "seal": files.seal(content)})


def load_study(study_dir: Path) -> StudyRecord:
    """Read a study's record.

    Raises
    ------
    RunError
        If the record is missing, damaged or of another format, or if the folder has a link.
    """
    path = study_dir / STUDY
    refuse_links(study_dir)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made, sealed = found.pop("format"), found.pop("seal")
        if made == FORMAT and sealed == files.seal({"format": made, **found}):
            return StudyRecord(**found)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path}: is damaged. Start a new search.") from error
    text = f"is damaged, edited, or of another version (this one needs format {FORMAT})"
    raise RunError(f"{path}: {text}. Start a new search.")


@contextmanager
def new_study(runs_dir: Path, name: str | None = None) -> Iterator[Path]:
    """Create the folder of a new study and lock it.

    Parameters
    ----------
    runs_dir : Path
        Folder of the run store.
    name : str, optional
        Name of the study; by default, the time and a random suffix.

    Raises
    ------
    RunError
        If the folder cannot be created.
    """
    with ExitStack() as stack:
        with store_locked(runs_dir):
            _sweep(runs_dir / STUDIES)
            study_dir = runs_dir / STUDIES / (name or new_run_id())
            try:
                study_dir.mkdir(parents=True)
            except OSError as error:
                raise RunError(f"{study_dir}: cannot be created: {error.strerror}.") from error
            stack.enter_context(locked(study_dir, "study"))
        yield study_dir


def _sweep(studies: Path) -> None:
    """Remove what processes left that were killed before a study had its record."""
    for folder in studies.iterdir() if studies.is_dir() and not studies.is_symlink() else ():
        if folder.is_dir() and not folder.is_symlink() and not has_begun(folder):
            try:
                with locked(folder, "study"):
                    pass
            except RunError:
                continue
            files.remove(folder)


def list_studies(runs_dir: Path) -> list[Path]:
    """Return the folders of all studies, oldest first."""
    folder = runs_dir / STUDIES
    found = folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ()
    return sorted(p for p in found if not p.is_symlink() and (p / STUDY).is_file())


def find_study(runs_dir: Path, name: str) -> Path:
    """Return the folder of a study, given by its name or as ``latest``.

    Raises
    ------
    RunError
        If there is no such study; the message suggests the nearest name.
    """
    known = {path.name: path for path in list_studies(runs_dir)}
    if not known:
        raise RunError(f"there are no searches in {runs_dir}. Start one with: rsc tune")
    if name == LATEST:
        return known[max(known)]
    if name not in known:
        raise RunError(f"{runs_dir}: no search named {name!r}.{nearest(name, known)}")
    return known[name]


def find_trial(runs_dir: Path, name: str | int) -> tuple[Path, int]:
    """Return the study and the number of a trial, ``STUDY/NUMBER`` or a number of the newest study.

    Raises
    ------
    RunError
        If the name has another form, or if there is no such study.
    """
    study, _, number = str(name).rpartition("/")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        rule = "STUDY/NUMBER, or a number of the newest search"
        raise RunError(f"a trial must be given as {rule}. Got {str(name)[:120]!r} instead.")
    return find_study(runs_dir, study or LATEST), int(number)


def command(study_dir: Path, *words: str) -> str:
    """Return a command of ``rsc`` about a study, quoted for a shell."""
    store = study_dir.parent.parent
    options = [] if store == RUNS else ["--runs-dir", str(store)]
    return shlex.join(["rsc", *words, *options])
