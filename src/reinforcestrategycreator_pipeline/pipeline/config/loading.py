"""Defaults < file < environment < ``--set``, validated strictly, errors with their place.

All four layers are plain trees that are laid over one another before anything is validated;
each node remembers where it was given, so that any complaint about it can say so.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.pipeline.config.sections import (
    defaults,
    field_types,
    section_of,
    valid_keys,
)
from reinforcestrategycreator_pipeline.pipeline.config.yaml_file import (
    KeyPath,
    parse_yaml,
    read_yaml,
    show_path,
)

R = TypeVar("R")

ENVIRONMENT_PREFIX = "RSC_CONFIG__"

_RULES = {
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of names to values",
    "mapping_type": "must be a mapping of names to values",
    "dataclass_type": "must be a section, a mapping of keys to values",
    "none_required": "must be null",
}


def load_config(
    root_type: type[R],
    file: Path | None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> R:
    """Return the configuration that a file, the environment and ``--set`` define together.

    Parameters
    ----------
    root_type : type
        The root dataclass, composed of the components' config dataclasses.
    file : Path or None
        A YAML 1.2 file; without one there are only the defaults and the overrides.
    overrides : sequence of str
        ``"dotted.key=value"``, the value in YAML; later ones win.
    environ : mapping, optional
        Its ``RSC_CONFIG__SECTION__KEY`` entries are used, in alphabetical order.

    Raises
    ------
    ConfigError
        One line: where, key path, rule, value, nearest valid name; ``(and N more)``.
    """
    tree = _Tree(root_type)
    if file is not None:
        document = read_yaml(file)
        tree.put_with_presets(
            (),
            document.value,
            lambda path: f"{file}:{document.lines[path]}" if path in document.lines else str(file),
        )
    for name in sorted(environ or {}):
        if name.startswith(ENVIRONMENT_PREFIX.rstrip("_") + "_"):
            _put_variable(tree, name, (environ or {})[name])
    for override in overrides:
        path, value, label = parse_override(override)
        tree.put_with_presets(path, value, lambda _, label=label: label)  # type: ignore[misc]
    return _validate(root_type, tree)


class _Tree:
    """The plain configuration tree, and for each given node the words that say where."""

    def __init__(self, root_type: type) -> None:
        self.root_type = root_type
        self.value: Any = defaults(root_type)
        self.places: dict[KeyPath, str] = {(): "the default configuration"}

    def put_with_presets(self, path: KeyPath, value: Any, place: Callable[[KeyPath], str]) -> None:
        """Lay what presets that `value` names stand for, and `value` over that.

        The root's `presets`, if it has any, says where their names stand. What they override are
        earlier layers; an unknown name is left to the section's own check.
        """
        for named_at, (section, values_of) in getattr(self.root_type, "presets", {}).items():
            name = _inside(value, named_at[len(path) :]) if named_at[: len(path)] == path else None
            if isinstance(name, str):
                try:
                    values = values_of(name)
                except ConfigError:
                    continue
                where = place(named_at)
                self.put(section, dict(values), lambda _, where=where: where)  # type: ignore[misc]
        self.put(path, value, place)

    def put(self, path: KeyPath, value: Any, place: Callable[[KeyPath], str]) -> None:
        """Lay `value` over what is at `path`: sections merge, everything else is replaced."""
        annotation: Any = self.root_type
        node: dict[str, Any] = {"": self.value}
        key = ""
        for depth, part in enumerate(path):
            inner = node.get(key)
            if not isinstance(inner, dict):
                inner = node[key] = {}
                self.places[path[:depth]] = place(path[:depth])
            node, key = inner, str(part)
            section = section_of(annotation)
            annotation = field_types(section).get(key) if section else None
            self.places.setdefault(path[:depth], place(path[:depth]))
        node[key] = self._laid(node.get(key), value, annotation, path, place)
        if not path:
            self.value = node[""]

    def _laid(
        self, old: Any, new: Any, annotation: Any, path: KeyPath, place: Callable[[KeyPath], str]
    ) -> Any:
        self.places[path] = place(path)
        section = section_of(annotation)
        if section is None or not isinstance(new, dict):
            for known in [p for p in self.places if len(p) > len(path) and p[: len(path)] == path]:
                del self.places[known]
            self._mark(new, path, place)
            return copy.deepcopy(new)
        if not isinstance(old, dict):
            old = defaults(section)
        types = field_types(section)
        for key, item in new.items():
            old[key] = self._laid(old.get(key), item, types.get(key), (*path, key), place)
        return old

    def _mark(self, value: Any, path: KeyPath, place: Callable[[KeyPath], str]) -> None:
        self.places[path] = place(path)
        if isinstance(value, dict):
            for key, item in value.items():
                self._mark(item, (*path, key), place)
        elif isinstance(value, list):
            for i, item in enumerate(value):
                self._mark(item, (*path, i), place)

    def place(self, path: KeyPath) -> str:
        """Return where the node at `path`, or its nearest ancestor that was given, stands."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def text(self, path: KeyPath) -> str | None:
        """Return the text that stands at `path`; None if it is no text."""
        node = self.value
        for part in path:
            node = node[part]
        return node if isinstance(node, str) else None


