"""The modules that a name in a configuration may load: those in folders that the user allows.

A configuration, a run's folder or a saved model may come from someone else, so a name in it loads
code only from the folders allowed with `allowing`, from those in the user's settings, and from
installed packages that declare their components by an entry point in the group `GROUP`. A module of
the standard library is never loaded. A module that Python has already imported may be named: that
runs nothing; which of its objects can be used is up to `registry.Registry`.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import os
import shlex
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError, blame, nearest, shorten

PACKAGE = __name__.partition(".")[0]
GROUP = f"{PACKAGE}.components"
"""Group of the entry points by which an installed package declares modules with components."""
SETTINGS = "trusted-folders"
"""File in the user's settings that lists allowed folders, one a line."""

_ALLOWED: ContextVar[tuple[Path, ...] | None] = ContextVar("allowed", default=None)
_BESIDE: ContextVar[Path | None] = ContextVar("beside", default=None)
_TYPED: ContextVar[frozenset[str]] = ContextVar("typed", default=frozenset())
_LOADED: dict[str, Path | None] = {}  # by module, the folder from which it was allowed


@contextmanager
def allowing(folders: Iterable[str | Path], beside: str | Path | None = None) -> Iterator[None]:
    """Allow modules from these folders, and from those in the user's settings, and no others.

    Parameters
    ----------
    folders : iterable of path
        Allowed folders. They are also put at the end of Python's search path: a module
        finds its neighbors, and no file there hides a library.
    beside : path, optional
        Folder in which the author of a configuration keeps modules; error messages tell how to
        allow it.

    Raises
    ------
    ConfigError
        If a folder does not exist.
    """
    allowed = []
    for folder in (*map(Path, folders), *settings_folders()):
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder, so its modules cannot be trusted.")
        allowed.append(folder.resolve())
        if str(allowed[-1]) not in sys.path:
            sys.path.append(str(allowed[-1]))
    first, second = _ALLOWED.set(tuple(allowed)), _BESIDE.set(Path(beside) if beside else None)
    try:
        yield
    finally:
        _ALLOWED.reset(first)
        _BESIDE.reset(second)


@contextmanager
def typed(modules: Iterable[str]) -> Iterator[None]:
    """Allow modules that the user named, also if they lie where `default_folders` says for that."""
    token = _TYPED.set(frozenset(modules))
    try:
        yield
    finally:
        _TYPED.reset(token)


