"""Losses, heads, and schedules as values of hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from reinforcestrategycreator_pipeline.errors import ConfigError, KeyPath
from reinforcestrategycreator_pipeline.registry import Description, Registry

C = TypeVar("C")

Component: TypeAlias = str | Mapping[str, Any] | C
"""A name, ``{"name": ..., **parameters}``, or the object itself, as `Registry.build` accepts."""


@dataclass(frozen=True)
class Unavailable:
    """Placeholder for a component that cannot be imported; it raises only when called.

    Attributes
    ----------
    reference : str or mapping
        The component that could not be imported.
    reason : str
        Message of the error: why the import failed, and what needs it.
    """

    reference: Any
    reason: str

    def __call__(self, *args: Any) -> Any:
        """Raise `ConfigError`."""
        raise ConfigError(self.reason)


@dataclass(frozen=True)
class Specified:
    """Annotation of a field that holds a component as given, validated but not built.

    Attributes
    ----------
    registry : Registry
        Registry of the component's family.
    """

    registry: Registry[Any]

    def component(self, value: object, path: KeyPath, wrong: list[ConfigError]) -> Any:
        """Return `value`; append to `wrong` the errors of building it (see `checks.fit`)."""
        if isinstance(value, (str, Mapping)) or callable(value):
            self.registry.component(value, path, wrong)
        else:
            rule = "must be a name, a mapping of a name and parameters, or the object itself"
            wrong.append(ConfigError(path=path, rule=rule, value=value))
        return value

    def spec(self, component: Component[Any]) -> Any:
        """Return the component as it is written in a file."""
        named = isinstance(component, (str, Mapping))
        return component if named else self.registry.spec(component)

    def get(self, name: str) -> Any:
        """Return the member named `name`."""
        return self.registry.get(name)

    def describe(self) -> tuple[Description, ...]:
        """Return a description of every registered member."""
        return self.registry.describe()


def name_of(registry: Registry[Any], component: Component[Any]) -> str:
    """Return the name of a component, without its parameters."""
    if isinstance(component, Mapping):
        return str(component.get("name"))
    return component if isinstance(component, str) else registry.name_of(component)


def reference(registry: Registry[Any], component: Any) -> Any:
    """Return a component by name, as JSON-serializable values.

    Raises
    ------
    ConfigError
        If it is an object that cannot be imported by its name.
    """
    if isinstance(component, Unavailable):
        return component.reference
    if isinstance(component, (str, Mapping)):
        return component
    found, name = registry.spec(component), registry.name_of(component)
    try:
        known = not name.startswith("__main__:") and registry.build(found) == component
    except ConfigError:
        known = False
    if not known:
        raise ConfigError(
            f"the {registry.family} {name!r} cannot be saved: it cannot be imported by that name. "
            f"Define it at the top level of a module."
        )
    return found
