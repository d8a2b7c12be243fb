"""The reads of the clock and of environment variables by a feature's code, while it computes.

Both are inputs beside the bars: a value that depends on today's date, or on what the shell holds,
is another one tomorrow, in the stream and on another machine. Python's profiler names every call of
a C function and its caller. So a call by the user's own line is not confused with one by a library,
which may time itself or look for its settings.
"""

from __future__ import annotations

import datetime
import dis
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, ModuleType, TracebackType

_CLOCKS = ("time", "time_ns", "clock_gettime", "clock_gettime_ns")
_CLOCKS_WITHOUT_ARGUMENTS = ("localtime", "gmtime", "ctime", "asctime")
_NOW = ("now", "today", "utcnow")
_MAKERS = ("Timestamp", "datetime64", "to_datetime", "Period")
"""Names by which pandas and NumPy make times; in C, where the profiler sees nothing."""
_GET_VARIABLE = type(os.environ).__getitem__.__code__
_PASSED_ON = ("os", "_collections_abc")


class Watch:
    """A context in which reads by the user's code are noted.

    Parameters
    ----------
    is_library : callable
        ``is_library(file)``: whether a file with code is not the user's.

    Attributes
    ----------
    clock, environment : list of str
        Each read, once: what was read, and the line that did it.
    """

    def __init__(self, is_library: Callable[[str], bool]) -> None:
        self._is_library = is_library
        self.clock: list[str] = []
        self.environment: list[str] = []
        self._seen: set[CodeType] = set()

    def __enter__(self) -> Watch:
        self._before = sys.getprofile()
        sys.setprofile(self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.setprofile(self._before if callable(self._before) else None)

    def _hear(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if event == "c_call":
            if self._is_users(code) and (what := _clock(frame, arg)):
                self._note(self.clock, f"{what} ({_place(frame)})")
        elif event == "call":
            if code is _GET_VARIABLE:
                caller = frame.f_back
                while caller and caller.f_globals.get("__name__") in _PASSED_ON:
                    caller = caller.f_back
                if caller and self._is_users(caller.f_code):
                    name = frame.f_locals.get("key")
                    self._note(self.environment, f"the variable {name!r} ({_place(caller)})")
            elif code not in self._seen and self._is_users(code):
                self._seen.add(code)
                if what := _time_made_now(code):
                    self._note(self.clock, f"{what} ({_place(frame)})")

    def _is_users(self, code: CodeType) -> bool:
        file = code.co_filename
        return not file.startswith("<frozen") and not self._is_library(file)

    @staticmethod
    def _note(reads: list[str], text: str) -> None:
        if text not in reads:
            reads.append(text)


def _clock(frame: FrameType, function: object) -> str:
    """Return the name of a C function that reads the clock, or nothing."""
    name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
    if owner is time and isinstance(owner, ModuleType):
        bare = name in _CLOCKS_WITHOUT_ARGUMENTS and _arguments(frame) == 0
        return f"time.{name}()" if name in _CLOCKS or bare else ""
    if isinstance(owner, type) and issubclass(owner, datetime.date) and name in _NOW:
        return f"{owner.__name__}.{name}()"
    return ""


def _arguments(frame: FrameType) -> int | None:
    """Return the number of arguments of the call at which a frame is."""
    for step in dis.get_instructions(frame.f_code):
        if step.offset >= frame.f_lasti and step.opname.startswith(("CALL", "PRECALL")):
            return step.arg
    return None


def _time_made_now(code: CodeType) -> str:
    """Return what a function's code says of the present time, by pandas or NumPy, or nothing."""
    said = {text for text in code.co_consts if isinstance(text, str)} | set(code.co_names)
    makers = [name for name in _MAKERS if name in code.co_names]
    moments = [word for word in _NOW if word in said]
    return f"{makers[0]} of {moments[0]!r}" if makers and moments else ""


def _place(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
