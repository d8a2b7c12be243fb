"""Losses, heads and schedules as they are given: by name, with parameters, or as objects."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from reinforcestrategycreator_pipeline.errors import ConfigError, nearest, shorten
from reinforcestrategycreator_pipeline.registry import Registry, load_object

T = TypeVar("T")
Component = str | Mapping[str, Any] | Callable[..., Any]
"""A name, ``{"name": ..., **parameters}``, or the function or class itself."""


def is_component(value: object) -> bool:
    """Tell whether `value` has the form of a `Component`."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and is_component(value.get("name"))
    return isinstance(value, str) or callable(value)


class Components(Registry[T]):
    """A registry whose members may have parameters.

    Parameters are a function's further keyword arguments, or the fields of a class.

    Parameters
    ----------
    family, methods
        See `Registry`.
    given : int
        Arguments that the learner gives a member by position; what follows are its parameters.
    classes : bool
        Whether members are classes that the learner makes instances of; else a class is made
        from its parameters, and the instance is the function.
    """

    def __init__(
        self, family: str, methods: tuple[str, ...] = (), *, given: int, classes: bool = False
    ) -> None:
        super().__init__(family, methods)
        self._given, self._classes = given, classes

    def get(self, name: Component) -> T:
        """Return what a component stands for, its parameters filled in.

        Raises
        ------
        ConfigError
            As `Registry.get`; or for a parameter that is unknown or missing.
        """
        parameters: dict[str, Any] = {}
        member: Any = name
        if isinstance(name, Mapping):
            parameters = {key: value for key, value in name.items() if key != "name"}
            member = name["name"]
        if isinstance(member, str):
            member = super().get(member)
        else:
            self._require_member(shorten(repr(member)), member)
        instance = isinstance(member, type) and not self._classes
        self._require_parameters(
            self.title(name), member, 0 if instance else self._given, parameters
        )
        if instance:
            return member(**parameters)  # type: ignore[no-any-return]
        return functools.partial(member, **parameters) if parameters else member  # type: ignore[return-value]

    def title(self, component: Component) -> str:
        """Return the family and the component's name, for messages."""
        if isinstance(component, Mapping):
            component = component["name"]
        name = component if isinstance(component, str) else _qualified(component)
        return f"{self.family} {name!r}"

    def reference(self, component: Any) -> Any:
        """Return the component as configuration can name it, JSON-ready.

        Raises
        ------
        ConfigError
            If it is an object that no module has under its name.
        """
        if isinstance(component, Unavailable):
            return component.reference
        if isinstance(component, str):
            return component
        if isinstance(component, Mapping):
            return {**component, "name": self.reference(component["name"])}
        if dataclasses.is_dataclass(component) and not isinstance(component, type):
            fields = {f.name: getattr(component, f.name) for f in dataclasses.fields(component)}
            return {"name": self.reference(type(component)), **fields}
        for registered in self:
            if self._members[registered] is component:
                return registered
        name = _qualified(component)
        try:
            known = not name.startswith("__main__:") and load_object(name) is component
        except ConfigError:
            known = False
        if not known:
            raise ConfigError(
                f"the {self.family} {name!r} cannot be saved: no module has it under that name. "
                f"Define it at the top of a module of its own."
            )
        return name

    def _require_parameters(
        self, title: str, member: Any, given: int, parameters: Mapping[str, Any]
    ) -> None:
        try:
            found = list(inspect.signature(member).parameters.values())
        except (TypeError, ValueError):  # written in C
            return
        if any(p.kind is p.VAR_KEYWORD for p in found):
            return
        by_name = {p.name: p for p in found[given:] if p.kind is not p.VAR_POSITIONAL}
        for name in parameters:
            if name not in by_name:
                raise ConfigError(f"{title} has no parameter {name!r}.{nearest(name, by_name)}")
        for name, parameter in by_name.items():
            if parameter.default is parameter.empty and name not in parameters:
                raise ConfigError(f"{title} needs the parameter {name!r}.")


@dataclasses.dataclass(frozen=True)
class Unavailable:
    """Stands for a component that cannot be imported, while nothing needs it.

    Attributes
    ----------
    reference : str or dict
        What was to be imported.
    reason : str
        Why that failed, and what needs it.
    """

    reference: Any
    reason: str

    def __call__(self, *args: Any) -> Any:
        """Raise `ConfigError`."""
        raise ConfigError(self.reason)


def _qualified(component: Any) -> str:
    named = component if hasattr(component, "__qualname__") else type(component)
    return f"{named.__module__}:{named.__qualname__}"
