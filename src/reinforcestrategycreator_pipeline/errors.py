"""The exceptions that a user may see: one line each, and what to do about it.

Everything that a user can get wrong raises a subclass of `RscError`; the command line prints
its text and exits with `exit_code`. Anything else that escapes is a defect of ours.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

MOST_NAMES = 20
"""Names that a message lists at most."""


class RscError(Exception):
    """Base of every error that is meant for the user."""

    exit_code = 1


class ConfigError(RscError, ValueError):
    """A configuration value, key or file is wrong."""

    exit_code = 2


class DataError(RscError, ValueError):
    """Market data is missing, unreadable or breaks a rule."""


class FeatureError(RscError, ValueError):
    """A feature cannot be computed, or breaks its own declaration."""


class NonFiniteError(RscError, ArithmeticError):
    """A NaN or an infinity appeared where only finite numbers may be."""


class DivergenceError(RscError, ArithmeticError):
    """Learning has left what the rewards allow."""


class CheckpointError(RscError):
    """A saved state is missing, damaged or belongs to something else."""


class RunError(RscError):
    """A run cannot be started, continued or read."""


class Interrupted(RscError):
    """The user stopped the run; its state is saved."""

    exit_code = 130


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the valid name nearest to `name`, or the names there are.

    Parameters
    ----------
    name : str
        What the user wrote.
    valid : iterable of str
        The names that exist.

    Returns
    -------
    str
        A sentence that begins with a space, to be put behind an error message.
    """
    names = sorted(str(v) for v in valid)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    shown = names[:MOST_NAMES]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f" Valid names: {', '.join(shown)}{more}." if names else ""


def shorten(text: str, limit: int = 200) -> str:
    """Return `text`, cut to `limit` characters: a message quotes what users or libraries wrote."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def blame(error: BaseException) -> str:
    """Return the line of code from outside that raised: ``"my_source.py:12"``, or ``""``.

    It is the innermost of the traceback that is neither of this package nor of a library.
    """
    import sysconfig
    import traceback

    ours = (str(Path(__file__).parent), *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")))
    where = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        library = any(file.is_relative_to(folder) for folder in ours)
        if not (library or "site-packages" in file.parts or file.name.startswith("<")):
            where = f"{file.name}:{line}"
    return where


@contextlib.contextmanager
def blamed(component: str, kind: type[RscError]) -> Iterator[None]:
    """Turn what code from outside raises into an error of `kind` that says whose code it was.

    The message reads: ``feature 'x' raised KeyError: 'clse' (my_features.py:12)``. Errors that are
    meant for the user pass as they are.
    """
    try:
        yield
    except RscError:
        raise
    except Exception as error:
        place = f" ({where})" if (where := blame(error)) else ""
        text = shorten(str(error))
        raise kind(f"{component} raised {type(error).__name__}: {text}{place}") from error
