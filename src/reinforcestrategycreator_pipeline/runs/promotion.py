"""``runs/promoted``: a link to a copy of the newest promoted package.

The copy is made, synced and checked before the link moves, and never changed after: whatever the
run does to its own folder, and wherever a process is killed, the link points to a whole package.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.files import (
    atomic_folder,
    remove,
    replace_link,
    sha256_bytes,
)
from reinforcestrategycreator_pipeline.runs.folder import PACKAGES, PROMOTED, store_locked
from reinforcestrategycreator_pipeline.runs.manifest import hash_artifact


def promote(run_dir: Path, created: str, package: Path) -> Path:
    """Make ``runs/promoted`` a relative link to a copy of a package, atomically; return its path.

    Of the copies, this one and the one before are kept: somebody may be reading it.

    Parameters
    ----------
    run_dir : Path
        Folder of the run.
    created : str
        The run's time of creation, which tells it from another run of that name.
    package : Path
        Folder of the package.

    Raises
    ------
    RunError
        If ``promoted`` exists and is not a link, or if the store cannot be written.
    """
    store = run_dir.parent
    link = store / PROMOTED
    with store_locked(store):
        digest = hash_artifact(package)
        if digest is None:
            raise RunError(f"{package}: no such package folder.")
        copy = store / PACKAGES / f"{_owner(run_dir, created)}-{digest[:12]}"
        if hash_artifact(copy) != digest:
            with atomic_folder(copy) as temporary:
                shutil.copytree(package, temporary, dirs_exist_ok=True)
        kept = {copy.name, link.readlink().name if link.is_symlink() else ""}
        replace_link(link, copy.relative_to(store))
        for other in copy.parent.iterdir():
            if other.name not in kept:
                remove(other)
    return link


def withdraw(run_dir: Path, created: str) -> None:
    """Remove ``runs/promoted`` if it points to a package of this run."""
    with store_locked(run_dir.parent):
        if is_promoted(run_dir, created):
            (run_dir.parent / PROMOTED).unlink()


def is_promoted(run_dir: Path, created: str) -> bool:
    """Return whether ``runs/promoted`` points to a package of this run."""
    link = run_dir.parent / PROMOTED
    return link.is_symlink() and link.readlink().name.startswith(f"{_owner(run_dir, created)}-")


def _owner(run_dir: Path, created: str) -> str:
    return f"{run_dir.name}-{sha256_bytes(created.encode())[:12]}"
