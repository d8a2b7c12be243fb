"""Translation of exceptions into one line on standard error and an exit code."""

from __future__ import annotations

import os
import sys

from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.errors import RscError, shorten

INTERNAL = 70  # EX_SOFTWARE of sysexits.h: a defect of this package
TRACEBACK = "RSC_TRACEBACK"


def run_app() -> int:
    """Run the command line; the user never sees a traceback.

    If the environment variable ``RSC_TRACEBACK`` is set, internal errors show one.
    """
    kernels.choose()  # before anything loads NumPy
    from reinforcestrategycreator_pipeline.cli.app import app

    code = 0
    try:
        app()
    except SystemExit as stop:  # typer always ends this way
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except RscError as error:
        code = _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _fail("interrupted", 130)
    except OSError as error:
        code = _fail(_reason(error), 1)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        text = f"internal error: {type(error).__name__}: {shorten(str(error))}"
        text += f" (set {TRACEBACK}=1 for the traceback)"
        code = _fail(text, INTERNAL)
    return code if _flushed() else code or 1


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"error: {one_line(text)}\n")
    return code


def one_line(text: str) -> str:
    """Return `text` with line breaks and control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def _flushed() -> bool:
    """Flush standard output; return False, without a traceback, if its reader went away."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return False
    return True
