"""The result of a run on the terminal, at its end and in ``rsc report``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.control import strip_control_codes
from rich.table import Table
from rich.text import Text

from reinforcestrategycreator_pipeline.runs.artifacts import REPORT_HTML, REPORT_MD
from reinforcestrategycreator_pipeline.runs.manifest import Manifest
from reinforcestrategycreator_pipeline.runs.studies import STUDY_REPORT


def show_results(
    console: Console, run_dir: Path, manifest: Manifest, unchanged: Collection[str] = ()
) -> None:
    """Print a run's result table, verdict, decision, seconds per stage and paths of its pages."""
    stages = [
        f"{name} {_outcome(record.status, record.seconds, name in unchanged)}"
        for name, record in manifest.stages.items()
    ]
    lines = [("run", f"{manifest.run_id}: {manifest.status}"), ("stages", ", ".join(stages))]
    if has_results(manifest):
        metrics = manifest.verified(run_dir, "metrics")
        from reinforcestrategycreator_pipeline.verdict.judgement import Judgement
        from reinforcestrategycreator_pipeline.verdict.looks import count_looks

        judgement = Judgement.read(metrics)
        console.print(result_table(_rows(judgement)))
        if judgement.answer is not None:
            lines.append(("verdict", str(judgement.answer)))
        lines.append(("decision", judgement.decision.sentence))
        lines += [("note", note) for note in judgement.notes]
        if (looked := count_looks(run_dir)) is not None and not looked.alone:
            lines.append(("looks", str(looked)))
    pages = [run_dir / page for page in (REPORT_HTML, REPORT_MD)]
    lines += [("report", str(page)) for page in pages if page.is_file()]
    print_fields(console, lines)


def print_fields(console: Console, fields: Iterable[tuple[str, str]]) -> None:
    """Print labels and texts, one pair a line."""
    fields = list(fields)
    width = max([10, *(len(label) + 2 for label, _ in fields)])
    for label, text in fields:
        # Text, not markup: users choose the names.
        console.print(Text.assemble((f"{label:<{width}}", "bold"), text), soft_wrap=True)


MOST_TRIALS = 10
"""Maximum number of trials in the table of a search."""


def show_study(console: Console, study: Any) -> None:
    """Print the best trials of a search, the others by state, and the way to run the best."""
    from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import find_metric

    search = study.config["search"]
    metric = find_metric(search["metric"])
    trials = study.trials
    ranked = trials[(trials["state"] == "complete") & trials["objective"].notna()]
    ranked = ranked.sort_values("objective", ascending=not metric.higher_is_better, kind="stable")
    rows = [
        {"trial": str(number), metric.label: f"{trial['objective']:.4g}"}
        | {key: _value(trial[key]) for key in search["space"]}
        for number, trial in ranked.head(MOST_TRIALS).iterrows()
    ]
    if rows:
        console.print(result_table(rows))
    states = trials["state"].value_counts()
    counts = ", ".join(f"{states[s]} {s}" for s in ("complete", "pruned", "failed") if s in states)
    lines = [("search", f"{study.id}: {study.status}"), ("trials", counts)]
    if rows:
        lines.append(("run it", study.run_command(int(rows[0]["trial"]))))
    else:
        lines.append(("best", "none: the objective of no trial is defined"))
    if (study.folder / STUDY_REPORT).is_file():
        lines.append(("report", str(study.folder / STUDY_REPORT)))
    for label, text in lines:
        console.print(Text.assemble((f"{label:<10}", "bold"), text), soft_wrap=True)


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def has_results(manifest: Manifest) -> bool:
    """Return whether the run has been evaluated, and no later attempt has begun."""
    evaluation = manifest.stages.get("evaluation")
    return evaluation is not None and evaluation.status == "complete"


def result_table(rows: list[dict[str, str]]) -> Table:
    """Return rows, each a mapping of column to formatted text, as a table."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(show_edge=False, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(
            Text(column), justify="left" if i == 0 else "right", overflow="fold", no_wrap=i == 0
        )
    for row in rows:
        table.add_row(*(Text(row.get(column, "")) for column in columns))
    return table


def print_rows(console: Console, rows: list[dict[str, str]]) -> None:
    """Print rows as `result_table` shows them, in a tenth of its time if they fit the console."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [columns, *([strip_control_codes(row.get(c, "")) for c in columns] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    folds = sum(widths) + 3 * (len(widths) - 1) > console.width
    plain = console.legacy_windows or console.options.ascii_only
    if folds or plain or any("\n" in cell for line in cells for cell in line):
        console.print(result_table(rows))
        return
    padded = [
        [_padded(text, widths[i], left=i == 0) for i, text in enumerate(line)] for line in cells
    ]
    console.out(" ┃ ".join(padded[0]), style="bold", highlight=False)
    lines = ["━╇━".join("━" * width for width in widths), *map(" │ ".join, padded[1:])]
    console.out("\n".join(lines), highlight=False)


def _padded(text: str, width: int, left: bool) -> str:
    space = " " * (width - cell_len(text))
    return text + space if left else space + text


def _rows(judgement: Any) -> list[dict[str, str]]:
    """Return the main figures of all strategies on the portfolio."""
    from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
        MAIN_METRICS,
        format_value,
    )
    from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO

    rows = []
    for strategy in judgement.metrics[PORTFOLIO]:
        row = {"strategy": strategy}
        for key in MAIN_METRICS:
            info, found = judgement.infos[key], judgement.value(PORTFOLIO, strategy, key)
            text = "n/a" if found.value is None else format_value(info.unit, found.value)
            row[info.label] = text
        rows.append(row)
    return rows


def _outcome(status: str, seconds: float | None, unchanged: bool) -> str:
    if unchanged:
        return "unchanged"
    if status != "complete" or seconds is None:
        return status
    return f"{seconds:.1f} s"
