"""A run's ``config.yaml`` compared with the configuration in its manifest, which is the truth."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    KeyPath,
    RscError,
    shorten,
    show_path,
)
from reinforcestrategycreator_pipeline.pipeline.config.yaml_file import read_yaml
from reinforcestrategycreator_pipeline.runs.artifacts import CONFIG
from reinforcestrategycreator_pipeline.runs.manifest import Manifest

_MISSING = object()


def require_kept(run_dir: Path, manifest: Manifest) -> None:
    """Require that ``config.yaml`` says what the manifest says; it may be missing.

    Raises
    ------
    ConfigError
        If the file is damaged, or differs; the message names the key.
    """
    path = run_dir / CONFIG
    where = shlex.quote(str(path))
    way = f"Change a key with --set; to have the run's own file written again, remove {where}"
    if not path.exists() and not path.is_symlink():
        return
    try:
        if files.sha256_file(path) in manifest.config_files:
            return
        found = read_yaml(path).value
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}. {way}.") from error
    except RscError as error:
        raise ConfigError(f"{shorten(str(error))} {way}.") from error
    different = first_difference(found, manifest.config)
    if different is None:
        return
    key, here, there = different
    where = f"{show_path(key)} " if key else ""
    raise ConfigError(
        f"{path}: {where}is {_shown(here)} here, but {_shown(there)} in the run's manifest. {way}."
    )


def first_difference(a: Any, b: Any, path: KeyPath = ()) -> tuple[KeyPath, Any, Any] | None:
    """Return the first key path at which two plain trees differ, and the two values."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*a, *b]):
            found = first_difference(a.get(key, _MISSING), b.get(key, _MISSING), (*path, key))
            if found:
                return found
        return None
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (one, other) in enumerate(zip(a, b, strict=True)):
            if found := first_difference(one, other, (*path, i)):
                return found
        return None
    same = a == b and isinstance(a, bool) == isinstance(b, bool)
    return None if same else (path, a, b)


def _shown(value: Any) -> str:
    return "missing" if value is _MISSING else shorten(repr(value), 80)
