"""Jobs that tests of engines run; in a module, as workers have to import them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

from reinforcestrategycreator_pipeline.envs.rewards import REWARDS
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.experiments.jobs import Report
from reinforcestrategycreator_pipeline.files import write_bytes, write_json
from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts
from reinforcestrategycreator_pipeline.testing import engine_contract


@dataclass(frozen=True)
class FileJob(engine_contract.FileJob):
    """A job that counts its attempts."""

    def attempt(self) -> int:
        """Return how many attempts there were before this one, which is counted, too."""
        before = len(list(self.folder.glob(f"{self.name}.attempt*")))
        (self.folder / f"{self.name}.attempt{before}").write_text(str(os.getpid()))
        return before


@dataclass(frozen=True)
class Killed(FileJob):
    """Kill the worker in the first `times` attempts."""

    times: int = 1

    def run(self, report: Report) -> None:
        if self.attempt() < self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        write_bytes(self.result, b"done")


@dataclass(frozen=True)
class Placed(engine_contract.TrainingJob):
    """Train on a Ray cluster for a while, and note the node."""

    seconds: float = 1.0

    def run(self, report: Report) -> None:
        import ray

        node = ray.get_runtime_context().get_node_id()
        (self.folder / f"{self.name}.{node}.node").touch()
        time.sleep(self.seconds)
        super().run(report)


@dataclass(frozen=True)
class Noisy(FileJob):
    """Print, warn and log, from this process and a child of it."""

    def run(self, report: Report) -> None:
        sys.stdout.write("x" * 5_000 + "\x00\n")
        sys.stderr.write("y" * 5_000 + "\n")
        os.write(1, b"raw bytes\n")
        warnings.warn("a warning of a library", UserWarning, stacklevel=1)
        subprocess.run([sys.executable, "-c", "print('child')"], check=True)
        logging.getLogger("reinforcestrategycreator_pipeline.x").warning("logged %d", 7)
        report.say("heard")
        write_bytes(self.result, b"done")


@dataclass(frozen=True)
class Patient(FileJob):
    """Work until a file `go` is there; write a checkpoint when interrupted, and go on from it."""

    def run(self, report: Report) -> None:
        self.attempt()
        checkpoint = self.folder / f"{self.name}.checkpoint"
        if checkpoint.is_file():
            report.say("resumed")
        with deferred_interrupts() as stop:
            while not (self.folder / "go").is_file():
                if stop:
                    time.sleep(0.3)  # a large checkpoint
                    write_bytes(checkpoint, b"state")
                    raise KeyboardInterrupt("a checkpoint was written")
                time.sleep(0.01)
        write_bytes(self.result, b"done")


@dataclass(frozen=True)
class Stubborn(FileJob):
    """Ignore every interruption."""

    def run(self, report: Report) -> None:
        self.attempt()
        while True:
            try:
                time.sleep(0.1)
            except KeyboardInterrupt:
                continue


@dataclass(frozen=True)
class Holding(FileJob):
    """Hold a reward by its name, or an object."""

    held: Any = None

    def run(self, report: Report) -> None:
        write_json(self.result, {"module": REWARDS.build(self.held).__module__})


class OddError(Exception):
    """An exception that cannot be rebuilt from its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class NamedError(RunError):
    """An error whose text is not its argument."""

    exit_code = 9

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is bad")


class OddRscError(RunError):
    """An error for the user that cannot be rebuilt from its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@dataclass(frozen=True)
class Raising(FileJob):
    """Raise an exception of some kind."""

    kind: str = ""

    def run(self, report: Report) -> None:
        if self.kind == "once another runs":
            while not list(self.folder.glob("*.attempt*")):
                time.sleep(0.01)
            raise RunError("the other runs")
        if self.kind == "unsendable value":
            raise ConfigError(path=("a", 1), rule="must be a number", value=lambda: None)
        if self.kind == "odd":
            raise OddError(1, 2)
        if self.kind == "exit":
            raise SystemExit(3)
        if self.kind == "odd error of a user":
            raise OddRscError(1, 2)
        if self.kind == "text from a name":
            raise NamedError("x")
        if self.kind == "several errors":
            other = ConfigError(path=("b",), rule="must be a list", value=lambda: None)
            raise ConfigError(path=("a",), rule="must be > 0", value=-1, others=[other])
        raise AssertionError(self.kind)
