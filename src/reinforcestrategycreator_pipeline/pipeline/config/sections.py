"""What the configuration's dataclasses say about a key path: its type, its valid names."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any

from reinforcestrategycreator_pipeline.pipeline.config.yaml_file import KeyPath


@cache
def field_types(section: type) -> dict[str, Any]:
    """Return a config dataclass's keys and their types, in order of declaration."""
    hints = typing.get_type_hints(section)
    return {f.name: hints[f.name] for f in dataclasses.fields(section) if f.init}


def section_of(annotation: Any) -> type | None:
    """Return the one dataclass that `annotation` is, perhaps optionally; else None.

    A union of several dataclasses is not a section: which one is meant depends on the value, so
    a new value replaces the old one whole.
    """
    sections = [m for m in _members(annotation) if _is_section(m)]
    return sections[0] if len(sections) == 1 else None


def valid_keys(root: type, path: KeyPath) -> list[str]:
    """Return the names that are valid beside the last element of `path`, or none if any is."""
    candidates: list[Any] = [root]
    for part in path[:-1]:
        candidates = [inner for outer in candidates for inner in _inside(outer, part)]
    sections = [m for c in candidates for m in _members(c) if _is_section(m)]
    return [name for section in sections for name in field_types(section)]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def _members(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _inside(annotation: Any, part: str | int) -> list[Any]:
    found = []
    for member in _members(annotation):
        arguments = typing.get_args(member)
        if _is_section(member):
            found += [t for name, t in field_types(member).items() if name == part]
        elif isinstance(part, int) and typing.get_origin(member) is tuple:
            variadic = len(arguments) == 2 and arguments[1] is Ellipsis
            found += arguments[:1] if variadic else arguments[part : part + 1]
        elif arguments:
            found.append(arguments[-1])  # a list's item, a mapping's value
    return found


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
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
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
        elif _is_section(types_of[field.name]):
            tree[field.name] = defaults(types_of[field.name])
    return tree
