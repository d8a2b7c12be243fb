"""Folds and seeds at once against one after the other; a search's predicted and actual time."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import bar, run
from benchmarks.seeds_jobs import Seeds
from reinforcestrategycreator_pipeline.experiments.engines.base import Engine, kept_open
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
from reinforcestrategycreator_pipeline.files import sha256_file

FOLDS, SEEDS, STEPS, WORKERS = 4, 16, 1_500, 2
SIDES = ("alone", "populations", "populations in processes")
CONFIG = """\
features: {audit_cuts: 0}
strategy:
  name: dqn_ensemble
  training: {agents: 8, steps: 1200, screening_steps: 1200, caution: 0.0}
search:
  prune: false
  space:
    strategy.training.learning_rate: {low: 1.0e-4, high: 1.0e-3, log: true}
"""
CASES = [(1, 8, 1), (1, 8, 2), (3, 4, 1), (3, 4, 2), (5, 2, 2), (5, 8, 2)]
"""Inner windows, trials, workers."""


def throughput(rounds: int, steps: int) -> dict[str, list[float]]:
    """Return each side's seconds for all trainings, in rounds that take every side in turn.

    Raises
    ------
    RuntimeError
        If the sides' weights are not the same bits.
    """
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    seeds = range(1, SEEDS + 1)
    with tempfile.TemporaryDirectory() as name, kept_open(Processes(WORKERS)) as crew:
        engines: dict[str, Engine] = dict(zip(SIDES, (Inline(), Inline(), crew), strict=True))
        for number in range(-1, rounds):  # the first warms up, and starts the workers
            results = []
            for side, engine in engines.items():
                folder = Path(name, f"{number} {side}")
                folder.mkdir()
                n = steps if number >= 0 else 20
                jobs = [
                    Seeds(f"{k}", folder, tuple(100 * k + s for s in seeds), n, side != "alone")
                    for k in range(FOLDS)
                ]
                begin = time.perf_counter()
                engine.run(jobs, Listener())
                if number >= 0:
                    found[side].append(time.perf_counter() - begin)
                results.append([sha256_file(job.result) for job in jobs])
            if any(result != results[0] for result in results):
                raise RuntimeError("the trainings have not the same bits")
    return found


def predicted_and_actual(
    folds: int, trials: int, workers: int, rounds: int
) -> list[tuple[float, float]]:
    """Return the seconds that a search takes, as ``--estimate`` says and as it does, by round."""
    program = "from reinforcestrategycreator_pipeline.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", program, "tune", "-c", "search.yaml"]
    command += ["--set", f"search.folds={folds}", "--trials", f"{trials}"]
    command += ["--workers", f"{workers}"]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "search.yaml").write_text(CONFIG, encoding="utf-8")

        def output(*more: str) -> str:
            return subprocess.run(
                [*command, *more], cwd=folder, check=True, capture_output=True, text=True
            ).stdout

        for _ in range(rounds):
            said = re.search(r"about (\d+) (s|min)", output("--estimate"))
            assert said is not None
            begin = time.perf_counter()
            output()
            actual = time.perf_counter() - begin
            found.append((float(said[1]) * (60 if said[2] == "min" else 1), actual))
    return found


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    found = throughput(1 if quick else 5, 50 if quick else STEPS)
    ratio: Callable[[str, str], float] = lambda a, b: statistics.median(  # noqa: E731
        x / y for x, y in zip(found[a], found[b], strict=True)
    )
    rows, errors, worst_round = [], [], 0.0
    for case in CASES[:1] if quick else CASES:
        pairs = predicted_and_actual(*case, 1 if quick else 3)
        each = [predicted / actual - 1.0 for predicted, actual in pairs]
        medians = [statistics.median(side) for side in zip(*pairs, strict=True)]
        rows.append((*case, *medians))
        errors.append(statistics.median(each))
        worst_round = max(worst_round, *map(abs, each))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    base, together, both = SIDES
    gain = ratio(base, both)
    worst = max(errors, key=abs)
    return [
        "## Searches",
        "",
        f"{FOLDS} folds x {SEEDS} seeds of a DQN 10-64-64-3, batch 32: the seeds of a fold one "
        f"after the other in one process, together as a population, and populations in {WORKERS} "
        "worker processes that were started before. The same bits; medians of the ratios of "
        f"interleaved rounds. The load average of the machine was {load:.1f} at the end, with "
        f"{os.cpu_count()} processors.",
        "",
        "| what | seconds | throughput |",
        "|---|---:|---:|",
        *(
            f"| {side} | {statistics.median(found[side]):.1f} | {ratio(base, side):.2f}x |"
            for side in SIDES
        ),
        "",
        f"Processes alone, populations on both sides: {ratio(together, both):.2f}x.",
        "",
        bar(gain >= 2.0, f"folds x seeds have at least 2x the throughput: {gain:.2f}x"),
        "",
        "`rsc tune --estimate` and then the search itself, medians of 3 rounds: a small ensemble "
        "(8 agents, 1,200 steps), the sample data, no early ends. Other programs come "
        f"and go between a prediction and its search: in a single round, the error was up to "
        f"{worst_round:.0%}.",
        "",
        "| inner windows | trials | workers | predicted, s | actual, s | error |",
        "|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {folds} | {trials} | {workers} | {predicted:.0f} | {actual:.0f} | {error:+.0%} |"
            for (folds, trials, workers, predicted, actual), error in zip(rows, errors, strict=True)
        ),
        "",
        bar(abs(worst) <= 0.2, f"all predictions are within 20%: the worst is {worst:+.0%}"),
    ]


if __name__ == "__main__":
    run(main)
