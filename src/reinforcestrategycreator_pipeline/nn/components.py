"""Losses, heads and schedules, as hyperparameters hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from reinforcestrategycreator_pipeline.errors import ConfigError, KeyPath
from reinforcestrategycreator_pipeline.registry import Description, Registry

C = TypeVar("C")

Component: TypeAlias = str | Mapping[str, Any] | C
"""A name, ``{"name": ..., **parameters}``, or the object itself: what `Registry.build` takes."""


@dataclass(frozen=True)
class Unavailable:
    """Stands for a component that cannot be imported, while nothing needs it.

    Attributes
    ----------
    reference : str or mapping
        What was to be imported.
    reason : str
        Why that failed, and what needs it.
    """

    reference: Any
    reason: str

    def __call__(self, *args: Any) -> Any:
        """Raise `ConfigError`."""
        raise ConfigError(self.reason)


@dataclass(frozen=True)
class Specified:
    """Annotation of a field that keeps a component as it was given, checked but not built.

    Attributes
    ----------
    registry : Registry
        Its family.
    """

    registry: Registry[Any]

    def component(self, value: object, path: KeyPath, wrong: list[ConfigError]) -> Any:
        """Return `value`; append to `wrong` why it cannot be built (see `checks.fit`)."""
        if isinstance(value, (str, Mapping)) or callable(value):
            self.registry.component(value, path, wrong)
        else:
            rule = "must be a name, a mapping of a name and parameters, or the object itself"
            wrong.append(ConfigError(path=path, rule=rule, value=value))
        return value

    def spec(self, component: Component[Any]) -> Any:
        """Return the component as a file names it."""
        named = isinstance(component, (str, Mapping))
        return component if named else self.registry.spec(component)

    def get(self, name: str) -> Any:
        """Return the member called `name`."""
        return self.registry.get(name)

    def describe(self) -> tuple[Description, ...]:
        """Return every registered member."""
        return self.registry.describe()


def name_of(registry: Registry[Any], component: Component[Any]) -> str:
    """Return a component's name, without its parameters."""
    if isinstance(component, Mapping):
        return str(component["name"])
    return component if isinstance(component, str) else registry.name_of(component)


def reference(registry: Registry[Any], component: Any) -> Any:
    """Return a component as a file can name it, JSON-ready.

    Raises
    ------
    ConfigError
        If it is an object that no module has under its name.
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
            f"the {registry.family} {name!r} cannot be saved: no module has it under that name. "
            f"Define it at the top of a module of its own."
        )
    return found
