"""The product's own command line on markets so small that a run takes a second."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reinforcestrategycreator_pipeline.cli.entry import run_app
from reinforcestrategycreator_pipeline.files import sha256_file

ROOT = Path(__file__).parents[2]
MAIN_SCRIPT = ROOT / "run_main_pipeline.py"
STAGES = ("data_ingestion", "feature_engineering", "training", "evaluation", "deployment")

# What the same seed must repeat to the byte. The history has steps per second in it.
REPEATABLE = (
    "training/policy.safetensors",
    "evaluation/metrics.json",
    "evaluation/trades.csv",
    "evaluation/equity.csv",
)

QUICK = """\
data: {source: synthetic, params: {n_bars: 300}}
features: {columns: [{name: returns, horizons: [1, 2]}]}
split: {kind: single}
strategy:
  name: dqn
  training: {steps: 20, trajectories: 8, validation_interval: 10, checkpoint_interval: 10}
  hyperparameters:
    {hidden_layers: [4], batch_size: 8, buffer_size: 1000, learning_starts: 16, log_interval: 10}
evaluation: {random_draws: 11}
"""
"""A configuration whose run takes half a second."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on standard error, but for those that tell the progress of a run."""
        return [line for line in self.err.splitlines() if not PROGRESS.match(line)]


PROGRESS = re.compile(
    r"(run|search) \S+ in |\[\d/5\] |training +[━╸╺ ]*\d+/\d+ |skipped a damaged checkpoint|"
    r"((window \d+|deployed): )?The policy is a constant exposure"
)

Rsc = Callable[..., Said]


def rsc_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Rsc:
    """Return a function that runs ``rsc`` with some arguments in this process, in `folder`."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))  # a command appends the folder
    monkeypatch.setenv("COLUMNS", "140")

    def rsc(*arguments: str) -> Said:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["rsc", *arguments])
        code = run_app()
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return rsc


def script(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``python run_main_pipeline.py`` in `folder` to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def start_script(folder: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """Start ``python run_main_pipeline.py`` in `folder`."""
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(MAIN_SCRIPT), *arguments]


def environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "140", **more}


def manifest(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    return found


def statuses(run_dir: Path) -> list[str]:
    """Return the status of the run, then of each stage."""
    found = manifest(run_dir)
    return [found["status"], *(found["stages"][name]["status"] for name in STAGES)]


def hashes(run_dir: Path) -> dict[str, str]:
    """Return the SHA-256 of all that the same seed must repeat."""
    return {name: sha256_file(run_dir / name) for name in REPEATABLE}


def temporaries(folder: Path) -> list[Path]:
    """Return what an interrupted write left behind."""
    return [
        p for p in folder.rglob(".*") if p.name not in (".lock", ".lock.owner", ".looks.jsonl.lock")
    ]
