"""Logging of a run of the past with trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.api.runs import modules_of
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.pipeline.config.loading import parse_override
from reinforcestrategycreator_pipeline.pipeline.config.user_code import modules_named
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest
from reinforcestrategycreator_pipeline.tracking.base import track as log
from reinforcestrategycreator_pipeline.tracking.catalog import TRACKERS
from reinforcestrategycreator_pipeline.trust import typed


def track(
    run_dir: Path,
    to: str | None = None,
    parameters: Sequence[str] = (),
    trust: Sequence[str | Path] = (),
) -> Iterator[str]:
    """Log a finished run, and yield the line of each tracker.

    Parameters
    ----------
    run_dir : Path
        Folder of the run.
    to : str, optional
        Name of a tracker, or ``"module:Class"``; by default all of the run's configuration. If that
        has it, its parameters there are kept.
    parameters : sequence of str
        Parameters of the tracker, ``"name=value"`` with the value in YAML.
    trust : sequence of path
        Folders whose modules may be loaded, beside those from which the run was started.

    Raises
    ------
    RscError
        If a tracker or a parameter is unknown, or the first tracker that fails.
    """
    manifest = load_manifest(run_dir)
    configured = manifest.config.get("tracking", [])
    if to is None and parameters:
        raise ConfigError("--set needs --to: it is a parameter of that tracker.")
    if to is None and not configured:
        names = ", ".join(TRACKERS)
        raise ConfigError(
            f"the configuration of {run_dir} has no trackers. Name one by --to: {names}."
        )
    chosen = configured if to is None else [_described(to, configured, parameters)]
    named = [str(spec["name"]) if isinstance(spec, Mapping) else str(spec) for spec in chosen]
    # What the run imported may register a tracker; the shipped ones need no code of anybody.
    imports = () if set(named) <= set(TRACKERS) else manifest.config.get("imports", ())
    given = modules_named(to)
    with modules_of(run_dir, manifest, trust, imports), typed(given):
        for tracker in [TRACKERS.build(spec) for spec in chosen]:
            yield log(tracker, run_dir)


def _described(to: str, configured: Sequence[Any], parameters: Sequence[str]) -> dict[str, Any]:
    """Return name and parameters of a tracker: the configuration's, then those that are given."""
    specs = [spec if isinstance(spec, Mapping) else {"name": spec} for spec in configured]
    found: dict[str, Any] = dict(next((s for s in specs if s["name"] == to), {"name": to}))
    for parameter in parameters:
        path, value, label = parse_override(parameter)
        key = ".".join(path)
        if len(path) > 1 or key == "name":
            raise ConfigError(f"{label}: must be a parameter of the tracker {to!r}.")
        found[key] = value
    return found
