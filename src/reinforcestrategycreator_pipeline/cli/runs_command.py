"""``rsc runs``."""

from __future__ import annotations

import shlex
from typing import Any

from reinforcestrategycreator_pipeline.cli.options import RunsOption
from reinforcestrategycreator_pipeline.errors import RscError
from reinforcestrategycreator_pipeline.runs.folder import RUNS, list_runs


def runs(runs_dir: RunsOption = RUNS) -> None:
    """List the runs, oldest first, with status, main figures and verdict."""
    from rich.text import Text

    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.api.runs import Run
    from reinforcestrategycreator_pipeline.cli.results import result_table

    console = output()
    unreadable: list[str] = []
    runs = sorted(map(Run, list_runs(runs_dir)), key=_created)
    found = [_row(run, unreadable) for run in runs]
    if not found:
        start = ["rsc", "run", *(["--runs-dir", str(runs_dir)] if runs_dir != RUNS else [])]
        console.print(
            Text(f"There are no runs in {runs_dir}. Start one with: {shlex.join(start)}"),
            soft_wrap=True,
        )
        return
    console.print(result_table(found))
    for reason in unreadable:
        console.print(Text(reason), soft_wrap=True)


def _created(run: Any) -> str:
    """Return the time of a run's start, as text that sorts; of one that cannot be read, none."""
    try:
        return str(run.manifest.created)
    except RscError:
        return ""


def _row(run: Any, unreadable: list[str]) -> dict[str, str]:
    """Return one line of the table; append to `unreadable` why a run cannot be read."""
    from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
        find_metric,
        format_value,
    )
    from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO

    row = {"run": run.id, "status": "", "strategy": "", "return": "", "Sharpe": "", "promoted": ""}
    try:
        row["status"] = run.manifest.status
        if row["status"] != "complete":
            return row
        row["strategy"] = run.strategy
        values = run.values[PORTFOLIO][run.strategy]
        for column, key in (("return", "total_return"), ("Sharpe", "sharpe")):
            if (value := values[key].value) is not None:
                row[column] = format_value(find_metric(key).unit, value)
        row["promoted"] = "yes" if run.verdict.promoted else "no"
        if run.verdict.first:
            row["promoted"] += ", on bars already seen"
    except RscError as error:
        row["status"] = "unreadable"
        unreadable.append(str(error))
    return row
