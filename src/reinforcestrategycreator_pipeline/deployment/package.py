"""Writes a package: everything that is needed to use a trained policy, and the proof of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.checks import require
from reinforcestrategycreator_pipeline.deployment.manifest import (
    CONFIG,
    FILES,
    FORMAT,
    MANIFEST,
    MODEL_CARD,
    SCHEMA,
    WEIGHTS,
    file_entry,
    manifest_seal,
    verify_package,
)
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.files import atomic_folder, write_json, write_text
from reinforcestrategycreator_pipeline.policies.base import Policy, load_policy

__all__ = ["data_schema", "load_package", "verify_package", "write_package"]


def data_schema(columns: Sequence[str], bar_seconds: float) -> dict[str, Any]:
    """Return what the policy's features demand of the bars, for ``schema.json``.

    Parameters
    ----------
    columns : sequence of str
        The bars' columns: open, high, low, close, volume, then side data.
    bar_seconds : float
        Median spacing of the bars that the policy was trained on.
    """
    return {
        "columns": {str(name): "float64" for name in columns},
        "bar_seconds": float(bar_seconds),
        "index": "timestamp",
        "timestamp": "UTC, strictly increasing; the close time of the bar, usable from then on",
        "prices": "adjusted for splits and dividends, consistently across open, high, low, close",
        "execution": "decided at a bar's close, filled at the next bar's open",
    }


def write_package(
    folder: str | Path,
    *,
    policy: Policy,
    data_schema: Mapping[str, Any],
    config_yaml: str,
    costs: Mapping[str, Any],
    provenance: Mapping[str, Any],
    promotion: Mapping[str, Any],
    model_card: str,
) -> dict[str, Any]:
    """Write a package, whole or not at all; the same arguments give the same bytes.

    Parameters
    ----------
    folder : path
        Where; a package that is there is replaced, anything else is refused.
    policy : Policy
        What decides.
    data_schema : mapping
        What the bars must be; see the function `data_schema`.
    config_yaml : str
        The resolved configuration of the run.
    costs : mapping
        What trading was assumed to cost.
    provenance : mapping
        Run id, seed, data fingerprints, versions, spans.
    promotion : mapping
        ``{"promoted": bool, "checks": [...]}``.
    model_card : str
        Markdown, for people.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    ConfigError
        If the parts do not fit together or are not fit for JSON.
    RunError
        If the folder cannot be written, or holds something else.
    """
    folder = Path(folder)
    promoted = promotion.get("promoted")
    require(isinstance(promoted, bool), "promotion", "promoted", "true or false", promoted)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "costs": dict(costs),
        "promotion": dict(promotion),
        "provenance": dict(provenance),
    }
    schema = _plain("data_schema", dict(data_schema))
    manifest = {name: _plain(name, part) for name, part in manifest.items()}
    _require_replaceable(folder)
    with atomic_folder(folder) as temporary:
        policy.save(temporary / WEIGHTS)
        write_json(temporary / SCHEMA, schema)
        write_text(temporary / CONFIG, config_yaml)
        write_text(temporary / MODEL_CARD, model_card)
        manifest["files"] = {name: file_entry(temporary / name) for name in FILES}
        manifest["seal"] = manifest_seal(manifest)
        write_json(temporary / MANIFEST, manifest)
        verify_package(temporary)
    return manifest


def load_package(folder: str | Path) -> Policy:
    """Return the policy of a package, every file of which is checked against its manifest.

    Raises
    ------
    CheckpointError
        If the package is missing, damaged, or of another kind.
    """
    verify_package(folder)
    return load_policy(Path(folder) / WEIGHTS)


def _plain(name: str, part: Any) -> Any:
    """Return `part` as reading its JSON will give it."""
    try:
        return json.loads(json.dumps(part, allow_nan=False, ensure_ascii=False).encode("utf-8"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the {name} of a package must be fit for JSON: {error}.") from error


def _require_replaceable(folder: Path) -> None:
    """Refuse to replace what is not a package: the writer removes what was there."""
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise RunError(f"{folder}: is not a folder; a package is not written over it")
    if any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise RunError(f"{folder}: is not empty and not a package; it is not replaced")
