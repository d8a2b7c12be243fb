"""Two hundred times `kill -9`, at any moment: the same final hash as without a single one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KILLS = 100


@pytest.mark.parametrize("seed", [7, 8])  # two hundred kills in all
def test_a_hundred_kills(tmp_path: Path, seed: int) -> None:
    script = Path(__file__).parent / "kills.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(KILLS), str(seed)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["kills"] >= KILLS
    assert len(set(said["expected"].values())) == 4
    for kind, expected in said["expected"].items():
        assert len(said["found"][kind]) >= 2
        assert set(said["found"][kind]) == {expected}
    assert said["left"] == 0, "files of killed processes were left behind"
