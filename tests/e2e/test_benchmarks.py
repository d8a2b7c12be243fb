"""Benchmarks that need no foreign package run to their end: they rot unseen otherwise."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name", ["endurance", "logging_cost", "pipeline", "planted_edge", "population"]
)
def test_a_benchmark_runs(name):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    assert found.stdout.lstrip().startswith("#")
