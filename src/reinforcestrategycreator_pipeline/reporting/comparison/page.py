"""The page that compares runs."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.comparison import words
from reinforcestrategycreator_pipeline.reporting.comparison.charts import (
    equity_chart,
    lines_of,
    sharpe_chart,
)
from reinforcestrategycreator_pipeline.reporting.comparison.comparable import warnings_of
from reinforcestrategycreator_pipeline.reporting.comparison.data import ComparedRun, ComparisonData
from reinforcestrategycreator_pipeline.reporting.comparison.figures import seed_rows, sharpe_rows
from reinforcestrategycreator_pipeline.reporting.html import render_page
from reinforcestrategycreator_pipeline.reporting.search.charts import figures_of

_VALUE = 80  # characters of a value of the configuration


def render_comparison(data: ComparisonData, folder: Path | None = None) -> str:
    """Return the page of a comparison; the same data and folder give the same bytes.

    Parameters
    ----------
    data : ComparisonData
        Data of the runs.
    folder : Path, optional
        Folder in which the page will be, from which it links to the runs' reports. Without it, the
        links are absolute.
    """
    times, ratios = Times(), sharpe_rows(data)
    equity, sharpe = equity_chart(data, times), sharpe_chart(ratios)
    figures = figures_of(picture for picture in (equity, sharpe) if picture)
    return render_page(
        "comparison.html.j2",
        {"times": times.axes, "assets": [], "run": figures},
        data=data,
        version=__version__,
        links={run.name: _link(run, folder) for run in data.runs},
        title=words.title(data),
        finding=words.finding(data),
        caveat=words.CAVEAT,
        warnings=warnings_of(data.runs),
        tiles=words.tiles(data),
        verdicts=words.verdict_rows(data),
        columns=words.metric_columns(),
        rows=words.metric_rows(data),
        equity=equity,
        lines=lines_of(data),
        span_note=words.span_note(data),
        sharpe=sharpe,
        ratios=[
            (row.run, words.interval_text(row.ratio), words.interval_text(row.difference, True))
            for row in ratios
        ],
        sharpe_note=words.sharpe_note(ratios),
        seeds=seed_rows(data),
        seeds_note=words.SEEDS_NOTE,
        differences=[
            (key, [shorten(text, _VALUE) for text in texts])
            for key, texts in data.differences.items()
        ],
        terms=words.terms(),
    )


def _link(run: ComparedRun, folder: Path | None) -> str:
    """Return the address of a run's report; empty if there is none."""
    if run.report is None:
        return ""
    report = run.report.resolve()
    if folder is None:
        return report.as_uri()
    return quote(Path(os.path.relpath(report, folder.resolve())).as_posix())
