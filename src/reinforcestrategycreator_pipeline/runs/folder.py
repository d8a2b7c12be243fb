"""The run store ``runs/``: names, creation, ``latest``, one process per run, and sweeping."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import RunError, nearest
from reinforcestrategycreator_pipeline.files import (
    is_temporary,
    remove,
    replace_link,
    sweep,
    write_text,
)
from reinforcestrategycreator_pipeline.runs.artifacts import (
    COMPARISONS,
    LOCK,
    LOOKS,
    MANIFEST,
    OWNER,
    STUDIES,
)

RUNS = Path("runs")
"""The default run store."""
LATEST = "latest"
PROMOTED = "promoted"
PACKAGES = ".promoted"
"""Folder of the store with copies of promoted packages; ``promoted`` points to one."""
RESERVED = (LATEST, PROMOTED, LOOKS, STUDIES, COMPARISONS)
"""Names in the store that no run may have; its other files begin with a dot."""
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_GENERATED = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_PATIENCE_S = 60.0  # to wait for the store's lock, which is held for milliseconds


def new_run_id() -> str:
    """Return a name that sorts by time (UTC): ``20261122-183000-a1b2c3``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def check_run_id(run_id: str) -> str:
    """Return `run_id` if it is a valid name for a run's folder.

    Raises
    ------
    RunError
        If the name has a separator, a leading dot or a control character, or is one that the store
        itself uses.
    """
    if not _RUN_ID.fullmatch(run_id) or run_id.lower() in RESERVED:
        reserved = " or ".join(map(repr, RESERVED))
        raise RunError(
            "a run's name must be 1 to 100 letters, digits, '.', '_' or '-', begin with a letter "
            f"or digit, and not be {reserved}. Got {run_id[:120]!r} instead."
        )
    return run_id


def command(run_dir: Path, *words: str) -> str:
    """Return the command ``rsc`` with `words` and the name of a run, quoted for a shell."""
    name, options = run_dir.name, []
    if not _RUN_ID.fullmatch(name):
        name = str(run_dir) if "/" in str(run_dir) else f"./{run_dir}"
    elif run_dir.parent != RUNS:
        options = ["--runs-dir", str(run_dir.parent)]
    return shlex.join(["rsc", *words, name, *options])


def resume_command(run_dir: Path) -> str:
    """Return the command that continues a run, quoted for a shell."""
    return command(run_dir, "run", "--resume")


def is_free(run_dir: Path) -> bool:
    """Return whether a run can be started in this folder, as none ever began there."""
    return _RUN_ID.fullmatch(run_dir.name) is not None and not has_begun(run_dir)


@contextmanager
def new_run(runs_dir: Path, run_id: str | None = None) -> Iterator[Path]:
    """Create the folder of a new run and lock it; sweep the store.

    Raises
    ------
    RunError
        If `create_run` or `locked` raises.
    """
    if run_id is not None:
        check_run_id(run_id)
    with ExitStack() as stack:
        with store_locked(runs_dir):
            _sweep_store(runs_dir)
            run_dir = create_run(runs_dir, run_id)
            # Before another process can take the folder for one of a run that never began.
            stack.enter_context(locked(run_dir))
        yield run_dir


def create_run(runs_dir: Path, run_id: str | None = None) -> Path:
    """Create the folder of a new run; no two runs get the same one.

    The name of a run that was killed before it had a manifest is free.

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
                check_free(runs_dir, run_id)
                return run_dir
        except OSError as error:
            raise RunError(f"{run_dir}: cannot be created: {error.strerror}.") from error
        else:
            return run_dir


def check_free(runs_dir: Path, run_id: str) -> None:
    """Require that a new run can have this name.

    Raises
    ------
    RunError
        If the name is invalid or taken; the message says how to continue that run.
    """
    check_run_id(run_id)
    run_dir = runs_dir / run_id
    if not run_dir.exists() or not has_begun(run_dir):
        return
    way = f"Continue it with: {resume_command(run_dir)}; or choose"
    if not (run_dir / MANIFEST).is_file():
        way = f"It is not a run, as it has no {MANIFEST}: choose"
    raise RunError(f"the run {run_id!r} already exists in {runs_dir}. {way} another name.")


def has_begun(run_dir: Path) -> bool:
    """Return whether a folder holds more than what a run writes before its first manifest."""
    return not run_dir.is_dir() or any(
        path.name not in (LOCK, OWNER) and not is_temporary(path.name) for path in run_dir.iterdir()
    )


def sweep_store(runs_dir: Path) -> None:
    """Lock the store, and remove what killed processes left there.

    Raises
    ------
    RunError
        If `store_locked` raises.
    """
    with store_locked(runs_dir):
        _sweep_store(runs_dir)


def _sweep_store(runs_dir: Path) -> None:
    """Remove what killed processes left in the store, which is locked: no live one writes there.

    These are temporaries, and folders with generated names in which no run ever began.
    """
    packages = runs_dir / PACKAGES
    for folder in (runs_dir, packages):
        for path in folder.iterdir() if folder.is_dir() else ():
            if is_temporary(path.name):
                remove(path)
            elif folder == runs_dir and _GENERATED.fullmatch(path.name) and not has_begun(path):
                try:
                    with locked(path):
                        pass
                except RunError:
                    continue
                shutil.rmtree(path, ignore_errors=True)


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
    with store_locked(run_dir.parent):
        replace_link(run_dir.parent / LATEST, Path(run_dir.name))


@contextmanager
def store_locked(runs_dir: Path) -> Iterator[None]:
    """Lock the store, and create it if needed; wait for another process that has the lock.

    Raises
    ------
    RunError
        If the store cannot be written, or if another process keeps the lock.
    """
    from filelock import FileLock, Timeout  # only a run needs it

    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise RunError(f"{runs_dir}: is not a folder.") from error
    except OSError as error:
        raise RunError(f"{runs_dir}: cannot be created: {error.strerror}.") from error
    lock = FileLock(runs_dir / LOCK, timeout=_PATIENCE_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(
            f"{runs_dir / LOCK}: another process keeps the lock of the store; is one stopped?"
        ) from error
    except OSError as error:
        raise RunError(f"{error.filename}: cannot write: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked(run_dir: Path, what: str = "run") -> Iterator[None]:
    """Lock the run, or the study, for this process, and sweep what a killed one left there.

    The lock ends with the process, even if it is killed.

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
        text = f"the {what} {run_dir.name!r} is in use by another process ({who})."
        raise RunError(text) from error
    except OSError as error:
        raise RunError(f"{error.filename}: cannot write: {error.strerror}.") from error
    try:
        sweep(run_dir)
        write_text(owner, f"{os.getpid()}\n")
        yield
    finally:
        lock.release()
