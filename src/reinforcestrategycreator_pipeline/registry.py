"""Name -> component, with near-miss errors and ``"module:attribute"`` for code from outside."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reinforcestrategycreator_pipeline.errors import ConfigError, nearest, shorten

T = TypeVar("T")


@dataclass(frozen=True)
class Description:
    """A member for lists and help: its name, what it is in a line, its parameters as text.

    A parameter has its default, or ``required``.
    """

    name: str
    summary: str
    parameters: Mapping[str, str]


class Registry(Generic[T]):
    """The components of one family, by name.

    Parameters
    ----------
    family : str
        What the members are, in the singular, for messages: ``"data source"``.
    methods : iterable of str, optional
        Methods that a class from outside must have; it, or the function, must be callable. None:
        whoever gets the member checks it.
    """

    def __init__(self, family: str, methods: Iterable[str] | None = None) -> None:
        self.family = family
        self._methods = None if methods is None else tuple(methods)
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
            If there is no such member (the message offers the nearest name), or what is imported
            cannot be one.
        """
        if ":" in name:
            found = load_object(name)
            self._require_member(name, found)
            return found  # type: ignore[return-value]
        if name not in self._members:
            rule, hint = f"no {self.family} is called {name!r}", nearest(name, self)
            raise ConfigError(f"{rule}.{hint}", rule=rule, hint=hint)
        return self._members[name]

    def _require_member(self, name: str, found: object) -> None:
        if self._methods is None:
            return
        if not callable(found):
            got = shorten(repr(found))
            raise ConfigError(f"{self.family} {name!r} must be a class or function. Got {got}.")
        missing = [m for m in self._methods if isinstance(found, type) and not hasattr(found, m)]
        if missing:
            raise ConfigError(
                f"the class {name!r} is no {self.family}: it lacks {', '.join(missing)}."
            )

    def describe(self) -> tuple[Description, ...]:
        """Describe every registered member, by name; required parameters come first."""
        found = []
        for name in self:
            defaults = _defaults(self._members[name])
            required = dict.fromkeys((k for k, v in defaults.items() if v is _REQUIRED), "required")
            given = {k: repr(v) for k, v in defaults.items() if v is not _REQUIRED}
            text = (inspect.getdoc(self._members[name]) or "").partition("\n\n")[0]
            found.append(Description(name, text.replace("\n", " "), required | given))
        return tuple(found)

    def values(self) -> list[T]:
        """Return the members in the order in which they were registered."""
        return list(self._members.values())

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._members))

    def __contains__(self, name: object) -> bool:
        return name in self._members


_REQUIRED = object()


def _defaults(member: Any) -> dict[str, object]:
    """Return the parameters of a dataclass, or of a function those that go by name."""
    if not dataclasses.is_dataclass(member):
        parameters = inspect.signature(member).parameters.values()
        named = [p for p in parameters if p.kind is p.KEYWORD_ONLY or p.default is not p.empty]
        return {p.name: _REQUIRED if p.default is p.empty else p.default for p in named}
    found: dict[str, object] = {}
    for field in dataclasses.fields(member):
        if field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
        else:
            missing = field.default is dataclasses.MISSING
            found[field.name] = _REQUIRED if missing else field.default
    return found


def load_object(reference: str) -> object:
    """Import ``"module:attribute"``.

    Raises
    ------
    ConfigError
        If the module does not exist or raises anything when it is imported, or the attribute
        does not exist.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"{reference!r}: cannot import {module_name!r}: {shorten(str(error))}"
        ) from error
    except (Exception, SystemExit) as error:
        # Code from outside may raise anything, even an exit; the cause stays chained.
        raise ConfigError(
            f"{reference!r}: importing {module_name!r} raised {type(error).__name__}: "
            f"{shorten(str(error))}"
        ) from error
    found: object = module
    for part in attribute.split("."):
        if not part or not hasattr(found, part):
            names = [n for n in dir(found) if not n.startswith("_")]
            raise ConfigError(f"{reference!r}: no {part!r} in it.{nearest(part, names)}")
        found = getattr(found, part)
    return found
