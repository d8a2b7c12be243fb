"""Registries of components by name, with parameters, and ``"module:attribute"`` for user code.

A component is a frozen dataclass or a function. Its parameters are the fields of the dataclass, or
the arguments of the function that are keyword-only or have a default. A configuration gives a name,
or ``{name: ..., **parameters}``; in Python, the object itself works too. A registry also annotates
a field that holds such a component, ``reward: Annotated[Any, REWARDS]``.

``"module:attribute"`` names a component of the user's, which must say that it is one: by the
decorator `Registry.declare` or `Registry.register`, or as a class with the family's methods. Which
modules may be loaded is up to `trust`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import typing
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from reinforcestrategycreator_pipeline.checks import field_types, fit, from_mapping, raise_all
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    KeyPath,
    at,
    nearest,
    shorten,
)
from reinforcestrategycreator_pipeline.trust import PACKAGE, load_object, may_load

T = TypeVar("T")
M = TypeVar("M")

FAMILIES: weakref.WeakSet[Registry[Any]] = weakref.WeakSet()
"""All existing registries."""
REQUIRED = inspect.Parameter.empty
"""Default of a parameter that must be given."""


class Parameter(NamedTuple):
    """A parameter of a component.

    Attributes
    ----------
    annotation : Any
        Type and rules of the value.
    default : Any
        Default value; `REQUIRED` if there is none.
    """

    annotation: Any
    default: Any


class Description(NamedTuple):
    """Description of one registered member, for lists and help.

    Attributes
    ----------
    name : str
        Name used in the configuration.
    summary : str
        First paragraph of its documentation, on one line.
    accepts : mapping of str to Parameter
        Its parameters by name.
    """

    name: str
    summary: str
    accepts: Mapping[str, Parameter]

    @property
    def parameters(self) -> dict[str, str]:
        """Defaults as text, ``"required"`` where there is none; those come first.

        A parameter that has parts is listed by part: ``training.steps``.
        """
        texts = {
            key: "required" if default is REQUIRED else repr(default)
            for name, p in self.accepts.items()
            for key, default in _flat(name, p.default)
        }
        return dict(sorted(texts.items(), key=lambda item: item[1] != "required"))


@dataclasses.dataclass(frozen=True)
class NameOf:
    """Annotation for the JSON schema: a member's name, alone or in a mapping of its parameters.

    It checks nothing: whoever builds the member does.

    Attributes
    ----------
    family : Registry
        Family of the member.
    """

    family: Registry[Any]


@dataclasses.dataclass(frozen=True)
class ParametersOf:
    """Annotation for the JSON schema: the parameters of the member that another field names.

    It checks nothing: whoever builds the member does.

    Attributes
    ----------
    field : str
        Field that holds the name, with the annotation `NameOf`.
    family : Registry
        Family of the member.
    """

    field: str
    family: Registry[Any]


class Bound(functools.partial[Any]):
    """A function bound to parameters; two are equal if function and parameters are."""

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
        Singular noun for the members, for messages: ``"data source"``.
    methods : iterable of str, optional
        Methods that a user's class must have, and by which it is a member without a decorator; a
        member must be callable or a dataclass. With None, nothing is checked here, and a decorator
        is needed.
    decorator : str, optional
        The statement that imports the decorator of the user's functions, for messages.
    """

    def __init__(
        self, family: str, methods: Iterable[str] | None = None, decorator: str = ""
    ) -> None:
        self.family = family
        self._decorator = decorator
        self._methods = None if methods is None else tuple(methods)
        self._members: dict[str, Any] = {}
        self._imported: dict[str, Any] = {}
        self._declared: dict[int, Any] = {}  # by identity, as components need not be hashable
        FAMILIES.add(self)

    def register(self, name: str) -> Callable[[M], M]:
        """Return a decorator that registers its argument under `name` and returns it unchanged.

        Running the same definition again, as a notebook cell does, replaces the earlier one.

        Raises
        ------
        ConfigError
            If a different definition has that name.
        """

        def add(member: M) -> M:
            if name in self._members and _origin(self._members[name]) != _origin(member):
                raise ConfigError(f"the {self.family} {name!r} is already registered")
            self._members[name] = member
            return self.declare(member)

        return add

    def __repr__(self) -> str:
        return f"Registry({self.family!r})"

    @typing.overload
    def declare(self, member: M) -> M: ...

    @typing.overload
    def declare(self) -> Callable[[M], M]: ...

    def declare(self, member: Any = REQUIRED) -> Any:
        """Declare a class or function as a component, and return it unchanged.

        A decorator, with or without parentheses: a configuration can then name what it decorates,
        ``"module:name"``. ``@feature`` above a function ``gap`` in ``my_features.py`` allows
        ``features.columns: ["my_features:gap"]``.

        Raises
        ------
        ConfigError
            If a name is given: the decorated object has one.
        """
        if member is REQUIRED:
            return self.declare
        if isinstance(member, str):
            raise ConfigError(
                f"the decorator of a {self.family} takes no name. Got {shorten(repr(member), 80)}. "
                "The configuration names what it decorates as 'module:name'."
            )
        self._declared[id(member)] = member
        return member

    def get(self, name: str) -> T:
        """Return the member named `name` without building it; a name with a colon is imported.

        Raises
        ------
        ConfigError
            If there is no such member (the message offers the nearest name), if its module may not
            be loaded, or if the imported object is not a valid or not a declared one.
        """
        if ":" in name:
            found = load_object(name)
            self._require_member(name, found)
            self._require_declared(name, found)
            if _origin(found)[0].partition(".")[0] != PACKAGE:
                self._imported[name] = found
            return found  # type: ignore[return-value]
        if name not in self._members:
            rule, hint = f"unknown {self.family} {shorten(name)!r}", nearest(name, self)
            module, dot, attribute = name.rpartition(".")
            if dot and attribute.isidentifier() and "Did you mean" not in hint:
                hint = f" One of your own is '{module}:{attribute}', with a colon."
            raise ConfigError(f"{rule}.{hint}", rule=rule, hint=hint)
        return self._members[name]  # type: ignore[no-any-return]

    def build(self, spec: object) -> Any:
        """Build the component that `spec` describes.

        Parameters
        ----------
        spec : str, mapping, or object
            A name; ``{"name": ..., **parameters}``; or the component itself, which is returned:
            passing it declares it.

        Raises
        ------
        ConfigError
            If a name or parameter is unknown (the message offers the nearest), or a value invalid.
        """
        rule = f"must be a {self.family}: a name, or a mapping with a name and parameters"
        if not isinstance(spec, (str, Mapping)):
            made = dataclasses.is_dataclass(spec) and not isinstance(spec, type)
            if not (made or callable(spec)):
                got = shorten(repr(spec), 80)
                message = f"the value {rule}. Got {got} instead."
                raise ConfigError(message, rule=rule, value=spec)
            self._require_member(type(spec).__name__, spec)
            named: Any = type(spec) if made else getattr(spec, "func", spec)
            if "<" not in getattr(named, "__qualname__", "<"):  # else it has no name to load
                self.declare(named)
            return spec
        mapping = {"name": spec} if isinstance(spec, str) else dict(spec)
        name = mapping.pop("name", None)
        if not isinstance(name, str):
            message = f"the value {rule}. Got {shorten(repr(spec), 80)} instead."
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
                wrong.append(ConfigError(message, path=(key,), rule="unknown key", hint=hint))
        raise_all(wrong)
        return Bound(member, **mapping) if mapping else member

    def component(self, value: object, path: KeyPath, wrong: list[ConfigError]) -> Any:
        """Build the component given at `path`; append any errors to `wrong` (see `checks.fit`)."""
        try:
            return self.build(value)
        except ConfigError as error:
            wrong += error.within(*path)
            return value

    def spec(self, component: Any) -> str | dict[str, Any]:
        """Return the name, or name and parameters, from which `build` recreates `component`."""
        parameters: dict[str, Any] = {}
        if isinstance(component, Bound):
            parameters = component.keywords
        elif dataclasses.is_dataclass(component) and not isinstance(component, type):
            parameters = {name: getattr(component, name) for name in field_types(type(component))}
        name = self.name_of(component)
        return {"name": name, **parameters} if parameters else name

    def name_of(self, component: Any) -> str:
        """Return the name of `component`, without its parameters."""
        member = component.func if isinstance(component, Bound) else component
        if dataclasses.is_dataclass(member) and not isinstance(member, type):
            member = type(member)
        # "module:attribute" can always be loaded again, a short name only after its module.
        for name, known in {**self._imported, **self._members}.items():
            if known is member:
                return name
        named = member if hasattr(member, "__qualname__") else type(member)
        return f"{named.__module__}:{named.__qualname__}"

    def describe(self) -> tuple[Description, ...]:
        """Return a description of every registered member, sorted by name."""
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
                f"the class {name!r} is not a {self.family}: it lacks {', '.join(missing)}."
            )

    def _require_declared(self, name: str, found: object) -> None:
        if id(found) in self._declared:
            return
        made = dataclasses.is_dataclass(found) and not isinstance(found, type)
        kind = type(found) if made else found
        if id(kind) in self._declared:
            return
        if isinstance(kind, type) and self._methods and may_load(kind.__module__):
            return  # `_require_member` has checked the methods
        text = f"{name!r} is not declared as a {self.family}"
        hint = f" It must be a class with {', '.join(self._methods or ())}, in a trusted module."
        if self._decorator:
            hint = f" Put @{self._decorator.split()[-1]} above it ({self._decorator})."
        raise ConfigError(f"{text}.{hint}", rule=text, hint=hint)

    def values(self) -> list[T]:
        """Return the members in the order in which they were registered."""
        return list(self._members.values())

    def declared(self) -> list[Any]:
        """Return what was declared as a member, registered or not."""
        return list(self._declared.values())

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._members))

    def __contains__(self, name: object) -> bool:
        return name in self._members


