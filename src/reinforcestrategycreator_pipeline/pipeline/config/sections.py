"""Conversion of a configuration to plain values, and the defaults of its keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from reinforcestrategycreator_pipeline.checks import family_of, field_types, is_section, members
from reinforcestrategycreator_pipeline.errors import ConfigError


def section_of(annotation: Any, name: object = None) -> type | None:
    """Return the single dataclass in `annotation`, which may be optional; else None.

    For a family, return the class of the component `name`, if that is a dataclass.
    """
    if family := family_of(annotation):
        try:
            member = family.get(name) if isinstance(name, str) else None
        except ConfigError:  # reported when the component is built
            member = None
        return member if is_section(member) else None
    sections = [m for m in members(annotation) if is_section(m)]
    return sections[0] if len(sections) == 1 else None


def to_plain(value: Any, annotation: Any = Any) -> Any:
    """Return a configuration as dicts, lists and scalars, for YAML and JSON.

    Raises
    ------
    TypeError
        If a configuration file cannot express a value, which is a defect of the dataclass.
    """
    if (family := family_of(annotation)) and value is not None:
        spec = family.spec(value)
        if isinstance(spec, str):
            return spec
        kinds = field_types(type(value)) if is_section(type(value)) else {}
        return {key: to_plain(item, kinds.get(key, Any)) for key, item in spec.items()}
    if is_section(type(value)):
        kinds = field_types(type(value))
        return {name: to_plain(getattr(value, name), kind) for name, kind in kinds.items()}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        kind = next(iter(get_args(_without_rules(annotation))), Any)
        return [to_plain(item, kind) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a configuration cannot hold a {type(value).__name__}: {value!r}")


def _without_rules(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def defaults(root: type) -> dict[str, Any]:
    """Return the plain defaults of all keys that have one, including those of nested sections."""
    tree: dict[str, Any] = {}
    kinds = field_types(root)
    for field in dataclasses.fields(root):
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            tree[field.name] = to_plain(field.default, kinds[field.name])
        elif field.default_factory is not dataclasses.MISSING:
            tree[field.name] = to_plain(field.default_factory(), kinds[field.name])
        elif is_section(kinds[field.name]):
            tree[field.name] = defaults(kinds[field.name])
    return tree
