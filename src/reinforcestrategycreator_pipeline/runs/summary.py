"""A run in a few figures, read from its manifest alone where that has them: quick for many runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.runs.artifacts import ARTIFACTS
from reinforcestrategycreator_pipeline.runs.folder import list_runs
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, read_manifest

PORTFOLIO = "PORTFOLIO"  # as in `backtesting.results`, which is of a higher rank
UNREADABLE = "unreadable"
"""Status of a run whose manifest or metrics cannot be read."""


@dataclass(frozen=True)
class RunSummary:
    """A run in the figures that a list shows.

    Attributes
    ----------
    folder : Path
        Folder of the run.
    status : str
        One of `manifest.STATUSES`, or `UNREADABLE`.
    created : str
        Time of creation, UTC, ISO 8601; empty if it cannot be read.
    component : str
        Name of the strategy in the configuration.
    strategy : str
        Label of the judged strategy; before it is judged, its name in the configuration.
    promoted : bool or None
        The decision of a complete run.
    judged_again : bool
        Whether the decision was made on bars that had been judged before.
    figures : mapping of str to float or None
        Metrics of a complete run's judged strategy, on the portfolio; None is undefined.
    error : str
        Reason why the run cannot be read.
    """

    folder: Path
    status: str
    created: str = ""
    component: str = ""
    strategy: str = ""
    promoted: bool | None = None
    judged_again: bool = False
    figures: Mapping[str, float | None] = field(default_factory=dict)
    error: str = ""

    @property
    def id(self) -> str:
        """The run's name."""
        return self.folder.name


def read_summary(run_dir: Path) -> RunSummary:
    """Return the summary of a run; of one that cannot be read, with the reason.

    The figures of a complete run are shown only if ``metrics.json`` is what the run wrote.
    """
    try:
        return _summary(run_dir, read_manifest(run_dir))
    except RunError as error:
        reason = str(error)
    except OSError as error:  # no permission, or somebody is removing the run
        reason = f"{error.filename or run_dir}: cannot be read: {error.strerror or error}."
    return RunSummary(run_dir, UNREADABLE, error=reason)


def read_summaries(runs_dir: Path) -> list[RunSummary]:
    """Return the summaries of all runs of a store, oldest first."""
    return sorted(map(read_summary, list_runs(runs_dir)), key=lambda run: run.created)


def read_metrics(run_dir: Path, manifest: Manifest) -> dict[str, Any]:
    """Return the content of a run's ``metrics.json``.

    Raises
    ------
    RunError
        If the file is not what the run wrote.
    """
    path = _metrics_path(run_dir, manifest)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}.") from error
    return dict(found)


def _metrics_path(run_dir: Path, manifest: Manifest) -> Path:
    path = run_dir / ARTIFACTS["metrics"]
    for place in (path.parent, path):
        if place.is_symlink():
            raise RunError(f"{place}: is a symbolic link, which a run's folder may not have.")
    return manifest.verified(run_dir, "metrics")


def _summary(run_dir: Path, manifest: Manifest) -> RunSummary:
    chosen = manifest.config.get("strategy", "")
    name = str(chosen.get("name", "") if isinstance(chosen, dict) else chosen)
    if manifest.status != "complete":
        return RunSummary(run_dir, manifest.status, manifest.created, name, name)
    evaluation = manifest.stages.get("evaluation")
    found = evaluation.summary if evaluation else {}
    if "figures" in found:
        _metrics_path(run_dir, manifest)
        strategy, figures = str(found["strategy"]), dict(found["figures"])
        promoted, again = bool(found["promoted"]), "first_decision" in found
    else:  # of a version that did not keep them in the manifest
        strategy, figures, promoted, again = _of_metrics(run_dir, manifest)
    return RunSummary(
        run_dir, "complete", manifest.created, name, strategy, promoted, again, figures
    )


def _of_metrics(
    run_dir: Path, manifest: Manifest
) -> tuple[str, dict[str, float | None], bool, bool]:
    stored = read_metrics(run_dir, manifest)
    try:
        strategy, decision = str(stored["strategy"]), stored["decision"]
        own = stored["metrics"][PORTFOLIO][strategy]
        figures = {key: value["value"] for key, value in own.items()}
        return strategy, figures, bool(decision["promoted"]), decision["first"] is not None
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{run_dir / ARTIFACTS['metrics']}: is of another version ({error!r})."
        ) from error
