"""What a run came to, as people read it at its end and in ``rsc report``."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reinforcestrategycreator_pipeline.runs.manifest import Manifest

REPORTS = ("evaluation/report.html", "evaluation/report.md")


def show_results(
    console: Console, run_dir: Path, manifest: Manifest, unchanged: Collection[str] = ()
) -> None:
    """Print a run's result table, promotion, seconds per stage and the paths of its reports."""
    summaries = [record.summary for record in manifest.stages.values()]
    for summary in summaries:
        if summary.get("table"):
            console.print(result_table(summary["table"]))
    stages = [
        f"{name} {_outcome(record.status, record.seconds, name in unchanged)}"
        for name, record in manifest.stages.items()
    ]
    lines = [("run", f"{manifest.run_id}: {manifest.status}"), ("stages", ", ".join(stages))]
    for summary in [s for s in summaries if "promoted" in s][-1:]:  # the last stage decides
        reason = f": {summary['reason']}" if summary.get("reason") else ""
        lines.append(("promoted", f"{'yes' if summary['promoted'] else 'no'}{reason}"))
    lines += [("report", str(run_dir / r)) for r in REPORTS if (run_dir / r).is_file()]
    for label, text in lines:
        # Text, not markup: names come from users.
        console.print(Text.assemble((f"{label:<10}", "bold"), text), soft_wrap=True)


def result_table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows, each a mapping of column to formatted text, as a table."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(show_edge=False, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(
            Text(column), justify="left" if i == 0 else "right", overflow="fold", no_wrap=i == 0
        )
    for row in rows:
        table.add_row(*(Text(str(row.get(column, ""))) for column in columns))
    return table


def _outcome(status: str, seconds: float | None, unchanged: bool) -> str:
    if unchanged:
        return "unchanged"
    if status != "complete" or seconds is None:
        return status
    return f"{seconds:.1f} s"