def _inside(value: Any, path: KeyPath) -> Any:
    """Return what is at `path` in a plain tree, or None."""
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _put_variable(tree: _Tree, name: str, text: str) -> None:
    label = f"environment variable {name}"
    if not name.startswith(ENVIRONMENT_PREFIX):
        raise ConfigError(
            f"{label}: levels are joined by two underscores, as in "
            f"{ENVIRONMENT_PREFIX}SECTION__KEY."
        )
    path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
    if not all(path):
        raise ConfigError(f"{label}: has an empty level.")
    tree.put_with_presets(path, parse_yaml(text, lambda _: label).value, lambda _: label)


def parse_override(override: str) -> tuple[tuple[str, ...], Any, str]:
    """Split ``dotted.key=value`` into key path, value (read as YAML) and what errors call it.

    Raises
    ------
    ConfigError
        If it is no such thing.
    """
    name, equals, text = override.partition("=")
    label = f"--set {override if len(override) <= 80 else override[:77] + '...'}"
    path = tuple(name.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(f"{label}: must read dotted.key=value.")
    return path, parse_yaml(text, lambda _: label).value, label


def _validate(root_type: type[R], tree: _Tree) -> R:
    from pydantic import TypeAdapter, ValidationError

    # JSON mode is what makes "strict" fit a file: no coercion, but a list is a tuple and a
    # whole number a float.
    document = json.dumps(tree.value)
    try:
        return TypeAdapter(root_type).validate_json(document, strict=True)
    except ValidationError as error:
        raise ConfigError(_first_of(root_type, tree, error)) from error


def _first_of(root_type: type, tree: _Tree, error: Any) -> str:
    by_path: dict[KeyPath, list[Mapping[str, Any]]] = {}
    for detail in error.errors(include_url=False):
        by_path.setdefault(_path_in_tree(tree.value, detail), []).append(detail)
    path, details = next(iter(by_path.items()))
    more = f" (and {len(by_path) - 1} more)" if len(by_path) > 1 else ""
    return f"{_message(root_type, tree, path, details)}{more}".replace("\n", " ")


def _path_in_tree(value: Any, detail: Mapping[str, Any]) -> KeyPath:
    """Drop from pydantic's location what names a member of a union, not a key."""
    path: list[str | int] = []
    location = detail["loc"]
    for i, part in enumerate(location):
        if isinstance(value, (dict, list)) and (
            part in value if isinstance(value, dict) else isinstance(part, int)
        ):
            value = value[part]
            path.append(part)
        elif detail["type"] == "missing" and i == len(location) - 1:
            path.append(part)
    return tuple(path)


def _message(
    root_type: type, tree: _Tree, path: KeyPath, details: Sequence[Mapping[str, Any]]
) -> str:
    first = details[0]
    kind = first["type"]
    if kind == "value_error":
        text = str(first["ctx"]["error"])
        path = _named_child(tree, path, text)
        return f"{_prefix(tree, path)}{text}"
    if kind == "unexpected_keyword_argument":
        hint = nearest(str(path[-1]), valid_keys(root_type, path))
        return f"{_prefix(tree, path)}no such key.{hint}"
    if kind == "missing":
        return f"{_prefix(tree, path)}is required and has no default."
    rules = list(dict.fromkeys(_rule(detail) for detail in details))
    rule = " or ".join([rules[0], *(r.removeprefix("must be ") for r in rules[1:])])
    value = first["input"]
    hint = ""
    if kind == "literal_error" and isinstance(value, str):
        hint = nearest(value, re.findall(r"'([^']*)'", first["ctx"]["expected"]))
        hint = hint if hint.startswith(" Did you mean") else ""
    return f"{_prefix(tree, path)}{rule}. Got {_shown(value)} instead.{hint}"


def _rule(detail: Mapping[str, Any]) -> str:
    known = _RULES.get(detail["type"])
    return known or str(detail["msg"]).replace("Input should be", "must be")


def _prefix(tree: _Tree, path: KeyPath) -> str:
    return f"{tree.place(path)}: {show_path(path)}{': ' if path else ''}"


def _named_child(tree: _Tree, path: KeyPath, message: str) -> KeyPath:
    """Return the given key below `path` that a section's own check complains about, if any.

    A key that the message quotes or calls a parameter, or else whose text it quotes, may be at any
    depth; a bare word must be a direct child's. Where several keys fit, their common ancestor is
    blamed.
    """
    below = [
        p
        for p in tree.places
        if len(p) > len(path) and p[: len(path)] == path and isinstance(p[-1], str)
    ]
    named = [p for p in below if re.search(rf"'{re.escape(str(p[-1]))}'", message)]
    named += [p for p in below if re.search(rf"\bThe {re.escape(str(p[-1]))} parameter", message)]
    if not named:
        blamed = message.partition(" Did you mean")[0]
        texts = {p: tree.text(p) for p in tree.places if p[: len(path)] == path and p != path}
        named = [p for p, text in texts.items() if text and repr(text) in blamed]
    if not named:
        words = [p for p in below if len(p) == len(path) + 1]
        named = [p for p in words if re.search(rf"\b{re.escape(str(p[-1]))}\b", message)][:1]
    deepest = [p for p in named if len(p) == max(map(len, named))]
    common: KeyPath = ()
    for parts in zip(*deepest, strict=True):
        if len(set(parts)) > 1:
            break
        common = (*common, parts[0])
    return common if deepest else path


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
