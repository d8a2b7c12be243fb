"""Standard streams that are closed, full or read by nobody; Ctrl-C while programs are imported."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import MAIN_SCRIPT, QUICK, environment, statuses

from reinforcestrategycreator_pipeline.cli.entry import LONGEST

RSC = f"{shlex.quote(sys.executable)} -m reinforcestrategycreator_pipeline"
FULL = "No space left on device"
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return ended(folder, "sh", "-c", f"{RSC} {command}")


def ended(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@needs_full
@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("--version > /dev/full", 1, "", f"error: standard output: {FULL}\n"),
        ("--version >&-", 0, "", ""),
        ("nope 2> /dev/full", 2, "", ""),
        ("nope 2>&-", 2, "", ""),
        ("report nope 2>&- >&- <&-", 1, "", ""),
        ("report nope 2> /dev/full", 1, "", ""),
    ],
)
def test_a_stream_that_is_closed_or_full(
    tmp_path: Path, command: str, code: int, out: str, err: str
) -> None:
    done = shell(tmp_path, command)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


RUNS = {
    "all closed": (">&- 2>&- <&-", ""),
    "output closed": (">&-", "[5/5] deployment: done"),
    "both full": ("> /dev/full 2> /dev/full", ""),
    "output full": ("> /dev/full", f"warning: standard output: {FULL}\n"),
    "nobody reads": ("2>&1 | true", ""),
}


@needs_full
@pytest.mark.parametrize(
    "case",
    [
        *["all closed"],
        *(pytest.param(name, marks=pytest.mark.slow) for name in RUNS if name != "all closed"),
    ],
)
def test_a_run_completes_whatever_becomes_of_what_it_says(tmp_path: Path, case: str) -> None:
    (tmp_path / "quick.yaml").write_text(QUICK)
    redirected, said = RUNS[case]
    done = shell(tmp_path, f"run -c quick.yaml {redirected}")
    assert done.returncode == 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert statuses(tmp_path / "runs/latest") == ["complete"] * 6
    # Nothing that was printed went into a file that got the number of a closed stream.
    for path in (tmp_path / "runs/latest").rglob("*.json*"):
        assert "deployment: done" not in path.read_text().partition('"event"')[0]


ENDED_IN_IMPORTS = """
import os, signal, sys
number = int(sys.argv.pop(1))
seen = 0

def hook(event, args):
    global seen
    if event == "import":
        if seen == number:
            os.kill(os.getpid(), signal.SIGINT)
        seen += 1

sys.argv[0] = "rsc"
from reinforcestrategycreator_pipeline.cli import main
sys.addaudithook(hook)
raise SystemExit(main())
"""


def imported(folder: Path, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that gets Ctrl-C at an import, counted from 0."""
    return ended(folder, sys.executable, "-c", ENDED_IN_IMPORTS, str(number), *arguments)


@pytest.mark.parametrize("number", [0, 3, 11, 130, 900])
def test_ctrl_c_while_the_program_is_imported(tmp_path: Path, number: int) -> None:
    (tmp_path / "quick.yaml").write_text(QUICK)
    done = imported(tmp_path, number, "run", "-c", "quick.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")
    assert not (tmp_path / "runs/latest").exists()


@pytest.mark.parametrize(
    "start",
    [
        "runpy.run_module('reinforcestrategycreator_pipeline', run_name='__main__')",
        f"runpy.run_path({str(MAIN_SCRIPT)!r}, run_name='__main__')",
    ],
)
def test_ctrl_c_before_the_first_import(tmp_path: Path, start: str) -> None:
    program = f"""
import os, runpy, signal, sys

def hook(event, args):
    if event == "import" and args[0] == "reinforcestrategycreator_pipeline.cli":
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(hook)
{start}
"""
    done = ended(tmp_path, sys.executable, "-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_ctrl_c_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As in a shell's background."""
    done = subprocess.run(
        [sys.executable, "-c", ENDED_IN_IMPORTS, "3", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0
    assert done.stdout.startswith("rsc ")


def test_a_wrong_option_of_any_length_gives_a_short_line(tmp_path: Path) -> None:
    for command in (f"run --{'x' * 5000}", f"{'y' * 5000}", f"run --resume {'z' * 5000}"):
        done = shell(tmp_path, command)
        assert done.returncode in (1, 2)
        assert all(len(line) < LONGEST + 40 for line in done.stderr.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="paths of any bytes")
@pytest.mark.slow
def test_paths_that_are_not_utf8(tmp_path: Path) -> None:
    """They work; in a configuration, which is UTF-8, they are rejected in one line."""
    folder = tmp_path / os.fsdecode(b"b\xff d")
    folder.mkdir()
    (folder / "quick.yaml").write_text(QUICK)
    for where, store, config in ((folder, "runs", "quick.yaml"), (tmp_path, folder, folder)):
        config = config if where == folder else folder / "quick.yaml"
        options = f"--runs-dir {shlex.quote(str(store))}"
        done = shell(where, f"run -c {shlex.quote(str(config))} --run-id mine {options}")
        assert done.returncode == 0, done.stderr
        for command in ("run --resume mine", "report mine --render", "report mine"):
            done = shell(where, f"{command} {options}")
            assert done.returncode == 0, done.stderr
        done = shell(where, f"runs {options}")
        assert "mine" in done.stdout
    done = shell(folder, f"run --set data.params.path={os.fsdecode(bytes([255]))}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = shell(tmp_path, f"init {shlex.quote(str(folder / 'new.yaml'))}")
    assert done.returncode == 0
    done = shell(folder, "config check -c new.yaml")
    assert done.returncode == 0, done.stderr
