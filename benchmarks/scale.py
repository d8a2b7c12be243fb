"""The main job on much data: seconds, memory and the slowest stages of four sets of bars.

    python -m benchmarks.scale            five minutes on two processors; writes its section
    python -m benchmarks.scale --quick    sees that it runs, on few bars

Each run is a process of its own; its memory is the largest resident set of any of its processes.
Training is cheap on purpose, and the same for all: what is measured is the way of the data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.kept import replace_section
from benchmarks.measuring import bar

PROGRAM = "from reinforcestrategycreator_pipeline.cli import main; raise SystemExit(main())"
TRAINING = {"agents": 4, "screening_steps": 500, "steps": 500}
QUICK = 250  # times fewer bars of a minute, and 25 times fewer symbols


class Case(NamedTuple):
    """One set of bars, and what a run of it may take.

    Attributes
    ----------
    name : str
        Name in the table.
    write : callable
        Function from a folder to the settings of the source; writes the bars there.
    seconds, gigabytes : float
        What a run on two processors may take.
    """

    name: str
    write: Callable[[Path, int], list[str]]
    seconds: float
    gigabytes: float


class Measured(NamedTuple):
    """What one run took.

    Attributes
    ----------
    wall, cpu : float
        Seconds, and processor seconds of all its processes.
    gigabytes : float
        Largest resident set of one of its processes.
    stages : dict of str to float
        Seconds of each stage.
    """

    wall: float
    cpu: float
    gigabytes: float
    stages: dict[str, float]


def bars_of(index: pd.DatetimeIndex, volatility: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return bars of a random walk whose moves have fat tails."""
    n = len(index)
    close = 100.0 * np.exp(np.cumsum(volatility * rng.standard_t(5, n)))
    open_ = np.append(100.0, close[:-1]) * np.exp(0.2 * volatility * rng.standard_normal(n))
    up, down = np.exp(0.5 * volatility * np.abs(rng.standard_normal((2, n))))
    values = {
        "open": open_,
        "high": np.maximum(open_, close) * up,
        "low": np.minimum(open_, close) / down,
        "close": close,
        "volume": np.rint(1_000.0 * np.exp(0.5 * rng.standard_normal(n))),
    }
    return pd.DataFrame(values, index=index.rename("timestamp")).round(6)


def minutes(count: int) -> Callable[[Path, int], list[str]]:
    """Return a writer of one symbol's bars of a minute, in one CSV file."""

    def write(folder: Path, fewer: int) -> list[str]:
        index = pd.date_range("2021-01-01", periods=count // fewer, freq="min", tz="UTC")
        frame = bars_of(index, 0.0005, np.random.default_rng(1))
        frame.index = index.strftime("%Y-%m-%dT%H:%M:%SZ").rename("timestamp")
        frame.to_csv(folder / "minutes.csv")
        path = f"data.params.path={folder / 'minutes.csv'}"
        return ["data.source=csv", path, "data.params.bar_stamp=close"]

    return write


def days(symbols: int, count: int, start: str, long: bool) -> Callable[[Path, int], list[str]]:
    """Return a writer of daily bars: a file for each symbol, or one long file."""

    def write(folder: Path, fewer: int) -> list[str]:
        some = max(3, symbols // (25 if fewer > 1 else 1))
        index = pd.bdate_range(start, periods=min(count, 1_259) if fewer > 1 else count)
        rng = np.random.default_rng(2)
        frames = {f"S{k:03d}": bars_of(index, 0.012, rng) for k in range(some)}
        place = folder / "days"
        place.mkdir()
        if long:
            table = pd.concat([f.assign(symbol=name) for name, f in frames.items()])
            table.to_csv(place / "all.csv")
            return [
                "data.source=csv",
                f"data.params.path={place / 'all.csv'}",
                "data.params.symbol_column=symbol",
            ]
        for name, frame in frames.items():
            frame.to_csv(place / f"{name}.csv")
        return ["data.source=csv", f"data.params.path={place}"]

    return write


CASES = (
    Case("1 x 500,000 of a minute", minutes(500_000), 25.0, 1.0),
    Case("1 x 1,500,000 of a minute", minutes(1_500_000), 70.0, 1.5),
    Case("30 x 8,000 daily, a folder", days(30, 8_000, "1994-01-03", long=False), 20.0, 1.0),
    Case("505 x 1,259 daily, one file", days(505, 1_259, "2018-01-02", long=True), 45.0, 1.0),
)


def measured(case: Case, fewer: int) -> Measured:
    """Write the bars, and run the main job on them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = [
            *case.write(folder, fewer),
            *(f"strategy.training.{k}={v}" for k, v in TRAINING.items()),
        ]
        command = [sys.executable, "-c", MEASURE, PROGRAM, "run", "--run-id", "it"]
        for setting in settings:
            command += ["--set", setting]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{case.name}: {done.stderr}")
        wall, cpu, kilobytes = json.loads(done.stdout.splitlines()[-1])
        manifest = json.loads((folder / "runs/it/manifest.json").read_text(encoding="utf-8"))
    stages = {name: stage["seconds"] for name, stage in manifest["stages"].items()}
    return Measured(wall, cpu, kilobytes / 1e6, stages)


# The resident set of the children is the largest of one that was waited for.
MEASURE = """
import json, resource, subprocess, sys, time
begun = time.perf_counter()
code = subprocess.run([sys.executable, "-c", *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
seconds = time.perf_counter() - begun
print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))
sys.exit(code)
"""


def row(case: Case, found: Measured) -> str:
    """Return the line of one set in the table."""
    slowest = sorted(found.stages, key=lambda name: -found.stages[name])[:3]
    shown = ", ".join(f"{name} {found.stages[name]:.0f}" for name in slowest)
    return (
        f"| {case.name} | {found.wall:.0f} | {found.cpu:.0f} | {found.gigabytes:.2f} | {shown} | "
        f"{case.seconds:.0f} s, {case.gigabytes:g} GB |"
    )


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    fewer = QUICK if quick else 1
    found = [(case, measured(case, fewer)) for case in CASES]
    training = ", ".join(f"{key} {value:,}" for key, value in TRAINING.items())
    return [
        "## Much data",
        "",
        f"The main job from CSV files, {os.cpu_count()} processors; the default configuration but "
        f"for cheap training ({training}). Memory is that of the largest process.",
        "",
        "| bars | seconds | CPU s | GB | slowest stages, s | goal |",
        "|---|---:|---:|---:|---|---|",
        *(row(*each) for each in found),
        "",
        *(
            bar(
                it.wall <= case.seconds and it.gigabytes <= case.gigabytes,
                f"{case.name}: {it.wall:.0f} s and {it.gigabytes:.2f} GB "
                f"(goal {case.seconds:.0f} s and {case.gigabytes:g} GB)",
            )
            for case, it in found
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few bars; writes nothing")
    chosen = parser.parse_args()
    lines = main(chosen.quick)
    print("\n".join(lines), flush=True)
    if not chosen.quick:
        replace_section(lines)
