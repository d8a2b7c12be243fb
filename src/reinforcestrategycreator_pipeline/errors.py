"""Exceptions meant for the user: one line each, with what is wrong and how to fix it.

Every user mistake raises a subclass of `RscError`; the command line prints its text and exits with
`exit_code`. Any other exception that escapes is a bug in this package.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = "reinforcestrategycreator-pipeline"
"""The name under which pip knows this package."""
MOST_NAMES = 20
"""Maximum number of names that a message lists."""
MOST_OTHERS = 3
"""Maximum number of further errors that a message lists."""

BLAMED = "_rsc_blamed"
"""Attribute of an exception from another process: the line of user code that raised it."""

KeyPath = tuple[str | int, ...]


class _Nothing:
    """The type of `_NOTHING`, which is one object in every process to which an error is sent."""

    def __reduce__(self) -> str:
        return "_NOTHING"


_NOTHING = _Nothing()


class RscError(Exception):
    """Base class of every error that is meant for the user."""

    exit_code = 1


class ConfigError(RscError, ValueError):
    """A configuration value, key or file is wrong.

    Parameters
    ----------
    message : str
        One line that is complete without a file name: "The rate parameter of Adam must be > 0. Got
        0 instead."; by default `path` and `complaint`.
    path : tuple of str and int
        Keys that lead from the object being built to the wrong value.
    rule : str
        The broken rule, without a name: ``"must be > 0"``; empty if only `message` states it.
    value : object
        The rejected value.
    hint : str
        A sentence that begins with a space, from `nearest`.
    others : sequence of ConfigError
        Further errors found at the same time.
    """

    exit_code = 2

    def __init__(
        self,
        message: str = "",
        *,
        path: KeyPath = (),
        rule: str = "",
        value: object = _NOTHING,
        hint: str = "",
        others: Iterable[ConfigError] = (),
    ) -> None:
        self.message, self.path, self.rule, self.hint = message, path, rule, hint
        self.value, self.others = value, tuple(others)
        self.place = ""  # begins the text where no path does
        super().__init__(message)

    @property
    def complaint(self) -> str:
        """The error at `path`, as a sentence without the location."""
        if not self.rule:
            return self.message
        got = "" if self.value is _NOTHING else f" Got {shorten(repr(self.value), 80)} instead."
        return f"{self.rule}.{got}{self.hint}"

    @property
    def more(self) -> str:
        """A summary of `others`: a clause that begins with a space."""
        if not self.others:
            return ""
        short = [f"{show_path(e.path)}: {shorten(e.rule or e.message, 80)}" for e in self.others]
        shown = "; ".join(short[:MOST_OTHERS])
        return f" (and {len(short)} more: {shown}{'; ...' if len(short) > MOST_OTHERS else ''})"

    def within(self, *path: str | int) -> list[ConfigError]:
        """Return this error and its `others`, with `path` put in front of their paths."""
        found = [self, *self.others]
        for error in found:
            error.path = (*path, *error.path)
        return found

    def __str__(self) -> str:
        text = self.message or f"{show_path(self.path)}: {self.complaint}"
        return f"{self.place}{text}{self.more}".replace("\n", " ")


class DataError(RscError, ValueError):
    """Market data is missing, unreadable, or invalid.

    Parameters
    ----------
    message : str
        One-line message for the user.
    rows : DataFrame, optional
        Every rejected value: ``origin`` (file or source), ``symbol``, ``row`` (line of a text file,
        else counted from 1), ``time`` (close, UTC), ``column``, ``value`` as read, and the ``rule``
        that it breaks. What is not known is None, NA or NaT. None if no row is to blame.
    """

    def __init__(self, message: str = "", *, rows: Any = None) -> None:
        self.rows = rows
        super().__init__(message)


class FeatureError(RscError, ValueError):
    """A feature cannot be computed, or violates its declaration."""


class NonFiniteError(RscError, ArithmeticError):
    """A NaN or an infinity appeared where only finite numbers are allowed."""


class DivergenceError(RscError, ArithmeticError):
    """Action values exceed what the rewards allow: training diverges."""


class CheckpointError(RscError):
    """A saved state is missing, damaged, or does not match what it is loaded into."""


class RunError(RscError):
    """A run cannot be started, resumed, or read."""


class Interrupted(RscError):
    """The user stopped the run; its state was saved."""

    exit_code = 130


@contextmanager
def at(*path: str | int) -> Iterator[None]:
    """Prepend `path` to the path of any `ConfigError` raised inside."""
    try:
        yield
    except ConfigError as error:
        error.within(*path)
        raise


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Name the extra to install when an import inside fails.

    Parameters
    ----------
    extra : str
        Key of ``[project.optional-dependencies]`` in ``pyproject.toml``.
    what : str
        What cannot be used without it; begins the message.

    Raises
    ------
    ConfigError
        In place of the ImportError.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f'{what} needs an extra that is not installed: pip install "{PROJECT}[{extra}]" '
            f"({shorten(str(error))})."
        ) from error


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the valid name nearest to `name`, or list the valid ones.

    Parameters
    ----------
    name : str
        The name that the user wrote.
    valid : iterable of str
        All valid names.

    Returns
    -------
    str
        A sentence that begins with a space, to be appended to an error message.
    """
    names = sorted(str(v) for v in valid)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    close = close or [v for v in names if "_" in v and _initials(v) == name]
    if close:
        return f" Did you mean {close[0]!r}?"
    shown = names[:MOST_NAMES]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f" Valid names: {', '.join(shown)}{more}." if names else ""


