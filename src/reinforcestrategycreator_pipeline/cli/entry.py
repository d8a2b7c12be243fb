"""From exceptions to one line on standard error and an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import RscError, shorten
from reinforcestrategycreator_pipeline.registry import search

INTERNAL = 70  # EX_SOFTWARE of sysexits.h: the fault is ours
TRACEBACK = "RSC_TRACEBACK"


def run_app() -> int:
    """Run the command line; whatever happens, the user sees no traceback.

    With the environment variable ``RSC_TRACEBACK`` set, a defect of ours shows its own.
    """
    from reinforcestrategycreator_pipeline.cli.app import app

    code = 0
    try:
        search(Path.cwd())
        app()
    except SystemExit as stop:  # how typer ends, always
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
        text += f" ({TRACEBACK}=1 shows where)"
        code = _fail(text, INTERNAL)
    return code if _flushed() else code or 1


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"error: {one_line(text)}\n")
    return code


def one_line(text: str) -> str:
    """Return `text` with everything escaped that would leave the line or steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def _flushed() -> bool:
    """Flush standard output; a reader that went away is no reason for a traceback at exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return False
    return True
