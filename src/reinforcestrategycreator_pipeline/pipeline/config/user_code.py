"""Fingerprints of the user code that a section names; a change of the code reruns the stage."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.registry import FAMILIES
from reinforcestrategycreator_pipeline.trust import may_load, require_allowed

_PACKAGE = __name__.partition(".")[0]
_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*):[A-Za-z_][\w.]*")


def fingerprints(section: Any) -> dict[str, str]:
    """Return the SHA-256 of the file of each user module that `section` names.

    Parameters
    ----------
    section : Any
        Plain values. A text counts if it has the form ``"module:attribute"``, or if it is the name
        of a component that user code has registered.

    Returns
    -------
    dict of str to str
        SHA-256 by module name, sorted.

    Notes
    -----
    Only the module's own file counts, not its imports. A module that was not imported, or has no
    file, is omitted.
    """
    found: dict[str, str] = {}
    for text in _texts(section):
        for module in _modules(text):
            file = _file_of(module)
            if file is not None:
                found[module] = sha256_file(file)
    return dict(sorted(found.items()))


def modules_named(section: Any) -> tuple[str, ...]:
    """Return the modules that texts of the form ``"module:attribute"`` in `section` name."""
    found = (_REFERENCE.fullmatch(text) for text in _texts(section))
    return tuple(dict.fromkeys(reference[1] for reference in found if reference))


def module_folders(config: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the folders in which the user modules lie that a run's configuration has loaded.

    Modules of installed packages have none.
    """
    homes = set()
    for module in (*config.get("imports", ()), *modules_named(config)):
        if module in sys.modules and may_load(module):
            homes.add(require_allowed(module))
    return tuple(sorted(home for home in homes if home is not None))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _modules(text: str) -> Iterator[str]:
    if reference := _REFERENCE.fullmatch(text):
        yield reference[1]
    for family in FAMILIES:
        if text in family:
            member: Any = family.get(text)
            module = getattr(getattr(member, "function", member), "__module__", "") or ""
            if module.partition(".")[0] != _PACKAGE:
                yield module


def _file_of(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file is not None and Path(file).is_file() else None
