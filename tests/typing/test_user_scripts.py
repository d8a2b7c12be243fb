"""What type checkers, and so editors, say of a user's scripts: each mistake, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARK = re.compile(r"# wrong: ([\w-]+), (\w+)")

pytestmark = pytest.mark.slow


def expected(script: Path) -> dict[str, set[tuple[int, str]]]:
    """Return what each checker must report: line and rule."""
    found: dict[str, set[tuple[int, str]]] = {"mypy": set(), "pyright": set()}
    for number, line in enumerate(script.read_text(encoding="utf-8").splitlines(), 1):
        if mark := MARK.search(line):
            found["mypy"].add((number, mark[1]))
            found["pyright"].add((number, mark[2]))
    return found


def reported_by_mypy(script: Path, tmp_path: Path) -> set[tuple[int, str]]:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-pretty"]
    command += ["--cache-dir", str(tmp_path), str(script)]
    # From elsewhere, as a user: the package is the installed one, which is typed.
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert result.returncode < 2, result.stdout + result.stderr
    lines = re.findall(r"^[^:\n]+:(\d+): error: .* \[([\w-]+)\]$", result.stdout, re.M)
    assert len(lines) == result.stdout.count(" error: "), result.stdout
    return {(int(number), rule) for number, rule in lines}


def reported_by_pyright(script: Path, tmp_path: Path) -> set[tuple[int, str]]:
    checker = shutil.which("basedpyright", path=str(Path(sys.executable).parent))
    if checker is None:
        pytest.skip("basedpyright is not installed")
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT / "src")]}
    shutil.copy(script, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [checker, "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(result.stdout)["generalDiagnostics"]
    return {
        (one["range"]["start"]["line"] + 1, one["rule"])
        for one in found
        if one["severity"] == "error"
    }


CHECKERS = {"mypy": reported_by_mypy, "pyright": reported_by_pyright}


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("name", ["right.py", "wrong.py"])
def test_every_mistake_is_reported_and_nothing_else(
    checker: str, name: str, tmp_path: Path
) -> None:
    script = HERE / name
    wanted = expected(script)[checker]
    assert bool(wanted) == (name == "wrong.py")
    assert CHECKERS[checker](script, tmp_path) == wanted
