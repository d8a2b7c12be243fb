"""The state that a worker must have in common with the process that runs the engine."""

from __future__ import annotations

import importlib
import logging
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reinforcestrategycreator_pipeline import __version__, kernels
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError, shorten
from reinforcestrategycreator_pipeline.experiments.engines.failures import dumped, loaded, pack
from reinforcestrategycreator_pipeline.experiments.jobs import (
    PACKAGE,
    Event,
    Job,
    Report,
    perform,
)
from reinforcestrategycreator_pipeline.registry import user_modules
from reinforcestrategycreator_pipeline.trust import Scope


@dataclass(frozen=True)
class Setting:
    """The state of this process on which the results of jobs depend.

    Attributes
    ----------
    kernel : dict of str to str
        BLAS kernel and SIMD features.
    versions : str
        Versions of this package and of NumPy.
    folder : str
        Current folder, where relative paths begin.
    scope : Scope
        Modules that may be loaded.
    modules : tuple of str
        Modules of the user with components, which a name in a job may need.
    """

    kernel: dict[str, str]
    versions: str
    folder: str
    scope: Scope
    modules: tuple[str, ...]

    @classmethod
    def here(cls) -> Setting:
        """Return the setting of this process."""
        return cls(kernels.loaded(), _versions(), str(Path.cwd()), Scope.here(), user_modules())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the same setting in this process.

        Raises
        ------
        RunError
            If this process has another kernel or version, or lacks the folder.
        """
        if _versions() != self.versions:
            raise RunError(f"a worker has {_versions()}, but the run has {self.versions}.")
        found = kernels.loaded()
        if (found["blas"], found["simd"]) != (self.kernel["blas"], self.kernel["simd"]):
            raise RunError(
                f"a worker has {kernels.named(found)}, but the run has "
                f"{kernels.named(self.kernel)}, so its results would differ in the last digits."
            )
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise RunError(
                f"a worker on {platform.node()!r} cannot enter {self.folder}: {error.strerror}. "
                "Workers need the run's folders, on a file system that all machines share."
            ) from error
        with self.scope.entered():
            for name in self.modules:
                try:
                    importlib.import_module(name)
                except ModuleNotFoundError as error:
                    # Its folder is no longer searched. A job that needs it will say what it lacks.
                    if not f"{name}.".startswith(f"{error.name}."):
                        raise
            yield


def _versions() -> str:
    return f"version {__version__} with NumPy {np.__version__}"


def packed_job(job: Job) -> bytes:
    """Return a job as it is sent to a worker.

    Raises
    ------
    ConfigError
        If it holds something that cannot be sent.
    """
    try:
        return bytes(dumped(job))
    except Exception as error:  # objects of users and libraries may raise anything
        raise ConfigError(f"job {job.name!r} {_HOME} ({shorten(str(error))}).") from error


def unpacked_job(data: bytes, name: str) -> Job:
    """Return a job that arrived in a worker.

    Raises
    ------
    ConfigError
        If a class in it cannot be loaded.
    """
    try:
        job: Job = loaded(data)
    except Exception as error:  # as above
        raise ConfigError(f"job {name!r} {_HOME} ({shorten(str(error))}).") from error
    return job


_HOME = (
    "cannot be sent to a worker: what it holds must be defined in a module, not in a script, a "
    "notebook or a function. Move it there, or use the engine 'inline'"
)


@dataclass(frozen=True)
class Outcome:
    """The end of a job in a worker.

    Attributes
    ----------
    failure : bytes or None
        What it raised, for `failures.unpack`.
    interrupted : str or None
        What it said about its interruption.
    """

    failure: bytes | None = None
    interrupted: str | None = None


def carry_out(setting: Setting, data: bytes, name: str, send: Callable[[Event], None]) -> Outcome:
    """Run a job in a worker, and return how it ended.

    Parameters
    ----------
    setting : Setting
        Setting of the process that runs the engine.
    data : bytes
        The job, from `packed_job`.
    name : str
        Name of the job.
    send : callable
        Receives what it reports.
    """
    bridge = _Bridge(send)
    logging.getLogger(PACKAGE).addHandler(bridge)
    try:
        with setting.entered():
            perform(unpacked_job(data, name), Report(send))
    except KeyboardInterrupt as error:
        return Outcome(interrupted=str(error))
    except BaseException as error:  # noqa: BLE001 - every other one is raised where the engine runs
        return Outcome(failure=pack(error))
    finally:
        logging.getLogger(PACKAGE).removeHandler(bridge)
    return Outcome()


class _Bridge(logging.Handler):
    """A handler that sends the package's warnings to the process that runs the engine."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        super().__init__(logging.WARNING)
        self._send_event = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        self._send_event(Event("logging", (record.name, record.levelno, record.getMessage()), {}))
