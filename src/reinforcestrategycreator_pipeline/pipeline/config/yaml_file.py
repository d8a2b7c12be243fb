"""Strict YAML 1.2: parse text into plain values, with the line number of each.

The values are built from ruamel.yaml's parser events instead of its constructors, because a
configuration needs stricter rules: every mapping key is text and occurs once; tags, anchors and
aliases are rejected; depth is bounded; and plain scalars follow the core schema of YAML 1.2
(section 10.3 of the YAML 1.2.2 specification). So ``NO``, ``on``, ``12:30``, ``2024-01-01`` and
``1_000`` are text, ``010`` is ten, and ``1e-4`` is a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import ConfigError, KeyPath, nearest_file, show_path

MAX_BYTES = 256 * 1024
"""Largest accepted configuration file, in bytes; parsing it takes about four seconds."""
MAX_DEPTH = 32
"""Deepest accepted nesting of mappings and lists."""
MAX_NUMBER = 400
"""Longest accepted number, in characters."""

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
        Nested None, bool, int, float, str, list and dict with text keys.
    lines : dict
        Line number of each key path, counted from 1. A mapping entry has the line of its key.
    """

    value: Any
    lines: dict[KeyPath, int]


def scalar(text: str) -> Any:
    """Return the value of a plain (unquoted) scalar in the core schema of YAML 1.2.

    Raises
    ------
    ValueError
        If a number is too long, or too large for a float64.
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
        Text of the document; an empty one has the value None.
    place : callable
        Function from line number (from 1) to the start of an error message: ``lambda line:
        f"{file}:{line}"``.

    Raises
    ------
    ConfigError
        If the document is invalid; one line names place, key path, rule and value.
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
        if re.search(r":\s+[%@`]", "".join(text.splitlines()[line - 1 : line])):
            hint = " A value that begins with %, @ or ` needs quotation marks."
        raise ConfigError(f"{place(line)}: not valid YAML: {problem}.{hint}") from error
    except YAMLError as error:
        # The reader's error for a control character has a position instead of a mark.
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        character = getattr(error, "character", "?")
        code = character if isinstance(character, int) else ord(character[0])
        raise ConfigError(
            f"{place(line)}: not valid YAML: the character U+{code:04X} is not allowed."
        ) from error


class _Builder:
    """Builder of a document's value from the parser's events."""

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
                raise self._error(event, (), "a second document ('---') is not allowed")
            if event.version not in (None, (1, 2)):
                version = ".".join(map(str, event.version))
                raise self._error(event, (), f"must be YAML 1.2, not %YAML {version}")
            value = self._value(next(self._events), (), 0)
        return YamlDocument(value, self._lines)

    @staticmethod
    def _kind(event: Any) -> str:
        return type(event).__name__.removesuffix("Event")

    def _error(self, event: Any, path: KeyPath, rule: str) -> ConfigError:
        where = f"{self._place(event.start_mark.line + 1)}: "
        return ConfigError(f"{where}{show_path(path)}{': ' if path else ''}{rule}.")

    def _value(self, event: Any, path: KeyPath, depth: int) -> Any:
        kind = self._kind(event)
        self._lines.setdefault(path, event.start_mark.line + 1)
        if kind == "Alias":
            raise self._error(event, path, f"aliases (*{event.anchor}) are not allowed")
        if event.anchor is not None:
            raise self._error(event, path, f"anchors (&{event.anchor}) are not allowed")
        if event.tag is not None:
            raise self._error(event, path, f"tags are not allowed. Got {str(event.tag)!r}")
        if depth >= MAX_DEPTH and kind != "Scalar":
            raise self._error(event, path[:4], f"nested deeper than {MAX_DEPTH} levels")
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
                raise self._error(event, here, f"duplicate key, first given on line {first}")
            self._lines[here] = event.start_mark.line + 1
            entries[key] = self._value(next(self._events), here, depth + 1)
        return entries

    def _key(self, event: Any, path: KeyPath) -> str:
        if self._kind(event) != "Scalar" or event.anchor or event.tag or not event.value:
            raise self._error(event, path, "a key must be plain, non-empty text")
        return self._text(event, path)

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        if event.style is not None:  # quoted or a block: always text
            return self._text(event, path)
        try:
            return scalar(self._text(event, path))
        except ValueError as error:
            raise self._error(event, path, f"{error}. Got '{event.value[:40]}'") from error

    def _text(self, event: Any, path: KeyPath) -> str:
        text = str(event.value)
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise self._error(event, path, f"an unpaired surrogate is not text. Got {text!r}")
        return text


def read_yaml(path: Path) -> YamlDocument:
    """Read a configuration file; its root must be a mapping, and an empty file is an empty one.

    Raises
    ------
    ConfigError
        If the file cannot be read or is invalid; one line names the file and, if known, the line.
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
            data = file.read(MAX_BYTES + 1)  # bounded even if the path is a device
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file.{nearest_file(path)}") from error
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
