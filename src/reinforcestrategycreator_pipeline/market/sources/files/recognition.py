"""Roles of the columns of a table, from their names and values, as parameters of a source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table
from reinforcestrategycreator_pipeline.market.sources.files.date_forms import (
    AmbiguousDates,
    date_format_of,
)
from reinforcestrategycreator_pipeline.market.sources.files.layout_catalog import (
    Layout,
    best,
)
from reinforcestrategycreator_pipeline.market.sources.files.names import (
    SYNONYMS,
    is_adjusted,
    may_be,
    plain_name,
)
from reinforcestrategycreator_pipeline.market.sources.files.text_form import SAMPLE
from reinforcestrategycreator_pipeline.ohlcv import OHLCV

_Source = TypeVar("_Source")
_OF_COLUMNS = ("timestamp_column", "symbol_column")


@dataclass(frozen=True)
class Recognized:
    """Parameters that a table states, and in words what was taken for what."""

    parameters: Mapping[str, Any]
    notes: tuple[str, ...]
    layout: Layout | None = None


def roles_of(table: Table, tried: Sequence[Layout], stem: str, set_by_user: Any) -> Recognized:
    """Return the roles of columns by the table's layout, else by other names for them.

    Parameters
    ----------
    table : Table
        Table of the file.
    tried : sequence of Layout
        Layouts that it may have.
    stem : str
        Name of the file, without its endings.
    set_by_user : TableSource
        Source with the parameters of the configuration.
    """
    values = {name: column.texts(SAMPLE) for name, column in table.columns.items()}
    found = best(tried, values, stem)
    if found is not None:
        layout, shape = found
        return Recognized(_named(shape.parameters, table), (), layout)
    known = {plain_name(name) for name in table.columns}
    columns: dict[str, str] = {}
    for role in OHLCV:
        if role in known or role in set_by_user.columns:
            continue
        free = [c for c in table.columns if c not in set_by_user.ignore and not is_adjusted(c)]
        free = [c for c in free if c not in set_by_user.columns.values()]
        alike = [c for c in free if plain_name(c) in SYNONYMS[role]]
        alike = alike or [c for c in free if may_be(c, role)]
        if len(alike) == 1:
            columns[role] = alike[0]
    notes = tuple(f"{name!r} is the {role}" for role, name in columns.items())
    return Recognized({"columns": columns} if columns else {}, notes)


def date_format(table: Table, column: str) -> str | None:
    """Return the format of the table's times, if it is not ISO 8601.

    Raises
    ------
    DataError
        If the rows allow several formats; the message names them.
    """
    sample = table.columns[column].texts(SAMPLE)
    try:
        if date_format_of(sample) is None:
            return None
    except AmbiguousDates:
        pass  # all rows may tell
    try:
        return date_format_of(table.columns[column].texts())
    except AmbiguousDates as error:
        raise DataError(
            f"{table.path}: every {column}, such as {error.text!r}, fits several formats. Set "
            f"date_format: {' or '.join(map(repr, error.formats))}."
        ) from error


def merged(source: _Source, parameters: Mapping[str, Any]) -> _Source:
    """Return a source with the parameters that its configuration leaves at their defaults."""
    defaults = {f.name: f for f in dataclasses.fields(source)}  # type: ignore[arg-type]
    changed: dict[str, Any] = {}
    for name, value in parameters.items():
        if name not in defaults:
            continue
        own = getattr(source, name)
        if name == "columns":
            changed[name] = {**value, **own}
        elif name == "ignore":
            changed[name] = tuple(dict.fromkeys((*own, *value)))
        elif own == _default(defaults[name]):
            changed[name] = value
    replaced: _Source = dataclasses.replace(source, **changed)  # type: ignore[type-var]
    return replaced


def _default(field: Any) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory()


def _named(parameters: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Return parameters with the names of columns as the table has them."""
    known = {plain_name(name): name for name in table.columns}
    named = dict(parameters)
    for key in _OF_COLUMNS:
        if key in named:
            named[key] = known.get(plain_name(named[key]), named[key])
    if "columns" in named:
        given = {role: known.get(plain_name(name)) for role, name in named["columns"].items()}
        named["columns"] = {role: name for role, name in given.items() if name is not None}
    if "ignore" in named:
        names = (known.get(plain_name(name)) for name in named["ignore"])
        named["ignore"] = tuple(name for name in names if name is not None)
    return named
