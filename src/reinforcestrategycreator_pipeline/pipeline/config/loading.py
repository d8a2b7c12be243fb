"""Loading of the configuration: defaults < file < environment < ``--set``, strictly validated.

The four layers are plain trees that are merged before validation. Each node records where it was
set, so every error can name that place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from reinforcestrategycreator_pipeline.checks import (
    MOST_ITEMS,
    family_of,
    field_types,
    fit,
    raise_all,
)
from reinforcestrategycreator_pipeline.errors import ConfigError, KeyPath, show_path
from reinforcestrategycreator_pipeline.pipeline.config.sections import (
    defaults,
    section_of,
)
from reinforcestrategycreator_pipeline.pipeline.config.user_code import modules_named
from reinforcestrategycreator_pipeline.pipeline.config.yaml_file import parse_yaml, read_yaml
from reinforcestrategycreator_pipeline.trust import (
    allowing,
    default_folders,
    is_scoped,
    load_module,
    typed,
)

R = TypeVar("R")

ENVIRONMENT_PREFIX = "RSC_CONFIG__"


def load_config(
    root_type: type[R],
    file: Path | None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    environ: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    label: str = "overrides",
) -> R:
    """Return the configuration that a file, the environment and ``--set`` define together.

    Modules that a file names are loaded from the folders of `trust.allowing`, or, outside of it,
    from `trust.default_folders`; those named in `overrides` also from where the user's are.

    Parameters
    ----------
    root_type : type
        Root dataclass, composed of the sections' dataclasses.
    file : Path or None
        Configuration file, YAML 1.2; None for the defaults.
    overrides : sequence of str, or mapping of str to value
        Entries ``"dotted.key=value"`` with the value in YAML, or dotted key -> value; later
        entries win.
    environ : mapping, optional
        Environment, whose ``RSC_CONFIG__SECTION__KEY`` entries apply in alphabetical order, but
        names of components before their other keys.
    given : mapping, optional
        Configuration from Python, in place of a file; its values may be objects.
    arguments : mapping of str to value, optional
        Keys that arguments of a function set, above everything else.
    label : str
        Name of a mapping of overrides, for messages.

    Raises
    ------
    ConfigError
        If a key or value is invalid. The first line names place, key path, rule, value and the
        nearest valid name; further errors follow.
    """
    if file is not None and not is_scoped():
        with allowing(default_folders(file), file.parent):
            return load_config(root_type, file, overrides, environ, given, arguments, label)
    tree = _Tree(root_type)
    if file is not None:
        document = read_yaml(file)
        tree.put(
            (),
            document.value,
            lambda path: f"{file}:{document.lines[path]}" if path in document.lines else str(file),
        )
    if given is not None:
        tree.put((), _as_dict(given, "the configuration"), lambda _: "the configuration")
    for name in sorted(environ or {}, key=_name_first):
        if name.startswith(ENVIRONMENT_PREFIX.rstrip("_") + "_"):
            _put_variable(tree, name, (environ or {})[name])
    if isinstance(overrides, Mapping):
        layers = [
            (tuple(k.split(".")), _as_dict(v, f"{label}[{k!r}]"), f"{label}[{k!r}]")
            for k, v in overrides.items()
        ]
    else:
        layers = [parse_override(override) for override in overrides]
    layers += [((key,), value, f"the argument {key}") for key, value in (arguments or {}).items()]
    named = modules_named([value for _, value, _ in layers])
    imports = [value for path, value, _ in layers if path == ("imports",)]
    with typed([*named, *(str(name) for names in imports for name in _listed(names))]):
        for path, value, label in layers:
            tree.put(path, value, lambda _, label=label: label)  # type: ignore[misc]
        return _validate(root_type, tree)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_dict(value: Any, label: str, path: KeyPath = ()) -> Any:
    """Return mappings, however deep, as dicts, and sequences as lists, as a file's would be.

    A file is bounded in length; here a list is rejected before a million places are recorded.
    """
    if isinstance(value, Mapping):
        return {key: _as_dict(item, label, (*path, str(key))) for key, item in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) > MOST_ITEMS:
        where = f"{show_path(path)}: " if path else ""
        error = ConfigError(rule=f"must be a list of at most {MOST_ITEMS} items", value=value[:9])
        raise ConfigError(f"{label}: {where}{error.complaint} It has {len(value)}.", path=path)
    return [_as_dict(item, label, (*path, i)) for i, item in enumerate(value)]


class _Step(dict[Any, Any]):
    """A mapping of one key, made from a key path: merging it keeps all other keys."""


class _Tree:
    """The plain configuration tree, and a text for each node that says where it was set."""

    def __init__(self, root_type: type) -> None:
        self.root_type = root_type
        self.value: Any = defaults(root_type)
        self.places: dict[KeyPath, str] = {(): "the default configuration"}

    def put(self, path: KeyPath, value: Any, place: Callable[[KeyPath], str]) -> None:
        """Merge `value` at `path`: sections are merged, everything else is replaced.

        Modules under the root's key ``imports`` are imported at once, as they register names.
        """
        named = value.get("imports") if not path and isinstance(value, dict) else value
        if path in ((), ("imports",)) and isinstance(named, list):
            for i, module in enumerate(named):
                try:
                    load_module(str(module))
                except ConfigError as error:
                    where = ("imports", i)
                    raise ConfigError(f"{place(where)}: {show_path(where)}: {error}") from error
        for part in reversed(path):
            value = _Step({part: value})
        self.value = self._laid(self.value, value, self.root_type, (), place)

    def _laid(
        self, old: Any, new: Any, annotation: Any, path: KeyPath, place: Callable[[KeyPath], str]
    ) -> Any:
        if not isinstance(new, _Step) or path not in self.places:
            self.places[path] = place(path)
        section = section_of(annotation)
        merges = section is not None or isinstance(new, _Step)
        if family_of(annotation) is not None and isinstance(new, dict):
            # The keys of a component merge; another name starts from that component's defaults.
            before = old.get("name") if isinstance(old, dict) else old
            name = new.get("name", before)
            section, merges = section_of(annotation, name), True
            if not isinstance(old, dict) or name != before:
                known = defaults(section) if section else {}
                old = {**({} if name is None else {"name": name}), **known}
        if isinstance(new, _Step) and isinstance(old, list):
            return self._in_list(old, new, path, place)
        if not isinstance(new, dict) or not merges:
            for known_path in [p for p in self.places if p[: len(path)] == path != p]:
                del self.places[known_path]
            self._mark(new, path, place)
            return copy.deepcopy(new)
        if not isinstance(old, dict):
            old = defaults(section) if section else {}
        types = field_types(section) if section else {}
        for key, item in new.items():
            old[key] = self._laid(old.get(key), item, types.get(key), (*path, key), place)
        return old

    def _in_list(
        self, old: list[Any], new: _Step, path: KeyPath, place: Callable[[KeyPath], str]
    ) -> list[Any]:
        """Merge the step ``{"2": value}`` into entry 2 of a list; a name is ``{"name": name}``."""
        ((key, item),) = new.items()
        entries = {str(i): i for i in range(len(old))}
        if key not in entries:
            entries_are = f"its entries are 0 to {len(old) - 1}" if old else "it is empty"
            raise ConfigError(
                f"{place((*path, key))}: {show_path(path)} is a list: {entries_are}. "
                f"Got {key!r} instead."
            )
        i = entries[key]
        before = {"name": old[i]} if isinstance(item, _Step) and isinstance(old[i], str) else old[i]
        old[i] = self._laid(before, item, None, (*path, i), place)
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
        """Return where the node at `path`, or its nearest known ancestor, was set."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]


