"""Render a run's pages from its folder; nothing is kept in memory from the run itself."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.store import read_results
from reinforcestrategycreator_pipeline.errors import RscError, RunError
from reinforcestrategycreator_pipeline.files import write_text
from reinforcestrategycreator_pipeline.market.bars import read_bars
from reinforcestrategycreator_pipeline.market.windows import Windows
from reinforcestrategycreator_pipeline.reporting.behavior.found import Behavior
from reinforcestrategycreator_pipeline.reporting.data import ReportData, Screening, WindowFacts
from reinforcestrategycreator_pipeline.reporting.search.data import SearchData, read_search
from reinforcestrategycreator_pipeline.runs.artifacts import (
    ARTIFACTS,
    CONFIG,
    REPORT_HTML,
    REPORT_MD,
)
from reinforcestrategycreator_pipeline.runs.folder import resume_command
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, load_manifest
from reinforcestrategycreator_pipeline.runs.studies import find_trial
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement
from reinforcestrategycreator_pipeline.verdict.looks import count_looks

_SHOWN = (
    *("bars", "feature_spec", "windows", "history", "training_summary", "fits"),
    *("results", "all_trades", "metrics"),
)


def read_run(run_dir: Path) -> ReportData:
    """Read the data that the pages of a run show.

    Parameters
    ----------
    run_dir : Path
        Folder of a run that has been evaluated.

    Raises
    ------
    RscError
        If a file is missing, edited, damaged or of another version.
    """
    manifest = load_manifest(run_dir)
    path = {name: manifest.verified(run_dir, name) for name in _SHOWN}
    judgement = Judgement.read(path["metrics"])
    results = read_results(path["results"], path["all_trades"])
    bars = read_bars(path["bars"])
    spec, training = _json(path["feature_spec"]), _json(path["training_summary"])
    stored = _json(path["windows"])
    windows = Windows.from_json(stored)
    trading, stages = manifest.config["trading"], manifest.stages
    provenance = dict(bars.provenance)
    provenance.setdefault("source", stages["data_ingestion"].summary["source"])
    return ReportData(
        run_id=manifest.run_id,
        seed=manifest.seed,
        created=datetime.fromisoformat(manifest.created).isoformat(timespec="seconds"),
        version=manifest.package_version,
        config_yaml=_config(run_dir, manifest),
        **_spans(windows, stored["rows"]),
        windows=_windows(windows, path["fits"]),
        costs=trading["costs"],
        positions=trading["positions"],
        rebalance=trading.get("rebalance", "never"),
        features=spec["names"],
        lookback=spec["lookback"],
        results=results,
        judgement=judgement,
        prices={
            asset: bars.bars[asset].loc[strategies[judgement.strategy].timestamps]
            for asset, strategies in results.items()
            if asset != PORTFOLIO
        },
        history=pd.read_csv(path["history"]),
        notes=bars.notes,
        provenance=provenance,
        loss_floor=training.get("loss_floor"),
        stages=training.get("stages", {}),
        screening=_screening(training),
        best_step=None if training.get("fallback") else training.get("best_step"),
        looks=count_looks(run_dir),
        trial=manifest.trial,
        search=_search(run_dir, manifest.trial),
        behavior=_behavior(run_dir, manifest),
        health=stages["data_ingestion"].summary.get("health", {}),
        stage_seconds={n: s.seconds for n, s in stages.items() if s.seconds is not None},
    )


def _spans(windows: Windows, rows: list[dict[str, int]]) -> dict[str, Any]:
    """Return the spans of the deployed policy and of all test bars, and their numbers of bars."""
    spans, counts = dict(windows.all[-1].items()), dict(rows[-1])
    spans["test"] = windows.test
    counts["test"] = sum(row.get("test", 0) for row in rows)
    return {
        "spans": {name: (span.start, span.end) for name, span in spans.items()},
        "bar_counts": counts,
    }


def _windows(windows: Windows, fits: Path) -> list[WindowFacts]:
    """Return what is known of each window that judges the strategy."""
    found = []
    for number, (window, test) in enumerate(zip(windows.judged, windows.tests, strict=True), 1):
        summary = _json(fits / str(number) / "summary.json")
        found.append(
            WindowFacts(
                (window.train.start, window.validation.end),
                (test.start, test.end),
                str(summary.get("fallback", "")),
                _screening(summary),
                summary.get("agents"),
            )
        )
    return found


def _search(run_dir: Path, trial: str) -> SearchData | None:
    """Return the search of a run's trial; None if there is none, or its folder is not here."""
    if not trial:
        return None
    try:
        return read_search(find_trial(run_dir.parent, trial)[0])
    except RscError:  # the report of the run stands without it, and says that it is missing
        return None


def _behavior(run_dir: Path, manifest: Manifest) -> Behavior | None:
    """Return what the evaluation measured of the policy's behavior; None in folders of before."""
    if not any("behavior" in stage.outputs for stage in manifest.stages.values()):
        return None
    return Behavior.read(manifest.verified(run_dir, "behavior"))


def _screening(training: dict[str, Any]) -> Screening | None:
    """Return what the training's summary says of a screening of the features, if it does."""
    if not training.get("agreement"):
        return None
    return Screening(training["agreement"], training["agreement_needed"], training["relevance"])


def render_run(run_dir: Path) -> None:
    """Render the pages of a run, replacing existing ones.

    Raises
    ------
    RscError
        If `read_run` raises, or if a chart or a page cannot be rendered.
    """
    from reinforcestrategycreator_pipeline.reporting.contents import contents
    from reinforcestrategycreator_pipeline.reporting.html import render_html
    from reinforcestrategycreator_pipeline.reporting.markdown import render_markdown

    page = contents(read_run(run_dir))
    write_text(run_dir / REPORT_HTML, render_html(page))
    write_text(run_dir / REPORT_MD, render_markdown(page))


def keep_current(run_dir: Path) -> None:
    """Render the pages again if they are missing or show an outdated configuration.

    A run that is resumed with another broker is not evaluated again, yet its pages show the whole
    configuration. A run without results has no pages.
    """
    from reinforcestrategycreator_pipeline.reporting.markdown import configuration

    config, page = run_dir / CONFIG, run_dir / REPORT_MD
    if not (run_dir / ARTIFACTS["results"]).is_file():
        return
    if not (page.is_file() and (run_dir / REPORT_HTML).is_file()) or (
        configuration(config.read_text(encoding="utf-8")) not in page.read_text(encoding="utf-8")
    ):
        render_run(run_dir)


def _config(run_dir: Path, manifest: Manifest) -> str:
    path = run_dir / CONFIG
    if not path.is_file() or files.sha256_file(path) not in manifest.config_files[:1]:
        raise RunError(
            f"{path}: is missing or edited: it is not the configuration of the run. Remove it, and "
            f"have it written again by: {resume_command(run_dir)}"
        )
    return path.read_text(encoding="utf-8")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}.") from error
