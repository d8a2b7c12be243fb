"""A worker as the process sees it that started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Pipe
from typing import Any

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.experiments.engines import worker
from reinforcestrategycreator_pipeline.experiments.engines.failures import dumped, loaded
from reinforcestrategycreator_pipeline.experiments.engines.setting import Setting, packed_job
from reinforcestrategycreator_pipeline.experiments.jobs import Job

_AT_ONCE = 100  # messages of one worker before others are attended to
# The search path of this process: whatever made it, the worker finds the same modules.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    f"from {worker.__name__} import main; main(int(sys.argv[2]))"
)


class WorkerProcess:
    """A running worker and the job that it does, if any.

    Parameters
    ----------
    setting : Setting
        Setting of this process.
    environment : dict of str to str
        Environment variables, from `kernels.environment`.

    Raises
    ------
    RunError
        If no process can be started.
    """

    def __init__(self, setting: Setting, environment: dict[str, str]) -> None:
        if not sys.executable:
            raise RunError("no worker process can be started: Python does not know its own path.")
        self.job: Job | None = None
        self.link, theirs = Pipe()
        try:
            self._process = subprocess.Popen(
                # -P: no module of the current folder hides a library before the path is set.
                [sys.executable, "-P", "-c", _PROGRAM, _search_path(), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for this process, which passes it on
            )
        except OSError as error:
            self.link.close()
            raise RunError(f"no worker process can be started: {error.strerror}.") from error
        finally:
            theirs.close()
        self._send(("setting", setting))

    def give(self, job: Job) -> None:
        """Have the worker run a job."""
        data = packed_job(job)
        self.job = job
        self._send(("job", data, job.name))

    def messages(self) -> list[Any]:
        """Return what arrived since the last call; the last is None if the worker ended."""
        found: list[Any] = []
        try:
            while len(found) < _AT_ONCE and self.link.poll():
                found.append(loaded(self.link.recv_bytes()))
        except (EOFError, OSError):
            return [*found, None]
        # A process that the job left behind keeps the socket open.
        if not found and self._process.poll() is not None and not self.link.poll():
            return [None]
        return found

    def interrupt(self) -> None:
        """Interrupt the job, which may save its state, and have the worker end."""
        self._send("stop")

    def leave(self) -> None:
        """Have the worker end when it has no job."""
        self._send(None)

    def end(self, patience: float) -> str:
        """Wait until the worker ended, kill it if it takes longer, and return how it ended.

        Parameters
        ----------
        patience : float
            Seconds to wait.
        """
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait()
            self.link.close()
        if code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return f"signal {-code} ({signal.Signals(-code).name})"
        return f"signal {-code}"

    def _send(self, message: Any) -> None:
        # A worker that ended shows that by the end of its messages.
        with contextlib.suppress(OSError):
            self.link.send_bytes(bytes(dumped(message)))


def _search_path() -> str:
    return json.dumps([entry for entry in sys.path if isinstance(entry, str)])
