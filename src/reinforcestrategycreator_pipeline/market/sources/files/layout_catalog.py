"""The layouts of vendors' files, data in the folder `layouts`, and which of them a table has."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.market.sources.files.names import plain_name

AUTO, NONE = "auto", "none"
_FOLDER = "reinforcestrategycreator_pipeline.market.sources.files.layouts"


@dataclass(frozen=True)
class Shape:
    """Form of the tables of a layout, and the parameters that read them.

    Attributes
    ----------
    columns : tuple of str
        Names that the table must have; case, spaces and punctuation do not count.
    optional : tuple of str
        Names that it may have; ``"*"`` for any.
    header : tuple of str
        Names of the columns of a file without a header.
    cells : mapping of str to str
        Regular expression that the values of a column match.
    file : str
        Regular expression that the file's name, without its endings, matches.
    parameters : mapping
        Parameters of the source.
    """

    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    cells: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, values: Mapping[str, Sequence[str]], stem: str) -> bool:
        """Return whether a table has this shape.

        Parameters
        ----------
        values : mapping of str to sequence of str
            First values of each column, by name.
        stem : str
            Name of the file, without its endings.
        """
        plain = {plain_name(name): name for name in values}
        needed = {plain_name(name) for name in self.columns}
        known = needed | {plain_name(name) for name in self.optional}
        if not needed <= plain.keys() or ("*" not in self.optional and not plain.keys() <= known):
            return False
        return self._cells_fit({k: values[v] for k, v in plain.items()}, stem)

    def fits_without_header(self, values: Sequence[Sequence[str]], stem: str) -> bool:
        """Return whether columns without names have this shape."""
        if not self.header or len(values) != len(self.header):
            return False
        named = {plain_name(n): v for n, v in zip(self.header, values, strict=True)}
        return self._cells_fit(named, stem)

    def _cells_fit(self, values: Mapping[str, Sequence[str]], stem: str) -> bool:
        if self.file and re.fullmatch(self.file, stem, re.IGNORECASE) is None:
            return False
        for name, pattern in self.cells.items():
            found = values.get(plain_name(name), ())
            if not (found and all(re.fullmatch(pattern, value) for value in found)):
                return False
        return True


@dataclass(frozen=True)
class Layout:
    """A vendor's files.

    Attributes
    ----------
    name, title : str
        Name in configurations, and in words.
    source : str
        Address of the page of the vendor on which the layout rests.
    says : str
        What is taken for what because of that page.
    shapes : tuple of Shape
        Forms in which the files come.
    """

    name: str
    title: str
    source: str
    says: str
    shapes: tuple[Shape, ...]


@functools.cache
def layouts() -> Mapping[str, Layout]:
    """Return all layouts, by name."""
    files = sorted(resources.files(_FOLDER).iterdir(), key=lambda file: file.name)
    found = {}
    for file in files:
        if file.name.endswith(".toml"):
            name = file.name.removesuffix(".toml")
            found[name] = _layout(name, tomllib.loads(file.read_text(encoding="utf-8")))
    return found


def layouts_named(name: str) -> tuple[Layout, ...]:
    """Return the layouts that may be tried: all for auto, none for none, or the one of that name.

    Raises
    ------
    ConfigError
        If there is no layout of that name.
    """
    if name == AUTO:
        return tuple(layouts().values())
    if name == NONE:
        return ()
    if name not in layouts():
        raise ConfigError(
            f"The layout parameter must be {AUTO}, {NONE} or the name of a layout. Got {name!r}."
            f"{nearest(name, layouts())}"
        )
    return (layouts()[name],)


def best(
    tried: Sequence[Layout], values: Mapping[str, Sequence[str]], stem: str
) -> tuple[Layout, Shape] | None:
    """Return the layout whose shape fits with most names; None if there is none."""
    found = [(lay, shape) for lay in tried for shape in lay.shapes if shape.fits(values, stem)]
    named = [(lay, shape) for lay, shape in found if shape.columns]
    return max(named, key=lambda pair: _detail(pair[1]), default=None)


def best_without_header(
    tried: Sequence[Layout], values: Sequence[Sequence[str]], stem: str
) -> tuple[Layout, Shape] | None:
    """Return the layout of columns without names; None if there is none."""
    found = [
        (lay, shape)
        for lay in tried
        for shape in lay.shapes
        if shape.fits_without_header(values, stem)
    ]
    return max(found, key=lambda pair: _detail(pair[1]), default=None)


def _detail(shape: Shape) -> tuple[int, int, int, bool]:
    return len(shape.columns), len(shape.cells), len(shape.optional), bool(shape.file)


def _layout(name: str, data: Mapping[str, Any]) -> Layout:
    shapes = []
    for given in data["shape"]:
        texts = {key: tuple(given.get(key, ())) for key in ("columns", "optional", "header")}
        shapes.append(
            Shape(
                **texts,
                cells=given.get("cells", {}),
                file=given.get("file", ""),
                parameters=_tuples(given.get("parameters", {})),
            )
        )
    return Layout(name, data["title"], data["source"], data.get("says", ""), tuple(shapes))


def _tuples(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()}
