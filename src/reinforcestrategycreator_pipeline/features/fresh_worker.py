"""The process in which features are computed that have not seen any bar before.

It reads requests and forks a child for each, which answers and ends. A child that is asked to
import modules serves the requests after it, until the message to leave: so its own children have
the modules, but no memory of bars. Where there is no fork, a process computes once and ends.

A message is the length of a JSON header, the header, and the arrays that the header describes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import FeatureError, RscError, blamed
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.confined import Confinement, confine
from reinforcestrategycreator_pipeline.features.watched import Watch


def send(stream: int, header: dict[str, Any], arrays: Sequence[F64] = ()) -> None:
    """Write a message of a header and two-dimensional arrays to a file descriptor."""
    text = json.dumps({**header, "shapes": [a.shape for a in arrays]}).encode()
    parts = [struct.pack("<Q", len(text)), text, *(a.tobytes() for a in arrays)]
    left = memoryview(b"".join(parts))
    while left:
        left = left[os.write(stream, left) :]


def receive(stream: int) -> tuple[dict[str, Any], list[F64]] | None:
    """Read a message from a file descriptor; None at its end."""
    if not (size := _read(stream, 8)):
        return None
    header = json.loads(_read(stream, struct.unpack("<Q", size)[0]))
    arrays = []
    for rows, columns in header["shapes"]:
        flat = np.frombuffer(_read(stream, 8 * rows * columns), dtype=np.float64)
        arrays.append(flat.reshape(rows, columns))
    return header, arrays


def _read(stream: int, count: int) -> bytes:
    parts = []
    while count > 0:
        part = os.read(stream, min(count, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class Worker:
    """The serving of requests.

    Parameters
    ----------
    source, sink : int
        File descriptors of requests and answers.
    forks : bool
        Whether every request gets a process of its own.
    """

    def __init__(self, source: int, sink: int, forks: bool) -> None:
        self._source, self._sink, self._forks = source, sink, forks
        self._confinement: Confinement | None = None
        self._watch: Watch | None = None

    def serve(self) -> None:
        """Answer requests until there are no more, or until the message to leave."""
        while (message := receive(self._source)) is not None:
            header, arrays = message
            kind = header["kind"]
            if kind == "leave":
                return
            if not self._forks:
                self._answer(header, arrays)
                if kind == "compute":
                    return
                continue
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    self._answer(header, arrays)
                    if kind == "import":
                        self.serve()
                    code = 0
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)
            if status:
                reason = os.waitstatus_to_exitcode(status)
                how = f"signal {-reason}" if reason < 0 else f"exit code {reason}"
                send(self._sink, {"error": f"ended its process by {how}", "attempts": []})

    def _answer(self, header: dict[str, Any], arrays: list[F64]) -> None:
        answer: dict[str, Any] = {"error": ""}
        results: list[F64] = []
        try:
            with blamed("its module", FeatureError):
                if header["kind"] == "import":
                    self._import(header)
                else:
                    self._compute(header, arrays, results)
        except RscError as error:
            answer["error"] = str(error)
        if self._watch is not None:
            answer["clock"], answer["environment"] = self._watch.clock, self._watch.environment
        answer["attempts"] = self._confinement.attempts if self._confinement else []
        send(self._sink, answer, results)

    def _import(self, header: dict[str, Any]) -> None:
        sys.path[:] = header["path"]
        os.chdir(header["folder"])
        users = [_place(name, Path(file)) for name, file in header["modules"].items()]
        own = [Path(folder) for folder in header["own"]]
        libraries = [Path(entry) for entry in header["path"] if entry not in header["own"]]
        self._confinement = confine(libraries, own, users)
        with self._armed():
            for name, file in header["modules"].items():
                found = getattr(importlib.import_module(name), "__file__", None)
                if found != file:
                    raise ImportError(f"{name!r} is {found} here, not {file}")

    def _compute(self, header: dict[str, Any], arrays: list[F64], results: list[F64]) -> None:
        with self._armed():
            feature = build_feature(FeatureSpec(header["name"], header["params"]))
            confinement = self._confinement
            if header.get("watched") and confinement is not None:
                self._watch = Watch(confinement.is_library)
            for array in arrays:
                bars = dict(zip(header["columns"], array, strict=True))
                with self._watch or contextlib.nullcontext():
                    results.append(evaluate(feature, header["name"], bars).values)

    @contextlib.contextmanager
    def _armed(self) -> Iterator[None]:
        confinement = self._confinement
        if confinement:
            confinement.armed = True
        try:
            yield
        finally:
            if confinement:
                confinement.armed = False


def _place(name: str, file: Path) -> Path:
    """Return the folder of the outermost package of a module, or the file of a module alone."""
    inner = name.count(".") + (file.name == "__init__.py")
    return file.parents[inner - 1] if inner else file


def main() -> None:
    """Serve the process that started this one; whatever user code prints is dropped."""
    import pandas  # noqa: F401 - most user modules need it, and forking is quicker

    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.set_inheritable(source, False)
    sys.dont_write_bytecode = True
    gc.freeze()  # a child's collections then touch, and copy, less of the memory
    Worker(source, sink, forks="forks" in sys.argv).serve()


if __name__ == "__main__":
    main()
