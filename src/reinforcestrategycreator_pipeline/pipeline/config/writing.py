"""The resolved configuration as YAML that loads back equal, and the JSON schema for editors."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from reinforcestrategycreator_pipeline.checks import family_of, field_types, is_section, members
from reinforcestrategycreator_pipeline.pipeline.config.sections import (
    defaults,
    to_plain,
)
from reinforcestrategycreator_pipeline.registry import (
    REQUIRED,
    Description,
    NameOf,
    ParametersOf,
    Registry,
)

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {
    int: "integer",
    float: "number",
    bool: "boolean",
    str: "string",
    type(None): "null",
}
_BOUNDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}


def config_to_yaml(config: Any) -> str:
    """Return all keys of `config` as YAML 1.2, which loads back equal; deterministic."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt", pure=True)
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    # Null is written out: an empty value would look like a mistake.
    yaml.representer.add_representer(type(None), _null)
    stream = io.StringIO()
    yaml.dump(_styled(to_plain(config)), stream)
    return stream.getvalue()


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _styled(value: Any) -> Any:
    """Put lists of scalars on one line; quote text that could be mistaken for another type."""
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
    """Return the JSON schema (draft 2020-12) of the configuration with the root class `root`.

    Descriptions come from the numpydoc docstrings of the dataclasses.
    """
    definitions: dict[str, Any] = {}
    schema = {"$schema": DRAFT, **_section_schema(root, definitions)}
    return {**schema, "$defs": definitions} if definitions else schema


def _section_schema(section: type, definitions: dict[str, Any]) -> dict[str, Any]:
    summary, descriptions = _documentation(section)
    known, properties = defaults(section), {}
    for name, annotation in field_types(section).items():
        entry = _schema(annotation, definitions, known.get(name))
        if name in known:
            entry["default"] = known[name]
        if name in descriptions:
            entry["description"] = descriptions[name]
        properties[name] = entry
    required = [name for name in properties if name not in known]
    rules = [
        rule
        for name, annotation in field_types(section).items()
        for marker in get_args(annotation)
        if isinstance(marker, ParametersOf)
        for rule in _parameter_rules(name, marker, known.get(marker.field), definitions)
    ]
    return {
        "type": "object",
        "description": summary,
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"allOf": rules} if rules else {}),
    }


def _parameter_rules(
    name: str, marker: ParametersOf, default: object, definitions: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield what the field `name` must be for each member that another field names."""
    for member in marker.family.describe():
        condition: dict[str, Any] = {"properties": {marker.field: {"const": member.name}}}
        if member.name != default:  # which holds where the other field is absent
            condition["required"] = [marker.field]
        form = _member_schema(marker.family, member, definitions)
        needs = {"required": [name]} if "required" in form else {}
        yield {"if": condition, "then": {"properties": {name: form}, **needs}}


OWN = {"type": "string", "pattern": ":", "description": "your own code, module:attribute"}


def _family_schema(
    family: Registry[Any], definitions: dict[str, Any], default: object = None
) -> dict[str, Any]:
    """Return the forms of a component: registered names with their parameters, or user code.

    A mapping without a name has the parameters of the `default`.
    """
    if isinstance(default, dict):
        default = default.get("name")
    forms: list[dict[str, Any]] = [OWN]
    forms.append({"type": "object", "required": ["name"], "properties": {"name": OWN}})
    for member in family.describe():
        form = _member_schema(family, member, definitions)
        needed = form.pop("required", [])
        if not needed:
            forms.append({"const": member.name, "description": member.summary})
        form["properties"] = {"name": {"const": member.name}, **form["properties"]}
        needed = needed if member.name == default else ["name", *needed]
        forms.append({**form, **({"required": needed} if needed else {})})
    return {"anyOf": forms}


def _member_schema(
    family: Registry[Any], member: Description, definitions: dict[str, Any]
) -> dict[str, Any]:
    """Return the mapping of a member's parameters, its name aside."""
    properties: dict[str, Any] = {}
    _, descriptions = _documentation(family.get(member.name))
    for name, parameter in member.accepts.items():
        required = parameter.default is REQUIRED
        default = None if required else to_plain(parameter.default, parameter.annotation)
        properties[name] = _schema(parameter.annotation, definitions, default)
        if not required:
            properties[name]["default"] = default
        if name in descriptions:
            properties[name]["description"] = descriptions[name]
    required_names = [n for n, p in member.accepts.items() if p.default is REQUIRED]
    return {
        "type": "object",
        "description": member.summary,
        "properties": properties,
        "additionalProperties": False,
        **({"required": required_names} if required_names else {}),
    }


def _names_schema(family: Registry[Any]) -> dict[str, Any]:
    """Return the registered names, or user code."""
    names = [{"const": m.name, "description": m.summary} for m in family.describe()]
    return {"anyOf": [OWN, *names]}


def _schema(annotation: Any, definitions: dict[str, Any], default: object = None) -> dict[str, Any]:
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin is Annotated and (family := family_of(annotation)) is not None:
        return _family_schema(family, definitions, default)
    if origin is Annotated:
        schema = _schema(arguments[0], definitions)
        for marker in arguments[1:]:
            if isinstance(marker, NameOf):
                alone, family = arguments[0] is str, marker.family
                schema = _names_schema(family) if alone else _family_schema(family, definitions)
                continue
            schema |= {k: getattr(marker, a) for a, k in _BOUNDS.items() if hasattr(marker, a)}
            if hasattr(marker, "min_length"):
                array = schema.get("type") == "array"
                schema["minItems" if array else "minLength"] = marker.min_length
                if marker.max_length is not None:
                    schema["maxItems" if array else "maxLength"] = marker.max_length
            if getattr(marker, "distinct", False):
                schema["uniqueItems"] = True
        return schema
    if len(alternatives := members(annotation)) > 1:
        return {"anyOf": [_schema(m, definitions) for m in alternatives]}
    if is_section(origin):
        if origin.__name__ not in definitions:
            definitions[origin.__name__] = {}  # it may contain itself
            definitions[origin.__name__] = _section_schema(origin, definitions)
        return {"$ref": f"#/$defs/{origin.__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (tuple, list):
        if origin is tuple and arguments and arguments[-1] is not Ellipsis:
            items = [_schema(a, definitions) for a in arguments]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        return {"type": "array", "items": _schema(arguments[0], definitions) if arguments else {}}
    if origin in (dict, Mapping):
        keys = _schema(arguments[0], definitions) if arguments else {}
        names = {"propertyNames": keys} if "anyOf" in keys else {}
        values = _schema(arguments[-1], definitions) if arguments else {}
        return {"type": "object", "additionalProperties": values, **names}
    return {"type": _TYPES[origin]} if origin in _TYPES else {}


def _documentation(section: Any) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a numpydoc docstring, and the text of each attribute.

    A class's attributes are also those of the classes from which it inherits.
    """
    text = inspect.cleandoc(section.__doc__ or "")
    summary = " ".join(text.partition("\n\n")[0].split())
    keys: dict[str, str] = {}
    for base in getattr(section, "__mro__", (section,))[:0:-1]:
        keys |= _documentation(base)[1] if is_section(base) else {}
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
