"""``rsc report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reinforcestrategycreator_pipeline.cli.options import RunsOption, TrustOption
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.runs.folder import RUNS


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="ID of a run, 'latest', or the path of its folder.")
    ],
    open_: Annotated[
        bool, typer.Option("--open", help="Open the HTML report in a browser.")
    ] = False,
    render: Annotated[
        bool, typer.Option("--render", help="Render the pages again from the run's folder.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--tear-sheet",
            metavar="FILE",
            help="Also write QuantStats' HTML tear sheet against buy and hold. Needs the extra "
            "quantstats.",
        ),
    ] = None,
    runs_dir: RunsOption = RUNS,
    trust: TrustOption = None,
) -> None:
    """Show the result of a run and the location of its report."""
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import (
        has_results,
        print_fields,
        show_results,
    )
    from reinforcestrategycreator_pipeline.runs.artifacts import REPORT_HTML
    from reinforcestrategycreator_pipeline.runs.folder import (
        command,
        find_run,
        locked,
        resume_command,
    )
    from reinforcestrategycreator_pipeline.runs.manifest import load_manifest

    run_dir = find_run(runs_dir, run)
    manifest = load_manifest(run_dir)
    page = run_dir / REPORT_HTML
    if not has_results(manifest):
        raise RunError(
            f"the run {manifest.run_id!r} has no report yet (status: {manifest.status}); continue "
            f"the run with: {resume_command(run_dir)}"
        )
    if render:
        from reinforcestrategycreator_pipeline.api.runs import modules_of
        from reinforcestrategycreator_pipeline.reporting.run import render_run

        names = manifest.config.get("imports", ())
        with locked(run_dir), modules_of(run_dir, manifest, trust or (), names):
            render_run(run_dir)
    if not page.is_file():
        raise RunError(
            f"the run {manifest.run_id!r} has no report yet (status: {manifest.status}); render it "
            f"with: {command(run_dir, 'report')} --render"
        )
    if sheet is not None:
        from reinforcestrategycreator_pipeline.api.runs import Run
        from reinforcestrategycreator_pipeline.api.tear_sheets import tear_sheet

        tear_sheet(Run(run_dir), sheet)
    show_results(output(), run_dir, manifest)
    if sheet is not None:
        print_fields(output(), [("tear sheet", str(sheet))])
    if open_:
        from reinforcestrategycreator_pipeline.cli.browser import show

        show(page, "report")
