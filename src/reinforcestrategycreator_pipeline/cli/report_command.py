"""``rsc report``."""

from __future__ import annotations

from typing import Annotated

import typer

from reinforcestrategycreator_pipeline.cli.options import RunsOption, TrustOption
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.runs.folder import RUNS


def report(
    run: Annotated[str, typer.Argument(help="ID of a run, 'latest', or the path of its folder.")],
    open_: Annotated[
        bool, typer.Option("--open", help="Open the HTML report in a browser.")
    ] = False,
    render: Annotated[
        bool, typer.Option("--render", help="Render the pages again from the run's folder.")
    ] = False,
    runs_dir: RunsOption = RUNS,
    trust: TrustOption = None,
) -> None:
    """Show the result of a run and the location of its report."""
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import show_results
    from reinforcestrategycreator_pipeline.runs.artifacts import ARTIFACTS, REPORT_HTML
    from reinforcestrategycreator_pipeline.runs.folder import find_run
    from reinforcestrategycreator_pipeline.runs.manifest import load_manifest

    run_dir = find_run(runs_dir, run)
    manifest = load_manifest(run_dir)
    page = run_dir / REPORT_HTML
    evaluated = (run_dir / ARTIFACTS["results"]).is_file()
    if render and evaluated:
        from reinforcestrategycreator_pipeline.api.runs import modules_of
        from reinforcestrategycreator_pipeline.reporting.run import render_run

        with modules_of(run_dir, manifest, trust or (), manifest.config.get("imports", ())):
            render_run(run_dir)
    if not page.is_file():
        how = f"render it with: rsc report {run} --render"
        if not evaluated:
            how = f"continue the run with: rsc run --resume {run}"
        raise RunError(
            f"the run {manifest.run_id!r} has no report yet (status: {manifest.status}); {how}"
        )
    show_results(output(), run_dir, manifest)
    if open_:
        import webbrowser

        if not webbrowser.open(page.resolve().as_uri()):
            raise RunError(f"cannot open a browser; the report is {page}")
