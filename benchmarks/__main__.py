"""Run every benchmark, each in a process of its own, and write benchmarks/RESULTS.md.

    python -m benchmarks                        all of them: 20 minutes
    python -m benchmarks train_step acting      some of them, printed and not written
    python -m benchmarks --quick                see that all run; measures and writes nothing

What is learned, and how fast, is measured by `python -m benchmarks.learning`, which takes hours of
processor time and writes its own section of RESULTS.md; what the ensemble is worth on markets, by
`python -m benchmarks.ensemble`, which takes an hour. Both sections stay as they are here.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from threadpoolctl import threadpool_info

from benchmarks import ensemble_report, learning
from benchmarks.measuring import MET, NOT_MET

RESULTS = Path(__file__).with_name("RESULTS.md")
BENCHMARKS = (
    "train_step",
    "population",
    "agents",
    "cartpole_speed",
    "endurance",
    "import_cost",
    "acting",
    "logging_cost",
    "planted_edge",
    "pipeline",
    "market",
    "search_speed",
    "scale",
)
PACKAGES = ("numpy", "torch", "jax", "stable-baselines3", "gymnasium", "pandas")


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def blas() -> str:
    """Return NumPy's matrix library, its version and its kernel."""
    found = [
        pool
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and "numpy" in pool["filepath"]  # SciPy brings its own
    ]
    return ", ".join(
        f"{pool['internal_api']} {pool['version']}"
        + (f" ({pool['architecture']})" if "architecture" in pool else "")
        for pool in found
    )


def measured(name: str, quick: bool) -> list[str]:
    """Run one benchmark and return its lines."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    start = time.perf_counter()
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{name} failed with exit code {result.returncode}; nothing is written")
    print(result.stdout, flush=True)
    print(f"({name}: {time.perf_counter() - start:.0f} s)\n", file=sys.stderr, flush=True)
    return result.stdout.rstrip().splitlines()


def head(lines: list[str]) -> list[str]:
    """Return what stands above the results: the machine, and how many bars are met."""
    bars = [line for line in lines if line.startswith((MET, NOT_MET))]
    missed = [line for line in bars if line.startswith(NOT_MET)]
    met = f"{len(bars) - len(missed)} of {len(bars)} bars of speed and memory are met"
    return [
        "# Benchmark results",
        "",
        "Written by `make bench` (20 minutes; a virtual environment of its own). Compare ratios: "
        "times are of one machine and one moment. `make bench` leaves two sections as they are: "
        "that on learning, by `make bench-learning` (40 minutes or more on two processors), and "
        "that on the ensemble, by `make bench-ensemble` (an hour on one). Both go on where they "
        "were stopped.",
        "",
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        f"- Machine: {processor()}, {os.cpu_count()} cores, {platform.system()}; {blas()}",
        f"- Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "- One thread everywhere.",
        f"- {met}" + (":" if missed else "."),
        *(f"  - {line.removeprefix('- ')}" for line in missed),
    ]


def main() -> None:
    """Measure, print, and write what was measured if it is everything."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="benchmark", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is written")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {min(unknown)!r}; there are {', '.join(BENCHMARKS)}")
    parts = [measured(name, chosen.quick) for name in chosen.names or BENCHMARKS]
    if chosen.quick or (chosen.names and set(chosen.names) != set(BENCHMARKS)):
        return
    lines = [line for part in parts for line in ["", *part]]
    others = [
        ["", *section] for section in (learning.report(), ensemble_report.report()) if section
    ]
    text = [*head(lines), *lines, *(line for section in others for line in section)]
    RESULTS.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
