"""Features computed where no bar was seen before, without files and network, or in this process.

A module can remember: the whole history in a global, a scaler of the first series that it met. What
it then returns for a part of the history is no proof of anything. So the audit computes the user's
features in fresh processes, each forked from one that has the module and has seen no bars.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features import fresh_worker
from reinforcestrategycreator_pipeline.features.base import Bars, Feature, FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.confined import OURS, library_folders
from reinforcestrategycreator_pipeline.features.user import code_of
from reinforcestrategycreator_pipeline.features.watched import Watch

_PACKAGE = __name__.partition(".")[0]
_DEADLINE, _SLOWER = 60.0, 20.0
"""Seconds that an answer may take, and beside that how many times longer than in this process."""
_CHUNK = 1 << 24
FORKS = hasattr(os, "fork") and sys.platform != "darwin"
"""Whether a child may be forked; on macOS, system libraries do not survive it."""


class Computing(Protocol):
    """A place where a feature is computed."""

    exact: bool
    """Whether the results depend on the bars alone, to the last bit."""
    where: str
    """The process in words."""

    def compute(self, variants: Iterable[Bars]) -> Iterator[F64]:
        """Yield the checked values of each series of bars, (T, k).

        Raises
        ------
        FeatureError
            If the feature fails; those before it were yielded.
        """
        ...

    def reads(self, bars: Bars) -> Reads:
        """Return what the feature reads beside the bars while it computes them."""
        ...


class Reads(NamedTuple):
    """Reads by a feature's own code beside the bars, with the line of each.

    Attributes
    ----------
    clock, environment : tuple of str
        Reads of the clock and of environment variables.
    """

    clock: tuple[str, ...]
    environment: tuple[str, ...]


class Denied(FeatureError):
    """A feature opened a file or a connection, or started a program, while it was audited."""


class Here:
    """The computation of a feature in this process.

    Parameters
    ----------
    spec : FeatureSpec
        Specification of the feature.
    """

    where = "this process"

    def __init__(self, spec: FeatureSpec) -> None:
        self._feature, self._name = build_feature(spec), spec.name
        self.exact = is_shipped(self._feature)

    def compute(self, variants: Iterable[Bars]) -> Iterator[F64]:
        """Yield the checked values of each series of bars."""
        for bars in variants:
            yield evaluate(self._feature, self._name, bars).values

    def reads(self, bars: Bars) -> Reads:
        """Return what the feature reads beside the bars while it computes them."""
        roots = [f"{folder}{os.sep}" for folder in (*library_folders(), OURS)]
        with Watch(lambda file: any(file.startswith(root) for root in roots)) as watch:
            evaluate(self._feature, self._name, bars)
        return Reads(tuple(watch.clock), tuple(watch.environment))


class FreshProcesses:
    """The processes in which user features are computed; a context that ends them.

    Parameters
    ----------
    forks : bool
        Whether to fork a process per computation; otherwise each starts a new interpreter, which
        takes about a second.
    """

    def __init__(self, forks: bool = FORKS) -> None:
        self.forks = forks
        self._process: subprocess.Popen[bytes] | None = None
        self._modules: dict[str, str] = {}

    def __enter__(self) -> FreshProcesses:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; the next computation starts them again."""
        process, self._process, self._modules = self._process, None, {}
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        if process.poll() is None:
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()

    def place(self, spec: FeatureSpec, seconds: float = 0.0) -> Computing:
        """Return where to compute a feature: a user's in fresh processes, if these can import it.

        Shipped features, and those that are defined in a notebook, in the script that runs or
        inside a function, are computed in this process.

        Parameters
        ----------
        spec : FeatureSpec
            Specification of the feature.
        seconds : float
            Time that this process took for all bars, >= 0.
        """
        here = Here(spec)
        modules = None if here.exact or not sys.executable else _modules(spec, build_feature(spec))
        try:
            json.dumps(spec.to_mapping())
        except (TypeError, ValueError):  # a parameter that no configuration could hold
            return here
        return here if modules is None else Fresh(self, spec, modules, seconds)

    def ask(
        self,
        modules: dict[str, str],
        request: dict[str, Any],
        arrays: Sequence[F64],
        seconds: float = 0.0,
    ) -> tuple[dict[str, Any], list[F64]]:
        """Return the answer to a request, from a process that has imported `modules`.

        Parameters
        ----------
        modules : mapping of str to str
            Names and files.
        request : mapping
            Header of the message.
        arrays : sequence of ndarray
            Bars, in the order of the header's columns.
        seconds : float
            Time that this process would take, >= 0.
        """
        if self._process is not None and self._modules != modules:
            if self.forks:
                fresh_worker.send(self._pipes[0], {"kind": "leave"})
                self._modules = {}
            else:
                self.close()
        if self._process is None:
            self._start()
        if self._modules != modules:
            path, own = _search_path(modules)
            header = {"modules": modules, "path": path, "own": own, "folder": str(Path.cwd())}
            found, _ = self._exchange({"kind": "import", **header}, ())
            self._modules = modules
            if found["error"] or found["attempts"]:
                self.close()
                return found, []
        answer = self._exchange(request, arrays, seconds)
        if not self.forks:
            self.close()
        return answer

    @property
    def _pipes(self) -> tuple[int, int]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        return process.stdin.fileno(), process.stdout.fileno()

    def _start(self) -> None:
        # -P: no module of the current folder hides a library.
        arguments = [sys.executable, "-P", "-m", fresh_worker.__name__]
        # A process with several threads cannot be forked safely.
        one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
        try:
            self._process = subprocess.Popen(
                [*arguments, *(["forks"] if self.forks else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, **one, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for this process, which then ends that one
            )
        except OSError as error:
            raise FeatureError(f"no process can be started to audit features: {error}") from error

    def _exchange(
        self, header: dict[str, Any], arrays: Sequence[F64], seconds: float = 0.0
    ) -> tuple[dict[str, Any], list[F64]]:
        limit = _DEADLINE + _SLOWER * seconds
        late = threading.Event()
        process = self._process
        assert process is not None

        def stop() -> None:
            late.set()
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()

        timer = threading.Timer(limit, stop)
        timer.start()
        try:
            into, out = self._pipes
            fresh_worker.send(into, header, arrays)
            answer = fresh_worker.receive(out)
        except BrokenPipeError:
            answer = None
        finally:
            timer.cancel()
        if answer is None:
            self.close()
            why = f"took more than {limit:.3g} s" if late.is_set() else "ended its process"
            return {"error": why, "attempts": []}, []
        return answer


class Fresh:
    """The computation of one user feature in fresh processes, which give it no more than bars.

    Parameters
    ----------
    processes : FreshProcesses
        Processes to use.
    spec : FeatureSpec
        Specification of the feature.
    modules : mapping of str to str
        Modules with its code, and the file of each.
    seconds : float
        Time that this process took for all bars, >= 0.
    """

    def __init__(
        self,
        processes: FreshProcesses,
        spec: FeatureSpec,
        modules: dict[str, str],
        seconds: float = 0.0,
    ) -> None:
        self._processes, self._spec, self._modules = processes, spec, modules
        self._seconds = seconds
        self.exact = False
        self.where = "fresh processes"

    def compute(self, variants: Iterable[Bars]) -> Iterator[F64]:
        """Yield the checked values of each series of bars, in turn from one fresh process.

        A long list is divided among several: up to 16 MB of bars for each.

        Raises
        ------
        FeatureError
            If the feature opens a file or a connection, or fails.
        """
        part: list[F64] = []
        names: list[str] = []
        for bars in variants:
            names = names or list(bars)
            part.append(np.stack([bars[name] for name in names]))
            if sum(array.nbytes for array in part) > _CHUNK:
                yield from self._ask(names, part)
                part = []
        if part:
            yield from self._ask(names, part)

    def reads(self, bars: Bars) -> Reads:
        """Return what the feature reads beside the bars while a fresh process computes them."""
        array = np.stack(list(bars.values()))
        answer, _ = self._answer(list(bars), [array], watched=True)
        return Reads(tuple(answer.get("clock", ())), tuple(answer.get("environment", ())))

    def _answer(
        self, names: list[str], arrays: list[F64], watched: bool = False
    ) -> tuple[dict[str, Any], list[F64]]:
        params = {k: v for k, v in self._spec.to_mapping().items() if k != "name"}
        request = {"kind": "compute", "name": self._spec.name, "params": params, "columns": names}
        seconds = self._seconds * len(arrays)
        return self._processes.ask(self._modules, {**request, "watched": watched}, arrays, seconds)

    def _ask(self, names: list[str], arrays: list[F64]) -> Iterator[F64]:
        answer, results = self._answer(names, arrays)
        who = f"feature {self._spec.name!r}"
        if attempts := answer["attempts"]:
            raise Denied(
                f"{who} must use its bars alone, because a file or a host may know later ones: "
                f"denied was the {attempts[0]}. Load such data as side data, beside the bars."
            )
        yield from results
        if error := answer["error"]:
            denied = "PermissionError" in error and "; while it is audited, it can read only code"
            kind = Denied if denied else FeatureError
            if error.startswith(who):
                raise kind(f"{error}{denied or ''}")
            raise kind(f"{who}, in a process that can read only code: {error}")


def _modules(spec: FeatureSpec, feature: Feature) -> dict[str, str] | None:
    """Return the modules to import for a feature, with their files; None if that is impossible."""
    named = spec.name.partition(":")[0] if ":" in spec.name else ""
    code = code_of(feature)
    if "<" in getattr(code, "__qualname__", "<"):  # made inside a function
        return None
    found = {}
    for name in dict.fromkeys(filter(None, (named, getattr(code, "__module__", "")))):
        file = getattr(sys.modules.get(name), "__file__", None)
        if name == "__main__" or file is None:
            return None
        found[name] = file
    return found


def _search_path(modules: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return Python's search path for these modules, and what of it is not a library's.

    Libraries come first, then the folders of the modules: another folder may hold modules of the
    same name, and this process has found these.
    """
    libraries: list[str] = []
    others: list[str] = []
    roots = [
        Path(file).parents[name.count(".") + (Path(file).name == "__init__.py")]
        for name, file in modules.items()
    ]
    standard = Path(os.__file__).parent.resolve()
    for folder in (*roots, *(Path(entry or ".").resolve() for entry in sys.path)):
        is_library = "site-packages" in folder.parts or folder.is_relative_to(standard)
        # A zip file, such as that of the standard library, is no folder.
        (libraries if is_library or not folder.is_dir() else others).append(str(folder))
    own = list(dict.fromkeys(others))
    return list(dict.fromkeys([*libraries, *own])), own


def is_shipped(feature: Feature) -> bool:
    """Return whether a feature is part of this package."""
    return str(getattr(code_of(feature), "__module__", "")).startswith(f"{_PACKAGE}.")
