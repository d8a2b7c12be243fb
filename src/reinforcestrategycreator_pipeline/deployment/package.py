"""Packages: everything needed to use a trained policy, with hashes of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.checks import require
from reinforcestrategycreator_pipeline.deployment.live_bars import BarRules
from reinforcestrategycreator_pipeline.deployment.package_files import (
    CONFIG,
    FILES,
    FORMAT,
    MANIFEST,
    MODEL_CARD,
    SCHEMA,
    WEIGHTS,
    file_entry,
    load_package,
    read_json,
    verify_package,
)
from reinforcestrategycreator_pipeline.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    RunError,
    nearest,
)
from reinforcestrategycreator_pipeline.files import atomic_folder, seal, write_json, write_text
from reinforcestrategycreator_pipeline.market.bars import median_step
from reinforcestrategycreator_pipeline.policies.base import Policy

__all__ = [
    "DataSchema",
    "PackageRecord",
    "load_package",
    "read_schema",
    "verify_package",
    "write_package",
]

# Spacing varies with half sessions and holidays; confusing hours with days exceeds this factor.
_SPACING = 5.0


@dataclass(frozen=True)
class DataSchema:
    """The bars that a policy's features require.

    Attributes
    ----------
    columns : tuple of str
        Open, high, low, close, volume, then the side data that every asset had.
    bar_seconds : (float, float)
        Shortest and longest median bar spacing among the training assets, in seconds.
    rules : mapping of str to BarRules
        What live bars must be like, by symbol of the training assets.
    """

    columns: tuple[str, ...]
    bar_seconds: tuple[float, float]
    rules: Mapping[str, BarRules] = field(default_factory=dict)

    @classmethod
    def of(cls, bars: Mapping[str, pd.DataFrame], zone: str | None = None) -> DataSchema:
        """Return the schema of the bars of some assets, by symbol; `zone` as in `BarRules.of`."""
        frames = list(bars.values())
        columns = [str(c) for c in frames[0].columns if all(c in frame for frame in frames)]
        spacings = [median_step([pd.DatetimeIndex(frame.index)]) / 1e9 for frame in frames]
        rules = {s: BarRules.of(frame, s, tuple(columns), zone) for s, frame in bars.items()}
        return cls(tuple(columns), (min(spacings), max(spacings)), rules)

    def rules_of(self, symbol: str) -> BarRules:
        """Return what the live bars of a symbol must be like.

        Raises
        ------
        DataError
            If the policy was not trained on the symbol.
        """
        if symbol not in self.rules:
            raise DataError(
                f"the policy was not trained on {symbol!r}.{nearest(symbol, self.rules)} "
                "For another symbol, make the rules from its history: BarRules.of(bars, symbol)."
            )
        return self.rules[symbol]

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON."""
        return {
            "columns": list(self.columns),
            "bar_seconds": list(self.bar_seconds),
            "rules": {symbol: rules.to_json() for symbol, rules in self.rules.items()},
        }

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> DataSchema:
        """Restore a schema from the result of `to_json`.

        Raises
        ------
        AttributeError, KeyError, TypeError, ValueError
            If the mapping is not such a result.
        """
        shortest, longest = map(float, mapping["bar_seconds"])
        rules = {str(s): BarRules.from_json(str(s), r) for s, r in mapping["rules"].items()}
        return cls(tuple(map(str, mapping["columns"])), (shortest, longest), rules)

    def require(self, frame: pd.DataFrame, symbol: str) -> None:
        """Check bars against the schema.

        Raises
        ------
        DataError
            If a column is missing, or if the bar size differs: hours instead of days.
        """
        missing = [name for name in self.columns if name not in frame.columns]
        if missing:
            raise DataError(f"{symbol}: the policy needs the column {', '.join(missing)}.")
        spacing = median_step([pd.DatetimeIndex(frame.index)]) / 1e9
        shortest, longest = self.bar_seconds
        if not shortest / _SPACING <= spacing <= longest * _SPACING:
            trained = f"{shortest:g}" if shortest == longest else f"{shortest:g} to {longest:g}"
            raise DataError(
                f"{symbol}: the policy was trained on bars of {trained} seconds. "
                f"Got bars that are {spacing:g} seconds apart."
            )


@dataclass(frozen=True)
class PackageRecord:
    """The information about a policy in its package.

    Attributes
    ----------
    schema : DataSchema
        Requirements on the bars.
    config_yaml : str
        Resolved configuration of the run, as YAML.
    provenance : mapping
        Run ID, seed, data fingerprints, versions, spans.
    promotion : mapping
        Decision as ``{"promoted": bool, "checks": [...]}``.
    model_card : str
        Description for people, in Markdown.
    """

    schema: DataSchema
    config_yaml: str
    provenance: Mapping[str, Any]
    promotion: Mapping[str, Any]
    model_card: str

    def __post_init__(self) -> None:
        promoted = self.promotion.get("promoted")
        require(isinstance(promoted, bool), "promotion", "promoted", "true or false", promoted)


def write_package(folder: str | Path, policy: Policy, record: PackageRecord) -> dict[str, Any]:
    """Write a package, completely or not at all; the same arguments give the same bytes.

    Parameters
    ----------
    folder : path
        Folder of the package; replaced if it holds a package.
    policy : Policy
        Trained policy to be packaged.
    record : PackageRecord
        Information about the policy.

    Returns
    -------
    dict
        Content of the package's manifest.

    Raises
    ------
    ConfigError
        If a part of the record cannot be written as JSON.
    RunError
        If the folder cannot be written, or if it holds something other than a package.
    """
    folder = Path(folder)
    schema = _plain("schema", record.schema.to_json())
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "promotion": _plain("promotion", dict(record.promotion)),
        "provenance": _plain("provenance", dict(record.provenance)),
    }
    _require_replaceable(folder)
    with atomic_folder(folder) as temporary:
        policy.save(temporary / WEIGHTS)
        write_json(temporary / SCHEMA, schema)
        write_text(temporary / CONFIG, record.config_yaml)
        write_text(temporary / MODEL_CARD, record.model_card)
        manifest["files"] = {name: file_entry(temporary / name) for name in FILES}
        manifest["seal"] = seal(manifest)
        write_json(temporary / MANIFEST, manifest)
        verify_package(temporary)
    return manifest


def read_schema(folder: str | Path) -> DataSchema:
    """Return the requirements of a package on its bars.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged.
    """
    path = Path(folder) / SCHEMA
    found = read_json(path)
    try:
        return DataSchema.from_json(found)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: is not a schema of bars: {error!r}") from error


def _plain(name: str, part: Any) -> Any:
    """Return `part` as it will be read back from JSON."""
    try:
        return json.loads(json.dumps(part, allow_nan=False, ensure_ascii=False).encode("utf-8"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the {name} of a package must be valid as JSON: {error}.") from error


def _require_replaceable(folder: Path) -> None:
    """Raise unless the folder is absent, empty or a package: writing removes its content."""
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise RunError(f"{folder}: is not a folder; a package cannot replace it")
    if any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise RunError(f"{folder}: is neither empty nor a package, so it is not replaced")
