"""Benchmarks that need no foreign package run to their end: they rot unseen otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# The main job that is measured is that of other tests; here, a short one will do.
SHORT = {
    "RSC_CONFIG__SPLIT__WINDOWS": "2",
    "RSC_CONFIG__STRATEGY__TRAINING__SCREENING_STEPS": "200",
    "RSC_CONFIG__STRATEGY__TRAINING__STEPS": "200",
}


@pytest.mark.parametrize(
    "name",
    [
        "endurance",
        "logging_cost",
        "market",
        "pipeline",
        "planted_edge",
        "population",
        "scale",
        "search_speed",
    ],
)
def test_a_benchmark_runs(name):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick"]
    environment = {**os.environ, **(SHORT if name == "pipeline" else {})}
    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.lstrip().startswith("#")
