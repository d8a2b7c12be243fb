"""Strict YAML 1.2: text -> plain values, and the line on which each of them stands.

The values are built from ruamel.yaml's parser events, not by its constructors, because a
configuration needs rules that those do not have: every mapping key is text and occurs once,
tags, anchors and aliases are refused, depth is bounded, and a plain scalar means what YAML 1.2's
core schema says (section 10.3 of the YAML 1.2.2 specification) and nothing more. So ``NO``,
``on``, ``12:30``, ``2024-01-01`` and ``1_000`` are text, ``010`` is ten, ``1e-4`` is a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import ConfigError, KeyPath, nearest, show_path

MAX_BYTES = 256 * 1024
"""Largest configuration file that is read; the parser needs about four seconds for it."""
MAX_DEPTH = 32
"""Deepest nesting of mappings and lists."""
MAX_NUMBER = 400
"""Longest plain number, in characters."""

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")


@dataclass(frozen=True)
class YamlDocument:
    """One parsed document.

    Attributes
    ----------
    value : Any
        None, bool, int, float, str, list and dict with text keys, nested.
    lines : dict
        Key path -> line, counted from 1. An entry of a mapping stands where its key stands.
    """

    value: Any
    lines: dict[KeyPath, int]


def scalar(text: str) -> Any:
    """Return what a plain (unquoted) scalar means in YAML 1.2's core schema.

    Raises
    ------
    ValueError
        For a number that is too long or that no float64 can hold.
    """
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _NAN.fullmatch(text):
        return float("nan")
    if infinity := _INF.fullmatch(text):
        return float(f"{infinity[1]}inf")
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.fullmatch(text):
            _require_short(text)
            return int(text[2:] if base != 10 else text, base)
    if _FLOAT.fullmatch(text):
        _require_short(text)
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError("the number is too large for a 64-bit float")
        return number
    return text


def _require_short(text: str) -> None:
    if len(text) > MAX_NUMBER:
        raise ValueError(f"a number may have at most {MAX_NUMBER} characters, not {len(text)}")


def parse_yaml(text: str, place: Callable[[int], str]) -> YamlDocument:
    """Parse one YAML document strictly.

    Parameters
    ----------
    text : str
        The document; without content it is null.
    place : callable
        Line (from 1) -> how an error message begins: ``lambda line: f"{file}:{line}"``.

    Raises
    ------
    ConfigError
        One line: place, key path, rule, value.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return _Builder(YAML(typ="safe", pure=True).parse(text), place).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = " ".join(str(error.problem or error.context or error).split())
        hint = " YAML indents with spaces." if r"'\t'" in problem else ""
        raise ConfigError(f"{place(line)}: not valid YAML: {problem}.{hint}") from error
    except YAMLError as error:
        # The reader's refusal of a control character has a position instead of a mark.
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        character = getattr(error, "character", "?")
        code = character if isinstance(character, int) else ord(character[0])
        raise ConfigError(
            f"{place(line)}: not valid YAML: the character U+{code:04X} is not allowed."
        ) from error


class _Builder:
    """Builds the value of a document from the parser's events."""

    def __init__(self, events: Iterator[Any], place: Callable[[int], str]) -> None:
        self._events = events
        self._place = place
        self._lines: dict[KeyPath, int] = {}

    def document(self) -> YamlDocument:
        value: Any = None
        documents = 0
        for event in self._events:
            if self._kind(event) != "DocumentStart":
                continue
            documents += 1
            if documents > 1:
                raise self._refusal(event, (), "a second document ('---') is not allowed")
            if event.version not in (None, (1, 2)):
                version = ".".join(map(str, event.version))
                raise self._refusal(event, (), f"must be YAML 1.2, not %YAML {version}")
            value = self._value(next(self._events), (), 0)
        return YamlDocument(value, self._lines)

    @staticmethod
    def _kind(event: Any) -> str:
        return type(event).__name__.removesuffix("Event")

    def _refusal(self, event: Any, path: KeyPath, rule: str) -> ConfigError:
        where = f"{self._place(event.start_mark.line + 1)}: "
        return ConfigError(f"{where}{show_path(path)}{': ' if path else ''}{rule}.")

    def _value(self, event: Any, path: KeyPath, depth: int) -> Any:
        kind = self._kind(event)
        self._lines.setdefault(path, event.start_mark.line + 1)
        if kind == "Alias":
            raise self._refusal(event, path, f"aliases (*{event.anchor}) are not allowed")
        if event.anchor is not None:
            raise self._refusal(event, path, f"anchors (&{event.anchor}) are not allowed")
        if event.tag is not None:
            raise self._refusal(event, path, f"tags are not allowed. Got {str(event.tag)!r}")
        if depth >= MAX_DEPTH and kind != "Scalar":
            raise self._refusal(event, path[:4], f"nested deeper than {MAX_DEPTH} levels")
        if kind == "SequenceStart":
            return self._sequence(path, depth)
        if kind == "MappingStart":
            return self._mapping(path, depth)
        return self._scalar(event, path)

    def _sequence(self, path: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while self._kind(event := next(self._events)) != "SequenceEnd":
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while self._kind(event := next(self._events)) != "MappingEnd":
            key = self._key(event, path)
            here = (*path, key)
            if key in entries:
                first = self._lines[here]
                raise self._refusal(event, here, f"the key is given twice, first on line {first}")
            self._lines[here] = event.start_mark.line + 1
            entries[key] = self._value(next(self._events), here, depth + 1)
        return entries

    def _key(self, event: Any, path: KeyPath) -> str:
        if self._kind(event) != "Scalar" or event.anchor or event.tag or not event.value:
            raise self._refusal(event, path, "a key must be plain, non-empty text")
        return self._text(event, path)

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        if event.style is not None:  # quoted or a block: always text
            return self._text(event, path)
        try:
            return scalar(self._text(event, path))
        except ValueError as error:
            raise self._refusal(event, path, f"{error}. Got '{event.value[:40]}'") from error

    def _text(self, event: Any, path: KeyPath) -> str:
        text = str(event.value)
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise self._refusal(event, path, f"half of a surrogate pair is not text. Got {text!r}")
        return text


def read_yaml(path: Path) -> YamlDocument:
    """Read a configuration file, whose root must be a mapping; an empty file is an empty one.

    Raises
    ------
    ConfigError
        One line that begins with the file's name, and its line where there is one.
    """
    text = _read_text(path)
    document = parse_yaml(text, lambda line: f"{path}:{line}")
    if document.value is None:
        return YamlDocument({}, {})
    if not isinstance(document.value, dict):
        kind = "a list" if isinstance(document.value, list) else "a single value"
        line = document.lines[()]
        raise ConfigError(f"{path}:{line}: must be a mapping of keys to values, not {kind}.")
    return document


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # never more, whatever the file claims to be
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file.{_nearest_file(path)}") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: is a directory, not a configuration file.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{str(path)!r}: cannot be read: {reason}.") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: a configuration may have at most {MAX_BYTES} bytes.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise ConfigError(f"{path}:{line}: must be UTF-8. Got the byte 0x{byte:02x}.") from error


def _nearest_file(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" There is no folder {str(folder)!r}."
    try:
        names = [p.name for p in folder.iterdir() if p.is_file()]
    except PermissionError:
        return ""  # a folder that may be entered but not listed offers no names
    hint = nearest(path.name, names)
    return hint if hint.startswith(" Did you mean") else ""