class Scope(NamedTuple):
    """The permissions of `allowing` and `typed`, to be entered in another process.

    Attributes
    ----------
    allowed : tuple of str or None
        Allowed folders; None outside of `allowing`.
    beside : str or None
        Folder in which the author of a configuration keeps modules.
    typed : frozenset of str
        Modules that the user named.
    """

    allowed: tuple[str, ...] | None
    beside: str | None
    typed: frozenset[str]

    @classmethod
    def here(cls) -> Scope:
        """Return the scope of the code that calls."""
        allowed, beside = _ALLOWED.get(), _BESIDE.get()
        folders = None if allowed is None else tuple(map(str, allowed))
        return cls(folders, None if beside is None else str(beside), _TYPED.get())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Allow what this scope allows, and nothing else."""
        with ExitStack() as stack:
            if self.allowed is not None:
                stack.enter_context(allowing(self.allowed, self.beside))
            stack.enter_context(typed(self.typed))
            yield


def is_scoped() -> bool:
    """Return whether the code that calls runs inside `allowing`."""
    return _ALLOWED.get() is not None


def default_folders(file: Path | None) -> tuple[Path, ...]:
    """Return the folders whose modules a configuration may load unless the user allows more.

    Parameters
    ----------
    file : Path or None
        Configuration file: the current folder, if the file lies there, else no folder. None for a
        configuration typed by the user: the current folder, and those that Python searches, except
        for libraries.
    """
    here = Path.cwd()
    if file is not None:
        return (here,) if file.absolute().parent.resolve() == here.resolve() else ()
    searched = (Path(entry) for entry in sys.path if entry)
    return (here, *(f for f in searched if f.is_dir() and not _is_library(f.resolve())))


def settings_folders() -> tuple[Path, ...]:
    """Return the folders that the user's settings allow; those that do not exist are left out.

    They are the lines of ``$XDG_CONFIG_HOME/rsc/trusted-folders``, by default in ``~/.config``;
    ``#`` begins a comment.

    Raises
    ------
    ConfigError
        If a line is not an absolute path.
    """
    file = _home("XDG_CONFIG_HOME", ".config") / SETTINGS
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ()
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        folder = Path(text).expanduser()
        if text and not folder.is_absolute():
            raise ConfigError(f"{file}:{number}: must be an absolute path. Got {text!r} instead.")
        if text and folder.is_dir():
            found.append(folder)
    return tuple(found)


def _home(variable: str, default: str) -> Path:
    base = os.environ.get(variable, "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / default) / "rsc"


# -- runs that this user started ----------------------------------------------------------------


def remember(run_dir: Path, created: str, folders: Iterable[Path]) -> None:
    """Note in the user's state that the modules in `folders` may be loaded when a run is resumed.

    The note is outside the run's folder, so a folder from someone else cannot contain it. If it
    cannot be written, the user has to allow the folders again.

    Parameters
    ----------
    run_dir : Path
        Folder of the run.
    created : str
        The run's time of creation, which tells it from another run at the same place.
    folders : iterable of Path
        Folders with the run's modules.
    """
    note = {"run": str(run_dir.resolve()), "created": created}
    note |= {"folders": [str(f.resolve()) for f in folders]}  # type: ignore[dict-item]
    try:
        files.write_json(_note(run_dir), note)
    except (RunError, OSError):
        return


def remembered(run_dir: Path, created: str) -> tuple[Path, ...]:
    """Return the folders noted by `remember`; none for a run that this user did not start here."""
    try:
        note = json.loads(_note(run_dir).read_text(encoding="utf-8"))
        same = (note["run"], note["created"]) == (str(run_dir.resolve()), created)
        found = [Path(folder) for folder in note["folders"]] if same else []
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(folder for folder in found if folder.is_dir())


def _note(run_dir: Path) -> Path:
    key = files.sha256_bytes(os.fsencode(run_dir.resolve()))[:32]
    return _home("XDG_STATE_HOME", ".local/state") / "runs" / f"{key}.json"


# -- modules --------------------------------------------------------------------------------------


def load_module(name: str) -> ModuleType:
    """Import a module that is allowed, or return it if it is already imported.

    Raises
    ------
    ConfigError
        If the module is not allowed (the message tells how to allow it) or does not exist, or
        importing it raises any exception.
    """
    if sys.modules.get(name) is None or _is_standard(name):
        _LOADED.pop(name, None)
        home = require_allowed(name)
        if home is not None and str(home) not in sys.path:
            sys.path.append(str(home))
        _LOADED[name] = home
    try:
        return importlib.import_module(name)
    except ImportError as error:
        text = f"cannot import {name!r}: {shorten(str(error))}"
        raise ConfigError(f"{text}.", rule=text) from error
    except (Exception, SystemExit) as error:
        # User code may raise anything, even SystemExit; the cause stays chained.
        line = f" ({found})" if (found := blame(error)) else ""
        text = f"importing {name!r} raised {type(error).__name__}: {shorten(str(error))}{line}"
        raise ConfigError(f"{text}.", rule=text) from error


def load_object(reference: str) -> object:
    """Return the object ``"module:attribute"``; the attribute may be inside a class.

    Raises
    ------
    ConfigError
        If the module cannot be loaded (see `load_module`), or the attribute does not exist.
    """
    module, _, attribute = reference.partition(":")
    found: object = load_module(module)
    for i, part in enumerate(attribute.split(".")):
        inside = i == 0 or isinstance(found, type)
        if not inside or not part or part.startswith("__") or not hasattr(found, part):
            names = [n for n in vars(found) if _is_own(found, n)] if inside else []
            text, hint = f"cannot find {part!r} in {reference!r}", nearest(part, names)
            if module == "__main__":
                hint = " A script or notebook defined it: go on there, or move it to a module."
            raise ConfigError(f"{text}.{hint}", rule=text, hint=hint)
        found = getattr(found, part)
    return found


def _is_own(of: object, name: str) -> bool:
    """Return whether a public attribute of a module or class was defined there."""
    module = of.__name__ if isinstance(of, ModuleType) else of.__module__
    return not name.startswith("_") and getattr(getattr(of, name), "__module__", "") == module


def require_imported(reference: str) -> None:
    """Raise `ConfigError` if ``"module:attribute"``, as found in a file, needs an import.

    Python's caller shows by an import that the module is trusted. A plain name needs none.
    """
    module, colon, _ = reference.partition(":")
    if colon and module not in sys.modules:
        raise ConfigError(
            f"{shorten(reference)!r} is not part of this package: import {shorten(module)} first, "
            "if you trust it."
        )


def may_load(name: str) -> bool:
    """Return whether the module `name` is allowed; nothing is imported."""
    try:
        require_allowed(name)
    except ConfigError:
        return False
    return True


def require_allowed(name: str) -> Path | None:
    """Raise `ConfigError` unless a module may be loaded by its name; nothing is imported.

    Where Python would find the module decides, not where the author meant it to be.

    Returns
    -------
    Path or None
        Allowed folder in which the module, or the package around it, lies; None if it is part of
        this package or of an installed one.
    """
    top = name.partition(".")[0]
    if name.endswith(".py"):
        _refuse(name, f"a module is named without .py: {name.removesuffix('.py')!r}")
    if not all(part.isidentifier() for part in name.split(".")):
        _refuse(name, "that is not the name of a module")
    if _is_standard(name):
        _refuse(name, "a module of the standard library has no components")
    if top in (PACKAGE, "__main__"):
        return None
    if name in _LOADED and name in sys.modules:
        return _LOADED[name]
    allowed, folders = _ALLOWED.get(), default_folders(None)
    if allowed is not None:
        folders = (*allowed, *folders) if name in _TYPED.get() else allowed
    roots = list(dict.fromkeys(folder.resolve() for folder in folders))
    specs = _specs(name, [str(folder) for folder in roots])
    if specs is None:
        beside = _BESIDE.get()
        if beside is not None and importlib.machinery.PathFinder.find_spec(top, [str(beside)]):
            _refuse(name, _distrust(beside))
        shown = "".join(f" or in {folder}" for folder in roots[:3])
        _refuse(name, f"it is not installed{shown.replace(' or in', ', and not in', 1)}")
    home = _folder_of(specs[0])
    origins = [Path(spec.origin).resolve() for spec in specs if spec.origin]
    strange = [file for file in origins if _is_library(file) or not file.is_relative_to(home)]
    if home in roots and not strange:
        return home
    if home != Path.cwd().resolve() and _declared(name):
        return None
    reason = _distrust(home)
    if strange:
        reason = f"{strange[0]} lies outside of {home}"
        if _is_library(strange[0]):
            reason = f"its package declares no components by an entry point in {GROUP!r}"
    return _refuse(name, reason)


def _refuse(name: str, reason: str) -> NoReturn:
    text = f"cannot import {shorten(name, 80)!r}: {reason}"
    raise ConfigError(f"{text}.", rule=text)


def _distrust(folder: Path) -> str:
    where = shlex.quote(str(folder.resolve()))
    return f"modules in {where} are not trusted; if you trust them, add --trust {where}"


def _specs(name: str, folders: list[str]) -> list[importlib.machinery.ModuleSpec] | None:
    """Return where Python would find a module and the packages around it; None if nowhere."""
    parts = name.split(".")
    found: list[importlib.machinery.ModuleSpec] = []
    for i in range(len(parts)):
        inner = ".".join(parts[: i + 1])
        try:
            if i == 0:
                spec = importlib.util.find_spec(inner)
                spec = spec or importlib.machinery.PathFinder.find_spec(inner, folders)
            else:  # importlib.util would import the packages
                within = list(found[-1].submodule_search_locations or ())
                spec = importlib.machinery.PathFinder.find_spec(inner, within)
        except (ImportError, ValueError):  # such as a module without a specification
            spec = None
        if spec is None:
            return None
        found.append(spec)
    return found


def _folder_of(spec: importlib.machinery.ModuleSpec) -> Path:
    """Return the folder in which a top-level module or package lies."""
    if spec.submodule_search_locations is not None:
        locations = list(spec.submodule_search_locations)
        return Path(locations[0]).parent.resolve() if locations else Path("/")
    return Path(spec.origin or "/").absolute().parent.resolve()


def _is_standard(name: str) -> bool:
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names and top != "__main__"


@cache
def _libraries() -> tuple[Path, ...]:
    """Return the folders of installed packages and of the standard library."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [sysconfig.get_path(name) for name in names]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple({Path(folder).resolve() for folder in found if folder})


def _is_library(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _libraries())


def _declared(name: str) -> bool:
    """Return whether an installed package declares the module, or a package around it.

    Only the folders of libraries are searched: a folder that a configuration came with may hold
    metadata, too.
    """
    from importlib.metadata import distributions  # takes 20 ms

    return any(
        f"{name}.".startswith(f"{point.value.partition(':')[0].strip()}.")
        for package in distributions(path=[str(folder) for folder in _libraries()])
        for point in package.entry_points
        if point.group == GROUP
    )
