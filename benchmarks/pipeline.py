"""The main job, the command line, and the market's speed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.measuring import run
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.envs.trajectories import MarketTrajectories
from reinforcestrategycreator_pipeline.execution.costs import CostConfig


def timed(command: list[str], folder: str) -> tuple[float, float]:
    """Run a command; return its wall time and the CPU time of it and its children, seconds."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return wall, cpu


def bars_per_second(rounds: int) -> float:
    """Step 1,024 trajectories with random actions; return bars a second."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(20_000)))
    bars = AssetBars(
        "X", np.arange(20_000) * 86_400 * 10**9, close, close, np.zeros((20_000, 4), np.float32)
    )
    walk = MarketTrajectories(ExogenousMarket([bars], (-1, 0, 1), CostConfig()), 1024, rng)
    actions = rng.integers(3, size=1024)
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(500):
            walk.step(actions)
        rates.append(500 * 1024 / (time.perf_counter() - start))
    return statistics.median(rates)


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
        "| stepping 1,024 trajectories through the exogenous market, no features gathered | "
        f"{bars_per_second(2 if quick else 20) / 1e6:.1f} million bars/s |",
    ]


if __name__ == "__main__":
    run(main)
