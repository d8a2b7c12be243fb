"""Runs side by side: as a table, as JSON, and as a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.api.runs import Run
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import MAIN_METRICS
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.errors import ConfigError, show_path
from reinforcestrategycreator_pipeline.files import sha256_bytes, write_text
from reinforcestrategycreator_pipeline.pipeline.config.differences import MISSING, differences
from reinforcestrategycreator_pipeline.reporting.comparison.comparable import warnings_of
from reinforcestrategycreator_pipeline.reporting.comparison.data import (
    ComparedRun,
    ComparisonData,
    read_comparison,
)
from reinforcestrategycreator_pipeline.reporting.comparison.page import render_comparison
from reinforcestrategycreator_pipeline.reporting.comparison.words import finding, title
from reinforcestrategycreator_pipeline.runs.artifacts import COMPARISONS
from reinforcestrategycreator_pipeline.runs.folder import RUNS, find_run
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest


class Comparison:
    """Runs side by side: what `compare` returns.

    Parameters
    ----------
    folders : sequence of Path
        Folders of two or more runs, each once.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        configs = [load_manifest(folder).config for folder in folders]
        self._differences = differences(configs)
        texts = {
            show_path(path): tuple(map(value_text, values)) for path, values in self._differences
        }
        self.data: ComparisonData = read_comparison(folders, texts)

    @property
    def runs(self) -> list[str]:
        """Names of the runs, or their paths if two have the same name."""
        return [run.name for run in self.data.runs]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what keeps the figures from comparing: other bars, spans or costs."""
        return warnings_of(self.data.runs)

    @property
    def table(self) -> pd.DataFrame:
        """A row per run: status, strategy, answer, p, promoted, first and last close, metrics."""
        rows = [
            {
                "status": run.manifest.status,
                "strategy": run.strategy or None,
                "answer": run.answer and run.answer.level,
                "p": run.answer and run.answer.p,
                "promoted": run.judgement and run.judgement.decision.promoted,
                "start": run.index[0] if len(run.index) else pd.NaT,
                "end": run.index[-1] if len(run.index) else pd.NaT,
                **{key: run.value(key) for key in MAIN_METRICS},
            }
            for run in self.data.runs
        ]
        return pd.DataFrame(rows, pd.Index(self.runs, name="run"))

    @property
    def html(self) -> str:
        """The page, with absolute links to the runs' reports."""
        return render_comparison(self.data)

    def save(self, path: str | Path | None = None) -> Path:
        """Write the page, atomically, and return its path.

        Parameters
        ----------
        path : path, optional
            File to write; by default one in the folder ``comparisons`` of the first run's store,
            with a name that the same runs give again.

        Raises
        ------
        RunError
            If it cannot be written.
        """
        target = self.default_path if path is None else Path(path)
        write_text(target, render_comparison(self.data, target.parent))
        return target

    @property
    def default_path(self) -> Path:
        """The file that `save` writes by default."""
        first = self.data.runs[0].folder
        key = sha256_bytes("\0".join(self.runs).encode("utf-8"))[:8]
        name = f"{first.name}-and-{len(self.runs) - 1}-more-{key}.html"
        return first.parent / COMPARISONS / name

    def to_json(self) -> dict[str, Any]:
        """Return what ``rsc compare --json`` prints, ready for JSON."""
        judged = [run.judgement for run in self.data.runs]
        keys = dict.fromkeys(k for j in judged if j for k in j.metrics[PORTFOLIO][j.strategy])

        def each(values: Sequence[Any]) -> dict[str, Any]:
            pairs = zip(self.runs, values, strict=True)
            return {name: value for name, value in pairs if value is not MISSING}

        runs = self.data.runs
        return {
            "runs": each([str(run.folder) for run in runs]),
            "status": each([run.manifest.status for run in runs]),
            "strategy": each([run.strategy or None for run in runs]),
            "answer": each([run.answer and run.answer.to_json() for run in runs]),
            "config": {show_path(path): each(values) for path, values in self._differences},
            "test": each([_test_span(run) for run in runs]),
            "warnings": list(self.warnings),
            "metrics": {key: each([run.value(key) for run in runs]) for key in keys},
            "decision": each(
                [
                    j and {"promoted": j.decision.promoted, "sentence": j.decision.sentence}
                    for j in judged
                ]
            ),
        }

    def __repr__(self) -> str:
        return f"Comparison({title(self.data)!r})"

    def _repr_html_(self) -> str:
        said = (title(self.data), finding(self.data), *self.warnings)
        return "".join(f"<p>{escape(text)}</p>" for text in said) + self.table.to_html()


def compare(*runs: str | Path | Run, store: str | Path = RUNS) -> Comparison:
    """Compare two or more runs: verdicts, figures, equity, seeds, configurations.

    ``rsc compare`` calls this function.

    Parameters
    ----------
    *runs : str, path or Run
        Runs: their ids, ``"latest"``, or the paths of their folders. One that is named twice is
        compared once.
    store : path
        The folder that holds the runs, for ids.

    Returns
    -------
    Comparison
        `Comparison.save` writes the page.

    Raises
    ------
    ConfigError
        If there are fewer than two runs.
    RunError
        If there is no such run, with the nearest name, or one cannot be read.
    """
    found = [_folder(run, Path(store)) for run in runs]
    folders = list(dict.fromkeys(found))
    if len(folders) < 2:
        raise ConfigError(f"give two or more runs to compare. Got {len(folders)}.")
    return Comparison(folders)


def _folder(run: str | Path | Run, store: Path) -> Path:
    if isinstance(run, Run):
        return run.folder
    return find_run(
        store, f"./{run}" if isinstance(run, Path) and "/" not in str(run) else str(run)
    )


def value_text(value: Any) -> str:
    """Return a value of the configuration as people write it; empty for one that is missing."""
    if value is MISSING:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _test_span(run: ComparedRun) -> list[str] | None:
    """Return the days of the first and the last close of the test spans that are known."""
    stage = run.manifest.stages.get("feature_engineering")
    tests = [window["test"] for window in (stage.summary if stage else {}).get("windows", [])]
    return [tests[0][0][:10], tests[-1][1][:10]] if tests else None
