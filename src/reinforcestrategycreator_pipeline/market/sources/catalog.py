"""All data sources: register, describe, build and load them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, blamed
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources import (  # noqa: F401  registers them
    frames,
    sample,
    synthetic,
)
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES, DataSource
from reinforcestrategycreator_pipeline.market.sources.files import (  # noqa: F401  registers them
    csv_source,
    feather_source,
    json_source,
    parquet_source,
)
from reinforcestrategycreator_pipeline.market.sources.files.reading import (
    ZIP,
    fingerprint_files,
    list_files,
    names_in,
    read_content,
)
from reinforcestrategycreator_pipeline.market.vendors import source as store  # noqa: F401
from reinforcestrategycreator_pipeline.registry import Description


def build_source(name: str, parameters: Mapping[str, Any]) -> DataSource:
    """Return the source `name`, registered or given as ``"module:Class"``, with its parameters.

    Raises
    ------
    ConfigError
        If there is no such source or parameter, or if a value is invalid.
    """
    found: object = SOURCES.get(name)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and hasattr(found, "load")):
        raise ConfigError(f"the data source {name!r} must be a dataclass with a method load.")
    source = from_mapping(found, parameters, f"the data source {name!r}")
    return cast(DataSource, source)


def list_sources() -> tuple[Description, ...]:
    """Describe every registered source, by name."""
    return SOURCES.describe()


def source_for(path: Path) -> str:
    """Return the name of the source for a file or a folder of files, chosen by most suffixes.

    Raises
    ------
    DataError
        If no registered source lists the suffix in its `suffixes`.
    """
    formats = {name: getattr(SOURCES.get(name), "suffixes", ()) for name in SOURCES}
    known = tuple(suffix for suffixes in formats.values() for suffix in suffixes)
    candidates = [name for file in list_files(path, known) for name in names_in(file)]
    files = {
        name: sum(candidate.endswith(tuple(suffixes)) for candidate in candidates)
        for name, suffixes in formats.items()
    }
    most = max(files, key=files.__getitem__)
    if files[most]:
        return most
    if path.name.lower().endswith(ZIP) and path.is_file():
        return "csv"  # which says what is wrong with the archive
    if not path.exists():
        read_content(path)  # raises, and suggests the nearest name
    raise DataError(f"{path}: the file name does not end in {' or '.join(known)}.")


def load_source(source: DataSource, name: str, rng: np.random.Generator) -> MarketData:
    """Return the bars of a source.

    Raises
    ------
    DataError
        If the source rejects the data, or if user code raises; the message names that code.
    """
    if type(source).__module__.partition(".")[0] == __name__.partition(".")[0]:
        return source.load(rng)
    with blamed(f"the data source {name!r}", DataError):
        data: object = source.load(rng)
    if not isinstance(data, MarketData):
        raise DataError(f"the data source {name!r} must load MarketData. Got {type(data)}.")
    return data


def fingerprint_source(source: DataSource, name: str) -> dict[str, str]:
    """Return the fingerprints of a source's inputs.

    For a source without a method ``fingerprint``, hash the files that its parameters name, directly
    or by folder.
    """
    said = getattr(source, "fingerprint", None)
    if said is not None:
        with blamed(f"the data source {name!r}", DataError):
            return dict(said())
    hashes: dict[str, str] = {}
    for field in dataclasses.fields(source):  # type: ignore[arg-type]
        value = getattr(source, field.name)
        if isinstance(value, (str, Path)) and value != "":
            hashes |= {f"{field.name}: {k}": v for k, v in fingerprint_files(Path(value)).items()}
    return hashes
