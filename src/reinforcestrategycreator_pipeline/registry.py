"""Name -> component, with near-miss errors and ``"module:attribute"`` for code from outside."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from reinforcestrategycreator_pipeline.errors import ConfigError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """The components of one family, by name.

    Parameters
    ----------
    family : str
        What the members are, in the singular, for messages: ``"data source"``.
    """

    def __init__(self, family: str) -> None:
        self.family = family
        self._members: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers its argument under `name`.

        Raises
        ------
        ConfigError
            If the name is taken.
        """

        def add(member: T) -> T:
            if name in self._members and self._members[name] is not member:
                raise ConfigError(f"the {self.family} {name!r} is registered twice")
            self._members[name] = member
            return member

        return add

    def get(self, name: str) -> T:
        """Return the member called `name`; a name with a colon is imported.

        Raises
        ------
        ConfigError
            If there is no such member; the message offers the nearest name.
        """
        if ":" in name:
            return load_object(name)  # type: ignore[return-value]
        if name not in self._members:
            raise ConfigError(f"no {self.family} is called {name!r}.{nearest(name, self)}")
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._members))

    def __contains__(self, name: object) -> bool:
        return name in self._members


def load_object(reference: str) -> object:
    """Import ``"module:attribute"``.

    Raises
    ------
    ConfigError
        If the module or the attribute does not exist.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{reference!r}: cannot import {module_name!r}: {error}") from error
    found: object = module
    for part in attribute.split("."):
        if not part or not hasattr(found, part):
            names = [n for n in dir(found) if not n.startswith("_")]
            raise ConfigError(f"{reference!r}: no {part!r} in it.{nearest(part, names)}")
        found = getattr(found, part)
    return found