def _initials(name: str) -> str:
    """Return the abbreviation of a name: ``"lr"`` of ``"learning_rate"``."""
    return "".join(word[:1] for word in name.split("_"))


def nearest_file(path: Path) -> str:
    """Return a hint for a path that does not exist: the nearest name there, or where it was sought.

    Parameters
    ----------
    path : Path
        Path as the user wrote it.

    Returns
    -------
    str
        A sentence that begins with a space, or ``""``.
    """
    folder = path.parent
    if not folder.is_dir():
        return f" There is no folder {str(folder)!r}.{_from(folder)}"
    try:
        found = [p for p in folder.iterdir() if p.is_file()]
    except OSError:
        return ""  # the folder cannot be listed
    # By the stem, as any two names with one suffix are alike.
    stems = {p.stem: p.name for p in found} | {
        p.stem: p.name for p in found if p.suffix == path.suffix
    }
    close = difflib.get_close_matches(path.stem, sorted(stems), n=1, cutoff=0.6)
    return f" Did you mean {stems[close[0]]!r}?" if close else _from(path)


def _from(path: Path) -> str:
    return (
        ""
        if path.is_absolute()
        else f" A relative path starts at the current folder, {Path.cwd()}."
    )


def show_path(path: KeyPath) -> str:
    """Return a key path in the usual notation: ``features[2].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def shorten(text: str, limit: int = 200) -> str:
    """Truncate text quoted from users or libraries to `limit` characters, for a message."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def blame(error: BaseException) -> str:
    """Return the line of user code that raised: ``"my_source.py:12"``, or ``""``.

    It is the innermost line of the traceback that is in neither this package nor a library. For an
    exception from another process, it is the line that was found there.
    """
    import sysconfig
    import traceback

    if place := vars(error).get(BLAMED):
        return str(place)

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
    """Convert an exception from user code into an error of `kind` that names the component.

    The message is: ``feature 'x' raised KeyError: 'clse' (my_features.py:12)``. An `RscError`
    passes through unchanged.
    """
    try:
        yield
    except RscError:
        raise
    except Exception as error:
        place = f" ({where})" if (where := blame(error)) else ""
        text = shorten(str(error))
        raise kind(f"{component} raised {type(error).__name__}: {text}{place}") from error
