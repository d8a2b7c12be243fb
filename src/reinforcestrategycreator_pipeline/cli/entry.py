"""Translation of exceptions into one line on standard error and an exit code."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import Any

from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.cli.streams import tolerant
from reinforcestrategycreator_pipeline.errors import RscError, shorten
from reinforcestrategycreator_pipeline.interrupts import ends_at_once

INTERNAL = 70  # EX_SOFTWARE of sysexits.h: a defect of this package
TRACEBACK = "RSC_TRACEBACK"
LONGEST = 560  # characters of an error


def run_app() -> int:
    """Run the command line; the user never sees a traceback.

    If the environment variable ``RSC_TRACEBACK`` is set, internal errors show one.
    """
    with ends_at_once(), tolerant() as streams:
        code = _run()
        lost = streams.lost()
        if lost is None:
            return code
        if isinstance(lost, BrokenPipeError):  # the reader has seen enough
            return code
        label = "warning" if streams.only_shown else "error"
        sys.stderr.write(f"{label}: standard output: {lost.strerror or lost}\n")
        return code if streams.only_shown else code or 1


def _run() -> int:
    kernels.choose()  # before anything loads NumPy
    from reinforcestrategycreator_pipeline.cli.app import app

    try:
        code = app(standalone_mode=False)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except RscError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except OSError as error:
        return _fail(_reason(error), 1)
    except MemoryError as error:  # beyond what `memory` had estimated
        return _fail(f"out of memory: {error or 'nothing more can be allocated'}", 1)
    except Exception as error:
        if hasattr(error, "format_message"):  # of typer: the command line is wrong
            return _wrong_usage(error)
        if os.environ.get(TRACEBACK):
            raise
        text = f"internal error: {type(error).__name__}: {shorten(str(error))}"
        text += f" (set {TRACEBACK}=1 for the traceback)"
        return _fail(text, INTERNAL)
    return code if isinstance(code, int) else 0


def _wrong_usage(error: Any) -> int:
    """Show the usage beside the error, whose text quotes what was typed."""
    if type(error).__name__ != "NoArgsIsHelpError":  # else the message is the help page
        error.message = _bounded(one_line(error.message) + _misplaced(error))
    error.show()
    return int(error.exit_code)


def _misplaced(error: Any) -> str:
    """Return the option that was meant, where an argument is too many."""
    said = re.fullmatch(r"Got unexpected extra arguments?\(?s?\)? \((.*)\)", error.message)
    known = (
        {name for p in getattr(error.ctx, "command", error).params for name in p.opts}
        if said
        else set()
    )
    text = said[1] if said else ""
    if "--config" in known and text.endswith((".yaml", ".yml")):
        return f". Did you mean --config {shlex.quote(text)}?"
    if "--set" in known and "=" in text:
        return f". Did you mean --set {shlex.quote(text)}?"
    return ""


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"error: {_bounded(one_line(text))}\n")
    return code


def _bounded(text: str) -> str:
    """Return `text` with its middle left out if it is too long: its end names the way on."""
    if len(text) <= LONGEST:
        return text
    end = LONGEST // 3
    return f"{text[: LONGEST - end - 5]} ... {text[-end:]}"


def one_line(text: str) -> str:
    """Return `text` with line breaks and control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename is not None else reason
