"""Name -> component, with parameters, near-miss errors, and ``"module:attribute"`` for own code.

A component is a frozen dataclass, whose fields are its parameters, or a function, whose keyword
arguments are: those that are keyword-only or have a default. In configuration it is a name, or
``{name: ..., **parameters}``; in Python the object itself. A registry is also the annotation of a
field that holds such a component, ``reward: Annotated[Any, REWARDS]``.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import sys
import typing
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from reinforcestrategycreator_pipeline.checks import field_types, fit, from_mapping, raise_all
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    KeyPath,
    at,
    blame,
    nearest,
    shorten,
)

T = TypeVar("T")
M = TypeVar("M")

FAMILIES: weakref.WeakSet[Registry[Any]] = weakref.WeakSet()
"""Every registry there is."""
_SEARCHED: list[str] = []
REQUIRED = inspect.Parameter.empty
"""The default of a parameter that has none."""


class Parameter(NamedTuple):
    """What a component may be told.

    Attributes
    ----------
    annotation : Any
        Its type and rules.
    default : Any
        `REQUIRED` if there is none.
    """

    annotation: Any
    default: Any


class Description(NamedTuple):
    """One member of a family, for lists and help.

    Attributes
    ----------
    name : str
        As the configuration writes it.
    summary : str
        One line.
    accepts : mapping of str to Parameter
        What it may be told.
    """

    name: str
    summary: str
    accepts: Mapping[str, Parameter]

    @property
    def parameters(self) -> dict[str, str]:
        """The defaults as text; ``required`` comes first."""
        texts = {
            name: "required" if p.default is REQUIRED else repr(p.default)
            for name, p in self.accepts.items()
        }
        return dict(sorted(texts.items(), key=lambda item: item[1] != "required"))


class Bound(functools.partial[Any]):
    """A function with its parameters; equal if both are."""

    def __eq__(self, other: object) -> bool:
        mine = (self.func, self.keywords)
        return isinstance(other, Bound) and mine == (other.func, other.keywords)

    def __hash__(self) -> int:
        return hash(self.func)


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
        self._members: dict[str, Any] = {}
        self._imported: dict[str, Any] = {}
        FAMILIES.add(self)

    def register(self, name: str) -> Callable[[M], M]:
        """Return a decorator that registers its argument under `name`, and returns it unchanged.

        The same definition, run again as a notebook's cell is, replaces the earlier one.

        Raises
        ------
        ConfigError
            If the name is taken.
        """

        def add(member: M) -> M:
            if name in self._members and _origin(self._members[name]) != _origin(member):
                raise ConfigError(f"the {self.family} {name!r} is registered twice")
            self._members[name] = member
            return member

        return add

    def get(self, name: str) -> T:
        """Return the member called `name`, unbuilt; a name with a colon is imported.

        Raises
        ------
        ConfigError
            If there is no such member (the message offers the nearest name), or what is imported
            cannot be one.
        """
        if ":" in name:
            found = load_object(name)
            self._require_member(name, found)
            self._imported[name] = found
            return found  # type: ignore[return-value]
        if name not in self._members:
            rule, hint = f"no {self.family} is called {name!r}", nearest(name, self)
            raise ConfigError(f"{rule}.{hint}", rule=rule, hint=hint)
        return self._members[name]  # type: ignore[no-any-return]

    def build(self, spec: object) -> Any:
        """Return the component that `spec` describes.

        Parameters
        ----------
        spec : str, mapping or object
            A name; ``{"name": ..., **parameters}``; or the component itself, which is returned.

        Raises
        ------
        ConfigError
            For an unknown name or parameter (the message offers the nearest), or a refused value.
        """
        rule = f"must be a {self.family}: a name, or a mapping with a name and parameters"
        if not isinstance(spec, (str, Mapping)):
            made = dataclasses.is_dataclass(spec) and not isinstance(spec, type)
            if not (made or callable(spec)):
                got = shorten(repr(spec), 80)
                message = f"what is wanted {rule}. Got {got} instead."
                raise ConfigError(message, rule=rule, value=spec)
            self._require_member(type(spec).__name__, spec)
            return spec
        mapping = {"name": spec} if isinstance(spec, str) else dict(spec)
        name = mapping.pop("name", None)
        if not isinstance(name, str):
            message = f"what is wanted {rule}. Got {shorten(repr(spec), 80)} instead."
            raise ConfigError(message, rule=rule, value=spec)
        with at(*(() if isinstance(spec, str) else ("name",))):
            member: Any = self.get(name)
        owner = f"{self.family} {name!r}"
        if inspect.isclass(member) and dataclasses.is_dataclass(member):
            return from_mapping(member, mapping, owner)
        known, wrong = parameters_of(member), list[ConfigError]()
        for key, value in mapping.items():
            if key in known:
                mapping[key] = fit(known[key].annotation, value, (key,), wrong)
            else:
                message = f"{owner} has no parameter {key!r}.{nearest(key, known)}"
                hint = nearest(key, known)
                wrong.append(ConfigError(message, path=(key,), rule="no such key", hint=hint))
        raise_all(wrong)
        return Bound(member, **mapping) if mapping else member

    def component(self, value: object, path: KeyPath, wrong: list[ConfigError]) -> Any:
        """`build` what stands at `path`; append to `wrong` what is refused (see `checks.fit`)."""
        try:
            return self.build(value)
        except ConfigError as error:
            wrong += error.within(*path)
            return value

    def spec(self, component: Any) -> str | dict[str, Any]:
        """Return the name, or name and parameters, from which `build` makes `component` again."""
        parameters: dict[str, Any] = {}
        if isinstance(component, Bound):
            parameters = component.keywords
        elif dataclasses.is_dataclass(component) and not isinstance(component, type):
            parameters = {name: getattr(component, name) for name in field_types(type(component))}
        name = self.name_of(component)
        return {"name": name, **parameters} if parameters else name

    def name_of(self, component: Any) -> str:
        """Return the name under which `component`, whatever its parameters, is found."""
        member = component.func if isinstance(component, Bound) else component
        if dataclasses.is_dataclass(member) and not isinstance(member, type):
            member = type(member)
        for name, known in {**self._members, **self._imported}.items():
            if known is member:
                return name
        named = member if hasattr(member, "__qualname__") else type(member)
        return f"{named.__module__}:{named.__qualname__}"

    def describe(self) -> tuple[Description, ...]:
        """Return every registered member with its summary and parameters, sorted by name."""
        found = []
        for name in self:
            member = self._members[name]
            text = getattr(member, "definition", "") or inspect.getdoc(member) or ""
            summary = " ".join(text.partition("\n\n")[0].split())
            found.append(Description(name, summary, parameters_of(member)))
        return tuple(found)

    def _require_member(self, name: str, found: object) -> None:
        if self._methods is None:
            return
        if not callable(found) and not dataclasses.is_dataclass(found):
            got = shorten(repr(found))
            raise ConfigError(f"{self.family} {name!r} must be a class or function. Got {got}.")
        made = isinstance(found, type) or dataclasses.is_dataclass(found)
        missing = [m for m in self._methods if made and not hasattr(found, m)]
        if missing:
            raise ConfigError(
                f"the class {name!r} is no {self.family}: it lacks {', '.join(missing)}."
            )

    def values(self) -> list[T]:
        """Return the members in the order in which they were registered."""
        return list(self._members.values())

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._members))

    def __contains__(self, name: object) -> bool:
        return name in self._members


def _origin(member: Any) -> tuple[str, str]:
    """Return the module and the name of what was registered, or of the function that it holds."""
    if not hasattr(member, "__qualname__"):
        held = (value for value in vars(member).values() if hasattr(value, "__qualname__"))
        member = next(held, type(member))
    return member.__module__, member.__qualname__


def parameters_of(member: Any) -> dict[str, Parameter]:
    """Return what a dataclass or a function may be told, by name."""
    if inspect.isclass(member) and dataclasses.is_dataclass(member):
        defaults = {}
        for f in dataclasses.fields(member):
            if f.default_factory is not dataclasses.MISSING:
                defaults[f.name] = f.default_factory()
            else:
                absent = f.default is dataclasses.MISSING
                defaults[f.name] = REQUIRED if absent else f.default
        return {k: Parameter(kind, defaults[k]) for k, kind in field_types(member).items()}
    try:
        signature = inspect.signature(member)
        function = member.__init__ if inspect.isclass(member) else member
        hints = typing.get_type_hints(function, include_extras=True)
    except (TypeError, ValueError, NameError):  # no function, one in C, unknown types
        return {}
    return {
        name: Parameter(hints.get(name, Any), p.default)
        for name, p in signature.parameters.items()
        if p.kind is p.KEYWORD_ONLY or (p.default is not REQUIRED and p.kind is not p.VAR_KEYWORD)
    }


def search(folder: Path) -> None:
    """Let modules from outside be found in `folder`, too, after all that is installed."""
    where = str(folder.resolve())
    if where not in _SEARCHED:
        _SEARCHED.append(where)
    if where not in sys.path:  # last, so that no file there hides a library
        sys.path.append(where)


def load_module(name: str) -> ModuleType:
    """Import a module.

    Raises
    ------
    ConfigError
        If it does not exist (the message says where it was looked for), or raises anything when
        it is imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        where = ""
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
            where = "".join(f" or in {folder}" for folder in _SEARCHED[-3:])
            where = f"; it is not installed{where.replace(' or in', ', and not in', 1)}"
        text = f"cannot import {name!r}: {shorten(str(error))}{where}"
        raise ConfigError(f"{text}.", rule=text) from error
    except (Exception, SystemExit) as error:
        # Code from outside may raise anything, even an exit; the cause stays chained.
        line = f" ({found})" if (found := blame(error)) else ""
        text = f"importing {name!r} raised {type(error).__name__}: {shorten(str(error))}{line}"
        raise ConfigError(f"{text}.", rule=text) from error


def load_object(reference: str) -> object:
    """Import ``"module:attribute"``.

    Raises
    ------
    ConfigError
        As `load_module`, or if the attribute does not exist.
    """
    module, _, attribute = reference.partition(":")
    found: object = load_module(module)
    for part in attribute.split("."):
        if not part or not hasattr(found, part):
            hint = nearest(part, [n for n in dir(found) if not n.startswith("_")])
            text = f"{reference!r}: no {part!r} in it"
            raise ConfigError(f"{text}.{hint}", rule=text, hint=hint)
        found = getattr(found, part)
    return found