def user_modules() -> tuple[str, ...]:
    """Return the imported modules outside of this package that define components, sorted.

    Those that a script, a notebook or a function defines are not among them: no other process can
    import these.
    """
    members = (m for family in FAMILIES for m in (*family.values(), *family.declared()))
    found = {module for module, name in map(_origin, members) if "<" not in name}
    ours = {name for name in found if name.partition(".")[0] in (PACKAGE, "__main__")}
    return tuple(sorted(name for name in found - ours if name in sys.modules))


def _flat(name: str, default: Any) -> Iterator[tuple[str, Any]]:
    """Return name and value of a default, or of each of its parts if it is a section."""
    if not dataclasses.is_dataclass(default) or isinstance(default, type):
        yield name, default
        return
    for part in dataclasses.fields(default):
        yield from _flat(f"{name}.{part.name}", getattr(default, part.name))


def _origin(member: Any) -> tuple[str, str]:
    """Return module and name of a registered object, or of the function that it wraps."""
    if not hasattr(member, "__qualname__"):
        held = (v for v in getattr(member, "__dict__", {}).values() if hasattr(v, "__qualname__"))
        member = next(held, type(member))
    return member.__module__, member.__qualname__


def parameters_of(member: Any) -> dict[str, Parameter]:
    """Return the parameters of a dataclass or function, by name."""
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
    except (TypeError, ValueError, NameError):  # not a function, a C function, or unknown types
        return {}
    return {
        name: Parameter(hints.get(name, Any), p.default)
        for name, p in signature.parameters.items()
        if p.kind is p.KEYWORD_ONLY or (p.default is not REQUIRED and p.kind is not p.VAR_KEYWORD)
    }
