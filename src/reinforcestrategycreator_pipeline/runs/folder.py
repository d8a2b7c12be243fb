"""The run store ``runs/``: names, exclusive creation, ``latest``, and one process per run."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import RunError, nearest
from reinforcestrategycreator_pipeline.files import replace_link, write_text
from reinforcestrategycreator_pipeline.runs.artifacts import LOCK, MANIFEST, OWNER

RUNS = Path("runs")
"""The default run store."""
LATEST = "latest"
PROMOTED = "promoted"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def new_run_id() -> str:
    """Return a name that sorts by time (UTC): ``20261122-183000-a1b2c3``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def check_run_id(run_id: str) -> str:
    """Return `run_id` if it is a valid name for a run's folder.

    Raises
    ------
    RunError
        If the name has a separator, a leading dot or a control character, or is ``latest``.
    """
    if not _RUN_ID.fullmatch(run_id) or run_id.lower() == LATEST:
        raise RunError(
            "a run's name must be 1 to 100 letters, digits, '.', '_' or '-', begin with a letter "
            f"or digit, and not be {LATEST!r}. Got {run_id[:120]!r} instead."
        )
    return run_id


def create_run(runs_dir: Path, run_id: str | None = None) -> Path:
    """Create the folder of a new run; no two processes ever get the same one.

    Raises
    ------
    RunError
        If the name is taken or invalid, or if the folder cannot be created.
    """
    if run_id is not None:
        check_run_id(run_id)
    while True:
        run_dir = runs_dir / (run_id or new_run_id())
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            run_dir.mkdir()
        except FileExistsError as error:
            if not runs_dir.is_dir():
                raise RunError(f"{runs_dir}: is not a folder.") from error
            if run_id is not None:
                raise RunError(
                    f"the run {run_id!r} already exists in {runs_dir}. Continue it with "
                    f"--resume {run_id}, or choose another name."
                ) from error
        except OSError as error:
            raise RunError(f"{run_dir}: cannot be created: {error.strerror}.") from error
        else:
            return run_dir


def find_run(runs_dir: Path, run: str) -> Path:
    """Return the folder of the run given by ID, by path, or as ``latest``.

    Raises
    ------
    RunError
        If there is no such run; the message suggests the nearest name.
    """
    if "\0" in run:
        raise RunError(f"a run's name cannot contain a NUL character. Got {run!r} instead.")
    if "/" in run:
        folder = Path(run)
        if not folder.is_dir():
            raise RunError(f"{run}: no such run folder.")
        return folder.resolve() if folder.is_symlink() else folder
    if run == LATEST:
        return _latest(runs_dir)
    check_run_id(run)
    folder = runs_dir / run
    if not folder.is_dir():
        names = [run_dir.name for run_dir in list_runs(runs_dir)]
        hint = nearest(run, names) if names else f" There are no runs in {runs_dir}."
        raise RunError(f"{runs_dir}: no run named {run!r}.{hint}")
    return folder


def list_runs(runs_dir: Path = RUNS) -> list[Path]:
    """Return the folders of all runs, sorted by name; generated names sort by time."""
    if not runs_dir.is_dir():
        return []
    folders = [p for p in runs_dir.iterdir() if p.is_dir() and not p.is_symlink()]
    return sorted(p for p in folders if (p / MANIFEST).is_file())


def _latest(runs_dir: Path) -> Path:
    link = runs_dir / LATEST
    if not link.is_symlink():
        raise RunError(f"{link}: there is no latest run yet.")
    target = str(link.readlink())
    # The link is relative; one that points out of the store is not followed.
    if not _RUN_ID.fullmatch(target) or not (runs_dir / target).is_dir():
        raise RunError(f"{link}: points to {target!r}, which is not a run in {runs_dir}.")
    return runs_dir / target


def point_latest(run_dir: Path) -> None:
    """Make ``runs/latest`` a relative link to `run_dir`, atomically.

    Raises
    ------
    RunError
        If the path exists and is not a link, or if links cannot be created.
    """
    replace_link(run_dir.parent / LATEST, Path(run_dir.name))


def point_promoted(run_dir: Path, package: Path) -> Path:
    """Make ``runs/promoted`` a relative link to a package of the run, atomically; return its path.

    Raises
    ------
    RunError
        If the path exists and is not a link, or if links cannot be created.
    """
    link = run_dir.parent / PROMOTED
    replace_link(link, package.relative_to(link.parent))
    return link


def withdraw_promoted(run_dir: Path) -> None:
    """Remove ``runs/promoted`` if it points to this run."""
    link = run_dir.parent / PROMOTED
    if link.is_symlink() and run_dir.resolve() in link.resolve().parents:
        link.unlink()


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Lock the run for this process; the lock ends with the process, even if it is killed.

    Raises
    ------
    RunError
        If another process is working on the run.
    """
    from filelock import FileLock, Timeout  # only a run needs it

    lock, owner = FileLock(run_dir / LOCK, timeout=0), run_dir / OWNER
    try:
        lock.acquire()
    except Timeout as error:
        who = owner.read_text("ascii")[:20].strip() if owner.is_file() else "unknown"
        raise RunError(f"the run {run_dir.name!r} is in use by another process ({who}).") from error
    except OSError as error:
        raise RunError(f"{error.filename}: cannot write: {error.strerror}.") from error
    try:
        write_text(owner, f"{os.getpid()}\n")
        yield
    finally:
        lock.release()
