"""Runs that several tests read, made once in a session of all its workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

import reinforcestrategycreator_pipeline as rsc


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder that the first worker to ask for it makes, and the others wait for.

    Who reads it leaves it as it is: others read it, too.
    """
    session = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent
    folder, done = session / name, session / f"{name}.done"
    with FileLock(session / f"{name}.lock"):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def make_default_job(folder: Path) -> None:
    """Run ``rsc run`` as it comes; keep what it prints in ``printed.txt``."""
    done = subprocess.run(
        [sys.executable, "-m", rsc.__name__, "run"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "140"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout, encoding="utf-8")
