"""Writes a package: everything that is needed to use a trained policy, and the proof of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.checks import require
from reinforcestrategycreator_pipeline.deployment.manifest import (
    CONFIG,
    FEATURES,
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
from reinforcestrategycreator_pipeline.deployment.policy import POLICY_FORMAT, Policy
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.files import atomic_folder, write_json, write_text
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.storage.tensor_files import write_tensors

__all__ = ["data_schema", "verify_package", "write_package"]


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
    network: PolicyNetwork,
    positions: Sequence[float],
    feature_specs: Sequence[Mapping[str, Any]],
    feature_names: Sequence[str],
    lookback: int,
    scaler: Mapping[str, Any],
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
    network : PolicyNetwork
        Its inputs are the features, then the previous target as a one-hot vector.
    positions : sequence of float
        The grid of target exposures.
    feature_specs : sequence of mapping
        ``{"name": ..., **parameters}``.
    feature_names : sequence of str
        The features' columns, in the order of the network's inputs.
    lookback : int
        Bars before the first one that has all its features.
    scaler : mapping
        `FittedScaler.to_dict`.
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
    policy = Policy(  # its checks are the package's
        network=network,
        positions=tuple(positions),
        feature_names=tuple(feature_names),
        lookback=lookback,
        scaler=FittedScaler.from_dict(scaler),
        feature_specs=tuple(feature_specs),
    )
    features = {
        "names": list(policy.feature_names),
        "lookback": policy.lookback,
        "specs": [dict(spec) for spec in policy.feature_specs],
        "scaler": policy.scaler.to_dict(),
    }
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "positions": list(policy.positions),
        "lookback": policy.lookback,
        "feature_names": list(policy.feature_names),
        "costs": dict(costs),
        "promotion": dict(promotion),
        "provenance": dict(provenance),
    }
    features = _plain("feature_specs", features)
    schema = _plain("data_schema", dict(data_schema))
    manifest = {name: _plain(name, part) for name, part in manifest.items()}
    _require_replaceable(folder)
    with atomic_folder(folder) as temporary:
        header = {
            **policy.network.to_header(),
            "format": POLICY_FORMAT,
            "positions": list(policy.positions),
        }
        write_tensors(temporary / WEIGHTS, policy.network.to_tensors(), header)
        write_json(temporary / FEATURES, features)
        write_json(temporary / SCHEMA, schema)
        write_text(temporary / CONFIG, config_yaml)
        write_text(temporary / MODEL_CARD, model_card)
        manifest["files"] = {name: file_entry(temporary / name) for name in FILES}
        manifest["seal"] = manifest_seal(manifest)
        write_json(temporary / MANIFEST, manifest)
        verify_package(temporary)
    return manifest


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
