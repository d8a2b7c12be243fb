"""Deny a process the files and the network while a feature's code runs in it.

A feature gets bars and returns numbers. One that opens a file can hold a later bar, so `confine`
denies it twice: by an audit hook, which sees what Python opens and names the line that did it, and
by Landlock where Linux has it, which compiled code (Parquet readers, database clients) obeys too.
Reading code stays possible, as a function may import a library when it is first called.

This finds what is there by mistake. It is no prison: code that means to get out finds a way.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from reinforcestrategycreator_pipeline.features.landlock import restrict

_CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib")
OURS = Path(__file__).parents[1]
"""Folder of this package."""
_MODULES_MOST = 5000
"""Files of user modules that Landlock's rules may list."""
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/share", "/usr/bin", "/lib", "/lib64", "/bin", "/proc", "/sys",
    "/etc/localtime", "/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
)  # fmt: skip
_DENIED = (
    "os.", "shutil.", "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
    "socket.gethostby", "subprocess.Popen", "sqlite3.connect", "pty.spawn", "winreg.",
)  # fmt: skip
_HARMLESS = ("os.putenv", "os.unsetenv", "os.add_dll_directory", "os.walk", "os.fwalk")


class Confinement:
    """The denial of files and network, while `armed`.

    Attributes
    ----------
    armed : bool
        Whether files and the network are denied.
    attempts : list of str
        Every attempt: action, what it was applied to, and the line that made it.
    """

    def __init__(self, readable: Iterable[Path], users: Iterable[Path] = ()) -> None:
        self.armed = False
        self.attempts: list[str] = []
        self._readable = tuple(os.path.realpath(path) for path in readable)
        self._users = tuple(map(str, users))
        self._libraries = (*self._readable, str(OURS))
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if not self.armed or not (event == "open" or event.startswith(_DENIED)):
            return
        if event.startswith(_HARMLESS):
            return
        self.armed = False  # what follows opens files itself
        try:
            if place := self._culprit(event, args):
                first = args[0] if args else ""
                what = os.fsdecode(first) if isinstance(first, (str, bytes)) else repr(first)
                if event.startswith("socket.") and len(args) > 1:
                    what = repr(args[1] if event != "socket.getaddrinfo" else args[:2])
                text = f"{event} of {what[:200]!r} ({place})"
                self.attempts.append(text)
                raise PermissionError(f"a feature must use its bars alone: {text}")
        finally:
            self.armed = True

    def _culprit(self, event: str, args: tuple[object, ...]) -> str:
        """Return the user's line that did it, or nothing if it may."""
        path = args[0] if args else None
        if event == "open":
            if isinstance(path, int):
                return ""  # opening it was an event of its own
            flags = args[2] if isinstance(args[2], int) else 0
            reads = not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if reads and self._may_read(path):
                return ""
        elif event in ("os.listdir", "os.scandir") and self._may_read(path):
            return ""
        frame: FrameType | None = sys._getframe(2)
        innermost = True
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith("<frozen importlib"):
                # Python reads code, or a library prepares itself. pkgutil reads data that way, too.
                if not innermost or not isinstance(path, (str, bytes)) or event != "open":
                    return ""
                if os.fsdecode(path).endswith(_CODE):
                    return ""
            elif not file.startswith("<frozen") and not self.is_library(file):
                return f"{Path(file).name}:{frame.f_lineno}"
            innermost = innermost and file.startswith("<frozen")
            frame = frame.f_back
        return ""

    def _may_read(self, path: object) -> bool:
        if not isinstance(path, (str, bytes)):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return any(real == root or real.startswith(root + os.sep) for root in self._readable)

    def is_library(self, file: str) -> bool:
        """Return whether a file with code is a library's, and not the user's."""
        if any(file == own or file.startswith(own + os.sep) for own in self._users):
            return False  # a user's package may be installed
        return any(file.startswith(root + os.sep) for root in self._libraries)


def confine(
    libraries: Iterable[Path], folders: Sequence[Path], users: Iterable[Path]
) -> Confinement:
    """Confine this process for good: only code can be read, nothing written, no host reached.

    Parameters
    ----------
    libraries : iterable of Path
        Folders of libraries, beside those of this interpreter.
    folders : sequence of Path
        Folders in which Python finds the user's modules; of those, only code can be read.
    users : iterable of Path
        Files and packages with the user's code, wherever they are.

    Returns
    -------
    Confinement
        The confinement by the audit hook, not yet armed.
    """
    roots = [*library_folders(), *libraries, *map(Path, _SYSTEM)]
    restrict([*roots, OURS, *_code_below(folders)], folders)
    return Confinement(roots, users)


def library_folders() -> list[Path]:
    """Return the folders of this interpreter's libraries, the standard one included."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [sysconfig.get_path(name) for name in names]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    inside = ("lib", "lib64", "share", "bin", "DLLs", "Library")
    prefixes = {sys.prefix, sys.base_prefix}
    found += [str(Path(prefix) / name) for prefix in sorted(prefixes) for name in inside]
    return [Path(path) for path in dict.fromkeys(filter(None, found))]


def _code_below(folders: Iterable[Path]) -> list[Path]:
    """Return the files with code in folders, and in the packages that lie in them."""
    found: list[Path] = []
    todo = list(folders)
    while todo and len(found) < _MODULES_MOST:
        for entry in _entries(todo.pop(0)):
            if entry.is_dir(follow_symlinks=True):
                if entry.name == "__pycache__":
                    found.append(Path(entry.path))
                elif any(e.name.endswith(_CODE) for e in _entries(Path(entry.path))):
                    todo.append(Path(entry.path))
            elif entry.name.endswith(_CODE):
                found.append(Path(entry.path))
    return found


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
