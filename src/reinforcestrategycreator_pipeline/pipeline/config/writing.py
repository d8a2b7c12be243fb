"""The resolved configuration as YAML that loads back equal, and its JSON schema for editors."""

from __future__ import annotations

import dataclasses
import inspect
import io
import re
from collections.abc import Iterator
from typing import Any

from reinforcestrategycreator_pipeline.pipeline.config.sections import field_types, plain

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def config_to_yaml(config: Any) -> str:
    """Return every key of `config` as YAML 1.2: same config, same bytes; loads back equal."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt", pure=True)
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    # The emitter folds long text at spaces, and an absent value must not look like a mistake.
    yaml.representer.add_representer(type(None), _null)
    stream = io.StringIO()
    yaml.dump(_styled(plain(config)), stream)
    return stream.getvalue()


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _styled(value: Any) -> Any:
    """Put lists of scalars on one line; quote text that people could take for something else."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        return CommentedMap((_styled(key), _styled(item)) for key, item in value.items())
    if isinstance(value, list):
        items = CommentedSeq(_styled(item) for item in value)
        if not any(isinstance(item, (dict, list)) for item in value):
            items.fa.set_flow_style()
        return items
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", value):
        return DoubleQuotedScalarString(value)
    return value


def config_schema(root: type) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the configuration whose root is `root`.

    Summaries and the keys' descriptions come from the dataclasses' numpydoc docstrings.
    """
    from pydantic import TypeAdapter

    schema: dict[str, Any] = TypeAdapter(root).json_schema()
    definitions = schema.get("$defs", {})
    for section in _sections(root):
        # pydantic names a definition after its class, unless two classes share the name.
        target = schema if section is root else definitions.get(section.__name__)
        if target is None:
            continue
        summary, keys = _documentation(section)
        target["description"] = summary
        for name, schema_of_key in target.get("properties", {}).items():
            schema_of_key.pop("title", None)
            if name in keys:
                schema_of_key["description"] = keys[name]
    return {"$schema": DRAFT, **schema}


def _sections(annotation: Any) -> Iterator[type]:
    """Yield every dataclass that is reachable from a type annotation, itself first."""
    todo, seen = [annotation], set()
    while todo:
        current = todo.pop()
        if isinstance(current, type) and dataclasses.is_dataclass(current):
            if current in seen:
                continue
            seen.add(current)
            yield current
            todo += field_types(current).values()
        todo += getattr(current, "__args__", ())


def _documentation(section: type) -> tuple[str, dict[str, str]]:
    """Return a numpydoc docstring's first paragraph, and what it says of each attribute."""
    text = inspect.cleandoc(section.__doc__ or "")
    summary = " ".join(text.partition("\n\n")[0].split())
    keys: dict[str, str] = {}
    match = re.search(
        r"^(?:Attributes|Parameters)\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", text, re.M | re.S
    )
    for entry in re.split(r"^(?=\S)", match[1] if match else "", flags=re.M):
        head, _, body = entry.partition("\n")
        names, _, kind = head.partition(":")
        description = " ".join(body.split()) or kind.strip()
        for name in names.split(","):
            if name.strip() and description:
                keys[name.strip()] = description
    return summary, keys
