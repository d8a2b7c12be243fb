"""A process that runs commands in forks of itself, and ends them before any file operation.

It has imported everything and started no thread, so a fork takes milliseconds and is safe. An
audit hook sees each operation of Python that changes a file system before it is done.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Operations:
    """The process; `run` has a fork of it run a command."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-B", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "140"},
        )

    def run(
        self, folder: Path, *arguments: str, stop: int | None = None, watch: bool = False
    ) -> dict[str, Any]:
        """Run ``rsc`` with some arguments in `folder`.

        Parameters
        ----------
        stop : int, optional
            Kill the process before this operation, counted from 0.
        watch : bool
            Look at the store before each operation; see `watched`.

        Returns
        -------
        dict
            ``code`` (negative for a signal), ``err`` (standard error), ``operations`` (their
            number), ``seen`` (what was watched).
        """
        task = {"folder": str(folder), "arguments": arguments, "stop": stop, "watch": watch}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        self._process.communicate(timeout=10)


def changes(event: str, args: tuple[Any, ...]) -> bool:
    """Return whether an event of Python's audit hooks changes a file system."""
    if event == "open":
        return bool(args[2] & WRITING) and not str(args[0]).startswith(("/dev/", "/proc/"))
    return event in CHANGES


def watched(store: Path) -> str:
    """Return in a word what ``promoted`` is: absent, whole or broken; and what the run has."""
    from reinforcestrategycreator_pipeline.deployment.package import verify_package
    from reinforcestrategycreator_pipeline.errors import RscError

    link, latest = store / "promoted", store / "latest"
    if latest.is_symlink() and not (latest / "manifest.json").is_file():
        return "latest is broken"
    if not link.is_symlink():
        return "absent"
    try:
        manifest = verify_package(link.resolve())
    except (RscError, OSError) as error:
        return f"broken: {error}"
    return "whole" if manifest["promotion"]["promoted"] else "not promoted"


def main() -> None:
    """Serve tasks until standard input ends."""
    from reinforcestrategycreator_pipeline.cli.entry import run_app

    for module in ("api.runs", "reporting.contents", "reporting.html", "reporting.markdown"):
        __import__(f"reinforcestrategycreator_pipeline.{module}")
    __import__("filelock"), __import__("threadpoolctl"), __import__("rich.progress")
    for line in sys.stdin:
        task = json.loads(line)
        folder = Path(task["folder"])
        said = folder / ".said"
        child = os.fork()
        if child == 0:
            _work(task, said, run_app)
        _, status = os.waitpid(child, 0)
        lines = said.read_text("utf-8").split("\0")
        said.unlink()
        found = {"code": os.waitstatus_to_exitcode(status), "err": lines[0]}
        found |= json.loads(lines[-1])
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def _work(task: dict[str, Any], said: Path, run_app: Any) -> None:
    """Run one task in a fork, which never returns."""
    os.chdir(task["folder"])
    out = os.open(said, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    state: dict[str, Any] = {"operations": 0, "seen": []}
    inside = False

    def note() -> None:
        os.write(out, b"\0" + json.dumps(state).encode())

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal inside
        if inside or not changes(event, args):
            return
        inside = True
        if task["watch"]:
            seen = watched(Path("runs"))
            if state["seen"][-1:] != [seen]:
                state["seen"].append(seen)
        if state["operations"] == task["stop"]:
            state["at"] = [event, *map(str, args)]
            note()
            os.kill(os.getpid(), signal.SIGKILL)
        state["operations"] += 1
        inside = False

    fsync = os.fsync

    def counted(descriptor: int) -> None:
        hook("os.rename", ("fsync",))
        fsync(descriptor)

    os.fsync = counted
    sys.argv = ["rsc", *task["arguments"]]
    sys.addaudithook(hook)
    code = 99
    try:
        code = run_app()
        sys.stderr.flush()
    finally:
        inside = True
        note()
        os._exit(code)


if __name__ == "__main__":
    main()
