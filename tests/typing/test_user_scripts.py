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
SCRIPTS = ("right.py", "wrong.py")
MARK = re.compile(r"# wrong: ([\w-]+), (\w+)")

pytestmark = pytest.mark.slow


def expected(checker: str) -> set[tuple[str, int, str]]:
    """Return what a checker must report: script, line and rule."""
    return {
        (name, number, mark[list(CHECKERS).index(checker) + 1])
        for name in SCRIPTS
        for number, line in enumerate((HERE / name).read_text(encoding="utf-8").splitlines(), 1)
        if (mark := MARK.search(line))
    }


def reported_by_mypy(tmp_path: Path) -> set[tuple[str, int, str]]:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-pretty"]
    command += ["--cache-dir", str(tmp_path), *(str(HERE / name) for name in SCRIPTS)]
    # From elsewhere, as a user: the package is the installed one, which is typed.
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert result.returncode < 2, result.stdout + result.stderr
    lines = re.findall(r"^([^:\n]+):(\d+): error: .* \[([\w-]+)\]$", result.stdout, re.M)
    assert len(lines) == result.stdout.count(" error: "), result.stdout
    return {(Path(path).name, int(number), rule) for path, number, rule in lines}


def reported_by_pyright(tmp_path: Path) -> set[tuple[str, int, str]]:
    checker = shutil.which("basedpyright", path=str(Path(sys.executable).parent))
    if checker is None:
        pytest.skip("basedpyright is not installed")
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT / "src")]}
    for name in SCRIPTS:
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [checker, "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(result.stdout)["generalDiagnostics"]
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["rule"])
        for one in found
        if one["severity"] == "error"
    }


CHECKERS = {"mypy": reported_by_mypy, "pyright": reported_by_pyright}


@pytest.mark.parametrize("checker", CHECKERS)
def test_every_mistake_is_reported_and_nothing_else(checker: str, tmp_path: Path) -> None:
    """Both scripts at once: what a checker reads of the package costs most of its time."""
    wanted = expected(checker)
    assert {name for name, _, _ in wanted} == {"wrong.py"}
    assert CHECKERS[checker](tmp_path) == wanted
