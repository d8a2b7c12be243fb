"""What the configuration's dataclasses say about a key path, and how a value is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from reinforcestrategycreator_pipeline.checks import field_types, is_section, members


def section_of(annotation: Any) -> type | None:
    """Return the one dataclass that `annotation` is, perhaps optionally; else None.

    A union of several dataclasses is not a section: which one is meant depends on the value, so
    a new value replaces the old one whole.
    """
    sections = [m for m in members(annotation) if is_section(m)]
    return sections[0] if len(sections) == 1 else None


def plain(value: Any) -> Any:
    """Return a configuration as what YAML and JSON have: dicts, lists and scalars.

    Raises
    ------
    TypeError
        For a value that a configuration file cannot express: a defect of the dataclass.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in field_types(type(value))}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a configuration cannot hold a {type(value).__name__}: {value!r}")


def defaults(root: type) -> dict[str, Any]:
    """Return the plain default of every key that has one; sections without one are descended."""
    tree: dict[str, Any] = {}
    types_of = field_types(root)
    for field in dataclasses.fields(root):
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            tree[field.name] = plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            tree[field.name] = plain(field.default_factory())
        elif is_section(types_of[field.name]):
            tree[field.name] = defaults(types_of[field.name])
    return tree
