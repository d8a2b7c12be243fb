"""The main job and the command line."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.measuring import run


def timed(command: list[str], folder: str) -> tuple[float, float]:
    """Run a command; return its wall time and the CPU time of it and its children, seconds."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return wall, cpu


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    module = "reinforcestrategycreator_pipeline.cli"
    rsc = [sys.executable, "-c", f"from {module} import main; main()"]
    with tempfile.TemporaryDirectory() as folder:
        runs = [timed([*rsc, "run"], folder) for _ in range(1 if quick else 3)]
        helps = [timed([*rsc, "--help"], folder)[1] for _ in range(1 if quick else 7)]
    wall = statistics.median(r[0] for r in runs)
    cpu = statistics.median(r[1] for r in runs)
    return [
        "## The pipeline",
        "",
        "| what | figure |",
        "|---|---:|",
        f"| main job, default configuration, bundled data: wall time | {wall:.1f} s |",
        f"| the same: CPU time | {cpu:.1f} s |",
        f"| `rsc --help`: CPU time | {statistics.median(helps):.2f} s |",
    ]


if __name__ == "__main__":
    run(main)
