"""Run every benchmark on one BLAS thread and write benchmarks/RESULTS.md."""

from __future__ import annotations

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy and torch are loaded

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import logging_cost, pipeline, planted_edge, train_step


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Measure everything; print and write it."""
    packages = ("numpy", "torch", "pandas", "gymnasium")
    lines = [
        "# Benchmark results",
        "",
        "Written by `make bench`. Compare ratios: times are of one machine and one moment.",
        "",
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        f"- Machine: {processor()}, {os.cpu_count()} cores, {platform.system()}",
        f"- Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in packages),
        "- One BLAS thread everywhere.",
    ]
    for benchmark in (train_step, logging_cost, planted_edge, pipeline):
        part = benchmark.main()
        print("\n".join(part), flush=True)
        lines += ["", *part]
    (Path(__file__).parent / "RESULTS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
