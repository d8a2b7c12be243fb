"""Removal of runs from their store: nothing that looks like a run is left half removed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.files import remove, replace_link, temporary_beside
from reinforcestrategycreator_pipeline.runs.artifacts import MANIFEST
from reinforcestrategycreator_pipeline.runs.folder import (
    LATEST,
    list_runs,
    locked,
    store_locked,
)
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest
from reinforcestrategycreator_pipeline.runs.promotion import is_promoted
from reinforcestrategycreator_pipeline.runs.summary import read_summary


def require_removable(run_dir: Path, force: bool = False) -> None:
    """Require that a folder is a run that may be removed.

    Parameters
    ----------
    run_dir : Path
        Folder of the run.
    force : bool
        Whether a run whose package is promoted may be removed, and one that cannot be read.

    Raises
    ------
    RunError
        If the folder is a symbolic link or no run; without `force`, if the run cannot be read, or
        if ``runs/promoted`` is its package.
    """
    if run_dir.is_symlink():
        raise RunError(f"{run_dir}: is a symbolic link, which is not followed to remove a run.")
    if not (run_dir / MANIFEST).is_file():
        raise RunError(f"{run_dir}: is not a run, as it has no {MANIFEST}; remove it yourself.")
    if force:
        return
    try:
        manifest = load_manifest(run_dir)
    except RunError as error:
        raise RunError(f"{error} To remove the folder as it is, add --force.") from error
    if is_promoted(run_dir, manifest.created):
        raise RunError(
            f"the run {run_dir.name!r} is the one that is promoted. To remove it, add --force; the "
            "promoted package is a copy, and stays."
        )


def remove_runs(
    folders: Sequence[Path], force: bool = False, before: Callable[[Path], None] = lambda _: None
) -> None:
    """Remove runs; all of them are checked first.

    Each gets the name of a temporary, then goes: if the process is killed in between, the next run
    in the store sweeps the rest. ``runs/latest`` points to the newest run that stays.

    Parameters
    ----------
    folders : sequence of Path
        Folders of the runs.
    force : bool
        Whether to remove what `require_removable` then allows.
    before : callable, optional
        Called with the folder of each run, which is locked, before it goes.

    Raises
    ------
    RunError
        If `require_removable` raises, or another process is working on a run; nothing is removed
        then.
    """
    for store in dict.fromkeys(run_dir.parent for run_dir in folders):
        going = [run_dir for run_dir in folders if run_dir.parent == store]
        with store_locked(store):
            for run_dir in going:
                require_removable(run_dir, force)
                with locked(run_dir):
                    pass
            _repair_latest(store, going)
            for run_dir in going:
                with locked(run_dir):
                    before(run_dir)
                    trash = run_dir.rename(temporary_beside(run_dir))
                remove(trash)


def _repair_latest(store: Path, going: Collection[Path]) -> None:
    """Point ``latest`` to the newest run that stays, if it points to one that goes."""
    link, names = store / LATEST, {run_dir.name for run_dir in going}
    if not link.is_symlink() or link.readlink().name not in names:
        return
    stay = [read_summary(run_dir) for run_dir in list_runs(store) if run_dir.name not in names]
    if stay:
        newest = max(stay, key=lambda run: run.created)
        replace_link(link, Path(newest.id))
    else:
        link.unlink()
