"""One run on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.api.comparisons import value_text
from reinforcestrategycreator_pipeline.api.console import output
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.cli.results import (
    has_results,
    print_fields,
    show_results,
)
from reinforcestrategycreator_pipeline.errors import shorten, show_path
from reinforcestrategycreator_pipeline.pipeline.config.differences import changed_keys
from reinforcestrategycreator_pipeline.runs.artifacts import ARTIFACTS, REPORT_HTML, REPORT_MD
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, load_manifest
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement
from reinforcestrategycreator_pipeline.verdict.looks import count_looks

_LINE = 200  # characters of a value of the configuration
_WINDOWS = 12  # more have no lines of their own


def print_run(run_dir: Path) -> None:
    """Print what `describe` says of a run.

    Raises
    ------
    RunError
        If the run cannot be read.
    """
    manifest, console = load_manifest(run_dir), output()
    show_results(console, run_dir, manifest)
    fields = [("created", _when(manifest.created))]
    fields += [("resumed", _when(time)) for time in manifest.resumed[-1:]]
    fields += [
        ("error", f"{name}: {record.error}")
        for name, record in manifest.stages.items()
        if record.error
    ]
    fields += [("data", text) for text in _data(manifest)]
    changed = changed_keys(manifest.config)
    fields += [
        ("set", f"{show_path(path)}: {shorten(value_text(value), _LINE)}")
        for path, value in changed
    ]
    if not changed:
        fields.append(("set", "nothing: the configuration is the default one"))
    fields += [("package", str(path)) for path in _package(run_dir, manifest)]
    print_fields(console, fields)


def describe(run_dir: Path) -> dict[str, Any]:
    """Return everything about a run that one screen shows, ready for JSON.

    Raises
    ------
    RunError
        If the run cannot be read.
    """
    manifest = load_manifest(run_dir)
    pages = [run_dir / page for page in (REPORT_HTML, REPORT_MD)]
    found: dict[str, Any] = {
        "run": manifest.run_id,
        "folder": str(run_dir),
        "status": manifest.status,
        "created": manifest.created,
        "updated": manifest.updated,
        "resumed": manifest.resumed,
        "seed": manifest.seed,
        "version": manifest.package_version,
        "stages": {
            name: {"status": s.status, "seconds": s.seconds, "error": s.error}
            for name, s in manifest.stages.items()
        },
        "changed": {show_path(path): value for path, value in changed_keys(manifest.config)},
        "data": {
            "source": _summary(manifest, "data_ingestion").get("source"),
            "bars": _summary(manifest, "data_ingestion").get("bars", {}),
            "windows": _windows(manifest)["windows"],
            "deployed": _windows(manifest)["deployed"],
        },
        "strategy": None,
        "figures": {},
        "decision": None,
        "notes": [],
        "looks": None,
        "reports": [str(page) for page in pages if page.is_file()],
        "package": next(map(str, _package(run_dir, manifest)), None),
    }
    if has_results(manifest):
        judgement = Judgement.read(manifest.verified(run_dir, "metrics"))
        looks = count_looks(run_dir)
        found |= {
            "strategy": judgement.strategy,
            "figures": {
                name: {key: value.value for key, value in own.items()}
                for name, own in judgement.metrics[PORTFOLIO].items()
            },
            "decision": _decided(judgement),
            "notes": list(judgement.notes),
            "looks": None if looks is None else str(looks),
        }
    return found


def _summary(manifest: Manifest, stage: str) -> Mapping[str, Any]:
    record = manifest.stages.get(stage)
    return record.summary if record else {}


def _when(time: str) -> str:
    try:
        return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return time


def _data(manifest: Manifest) -> list[str]:
    """Return a line on the bars, and one for each span: of walking forward, its test spans."""
    data, found = _summary(manifest, "data_ingestion"), _windows(manifest)
    lines = []
    if bars := data.get("bars"):
        shown = [f"{symbol} {count:,}" for symbol, count in list(bars.items())[:12]]
        more = f" and {len(bars) - 12:,} symbols more" if len(bars) > 12 else ""
        lines.append(f"{data.get('source')}, bars: {', '.join(shown)}{more}")
    windows, rows = found["windows"], found["rows"]
    if found["deployed"] is None:
        spans = [
            (name, *ends, rows[0][name]) for window in windows for name, ends in window.items()
        ]
        return lines + [f"{name}: {_dates(*ends)}, {count:,} bars" for name, *ends, count in spans]
    tested = [(*window["test"], own["test"]) for window, own in zip(windows, rows, strict=False)]
    count = sum(bars for *_, bars in tested)
    whole = f"test: {_dates(tested[0][0], tested[-1][1])}, {count:,} bars"
    lines.append(f"{whole}, each judging a policy that was fitted on bars before it")
    if len(tested) <= _WINDOWS:
        lines += [
            f"window {number}: {_dates(start, end)}, {bars:,} bars"
            for number, (start, end, bars) in enumerate(tested, 1)
        ]
    return lines


def _windows(manifest: Manifest) -> Mapping[str, Any]:
    """Return the spans of each window and their bars; none if they are not known yet."""
    none: dict[str, Any] = {"windows": [], "deployed": None, "rows": []}
    return none | dict(_summary(manifest, "feature_engineering"))


def _dates(start: str, end: str) -> str:
    return f"{start[:10]} to {end[:10]}"


def _package(run_dir: Path, manifest: Manifest) -> list[Path]:
    deployment = manifest.stages.get("deployment")
    done = deployment is not None and deployment.status == "complete"
    return [run_dir / ARTIFACTS["package"]] if done else []


def _decided(judgement: Judgement) -> dict[str, Any]:
    decision = judgement.decision
    return {"promoted": decision.promoted, "sentence": decision.sentence}