def _name_first(variable: str) -> list[str]:
    """Sort the name of a component before its keys: it brings the defaults of all others."""
    return ["" if part == "NAME" else part for part in variable.split("__")]


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
    tree.put(path, parse_yaml(text, lambda _: label).value, lambda _: label)


def parse_override(override: str) -> tuple[tuple[str, ...], Any, str]:
    """Split ``dotted.key=value`` into key path, value (read as YAML) and label for errors.

    Raises
    ------
    ConfigError
        If `override` has another form.
    """
    name, equals, text = override.partition("=")
    label = f"--set {override if len(override) <= 80 else override[:77] + '...'}"
    path = tuple(name.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(f"{label}: must have the form dotted.key=value.")
    if text[:1] in ("%", "@", "`"):  # no YAML value begins so, but %d/%m/%Y does
        return path, text, label
    return path, parse_yaml(text, lambda _: label).value, label


def _elsewhere(root_type: type, path: KeyPath) -> str:
    """Return a hint for a key of one other section, or of other components, or ``""``."""
    kind, last = field_types(root_type).get(str(path[0])), path[-1]
    if len(path) > 1 and (family := family_of(kind)):
        sections = {name: section_of(kind, name) for name in family}
        have = [n for n, s in sections.items() if s and path[1:] in _paths(defaults(s), ())]
        if have:
            return f" It is a key of {' or '.join(map(repr, have))}: set {path[0]}.name, too."
    found = [known for known in _paths(defaults(root_type), ()) if known[-1] == last]
    return f" Did you mean {show_path(found[0])!r}?" if len(found) == 1 else ""


def _paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Yield the path of every key of a tree of mappings."""
    for key, item in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from _paths(item, (*path, key))


def _validate(root_type: type[R], tree: _Tree) -> R:
    wrong: list[ConfigError] = []
    found: R = fit(root_type, tree.value, (), wrong)
    if wrong:
        first = wrong[0]
        if first.rule == "unknown key" and first.hint.startswith((" Did you", " Valid names")):
            first.hint = _elsewhere(root_type, first.path) or first.hint
        where = f"{show_path(first.path)}: " if first.path else ""
        first.message = f"{tree.place(first.path)}: {where}{first.complaint}"
        first.place = ""
        raise_all(wrong)
    return found
