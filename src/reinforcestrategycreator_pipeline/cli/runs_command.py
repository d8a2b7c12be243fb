"""``rsc runs list|show|compare|best|track|rm``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from reinforcestrategycreator_pipeline.cli.compare_command import EPILOG, compare
from reinforcestrategycreator_pipeline.cli.options import RunsOption, TrustOption, examples
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.runs.folder import RUNS, find_run

app = typer.Typer(invoke_without_command=True)

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="ID of a run, 'latest', or the path of its folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(
    epilog=examples("rsc runs", "rsc runs list --sort sharpe", "rsc runs show latest"),
)
def runs(context: typer.Context, runs_dir: RunsOption = RUNS) -> None:
    """List, show, compare, track and remove runs; alone, list them."""
    if context.invoked_subcommand is None:
        list_(runs_dir=runs_dir)
    # As an option before the command, it is the default of the one behind it.
    context.default_map = {context.invoked_subcommand or "": {"runs_dir": str(runs_dir)}}


@app.command(
    "list",
    epilog=examples(
        "rsc runs list --sort sharpe",
        "rsc runs list --strategy dqn --status complete",
        "rsc runs list --json",
    ),
)
def list_(
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="created, run, status, strategy, promoted, or a metric, the best one first.",
        ),
    ] = "created",
    strategy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only runs of this strategy: its name, or its label."),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS",
            help="Only runs that are pending, running, complete, failed, interrupted or "
            "unreadable.",
        ),
    ] = None,
    as_json: JsonOption = False,
    runs_dir: RunsOption = RUNS,
) -> None:
    """List the runs, oldest first, with status, main figures and verdict."""
    from reinforcestrategycreator_pipeline.cli.run_lists import chosen, list_rows, record, sorted_by
    from reinforcestrategycreator_pipeline.runs.summary import read_summaries

    every = read_summaries(runs_dir)
    found = sorted_by(chosen(every, strategy, status), sort)
    if as_json:
        _print_json([record(run) for run in found])
        return
    from rich.text import Text

    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import print_rows

    console = output()
    if found:
        print_rows(console, list_rows(found, sort))
    elif every:
        console.print(f"None of the {len(every):,} runs is such a run.")
    else:
        start = ["rsc", "run", *(["--runs-dir", str(runs_dir)] if runs_dir != RUNS else [])]
        text = f"There are no runs in {runs_dir}. Start one with: {shlex.join(start)}"
        console.print(Text(text), soft_wrap=True)
    for run in found:
        if run.error:
            console.print(Text(run.error), soft_wrap=True)


@app.command(epilog=examples("rsc runs show latest", "rsc runs show first --json"))
def show(run: RunArgument, as_json: JsonOption = False, runs_dir: RunsOption = RUNS) -> None:
    """Show one run: status, times, configuration, data, main figures, decision, report."""
    from reinforcestrategycreator_pipeline.cli.run_pages import describe, print_run

    run_dir = find_run(runs_dir, run)
    if as_json:
        _print_json(describe(run_dir))
    else:
        print_run(run_dir)


app.command("compare", epilog=EPILOG)(compare)


@app.command(epilog=examples("rsc runs best", "rsc runs best --by annual_return"))
def best(
    by: Annotated[
        str, typer.Option(metavar="METRIC", help="Metric of the judged strategy's portfolio.")
    ] = "sharpe",
    as_json: JsonOption = False,
    runs_dir: RunsOption = RUNS,
) -> None:
    """Show the best complete run, of how many it is the best, and how often its bars were seen.

    The best of many looks at the same test bars is better than its strategy is.
    """
    from reinforcestrategycreator_pipeline.cli.run_lists import best_of
    from reinforcestrategycreator_pipeline.runs.summary import read_summaries

    complete = [run for run in read_summaries(runs_dir) if run.status == "complete"]
    if not complete:
        raise RunError(f"{runs_dir}: there is no complete run yet.")
    found = best_of(complete, by)
    if as_json:
        _print_json(found.record())
        return
    from rich.text import Text

    from reinforcestrategycreator_pipeline.api.console import output

    for line in found.lines():
        output().print(Text(line), soft_wrap=True)


@app.command(
    epilog=examples(
        "rsc runs track latest --to mlflow",
        "rsc runs track latest --to mlflow --set uri=sqlite:///team.db",
        "rsc runs track latest --to tensorboard --set folder=events",
    )
)
def track(
    run: RunArgument,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TRACKER",
            help="Name of a tracker (rsc list trackers), or module:Class. Default: all trackers "
            "of the run's configuration.",
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="With --to: set a parameter of the tracker to a YAML value. May be repeated.",
        ),
    ] = None,
    runs_dir: RunsOption = RUNS,
    trust: TrustOption = None,
) -> None:
    """Log a finished run to MLflow, TensorBoard or a tracker of your own.

    A tracker that the run's configuration has keeps the parameters that it has there.
    """
    from reinforcestrategycreator_pipeline.api.tracking import track as log

    for line in log(find_run(runs_dir, run), to, parameters or (), trust or ()):
        typer.echo(line)


@app.command(
    epilog=examples("rsc runs rm 20261122-183000-a1b2c3 --yes", "rsc runs rm --failed --yes"),
)
def rm(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="Runs: IDs, 'latest', or paths of folders."),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Remove all runs that failed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool,
        typer.Option(help="Also remove the run that is promoted, or one that cannot be read."),
    ] = False,
    runs_dir: RunsOption = RUNS,
) -> None:
    """Remove the folders of runs.

    Their looks stay in the store's ledger: the test bars are no fresher without the runs.
    """
    from reinforcestrategycreator_pipeline.runs.removal import remove_runs, require_removable
    from reinforcestrategycreator_pipeline.runs.summary import read_summaries
    from reinforcestrategycreator_pipeline.verdict.looks import keep

    if not runs and not failed:
        raise ConfigError("name the runs to remove, or give --failed.")
    folders = _folders(runs_dir, runs or (), to_remove=True)
    if failed:
        folders += [
            run.folder
            for run in read_summaries(runs_dir)
            if run.status == "failed" and run.folder not in folders
        ]
    if not folders:
        typer.echo(f"There are no failed runs in {runs_dir}.")
        return
    for run_dir in folders:
        require_removable(run_dir, force)
    names = ", ".join(str(run_dir) for run_dir in folders)
    if not yes:
        _ask(names, len(folders))
    remove_runs(folders, force, keep)
    typer.echo(f"removed: {names}")


def _folders(runs_dir: Path, runs: Sequence[str], to_remove: bool = False) -> list[Path]:
    """Return the folders of runs, each once; those to remove as they are named, links too."""
    found = []
    for run in runs:
        named = Path(run) if "/" in run else runs_dir / run
        link = to_remove and run != "latest" and named.is_symlink()
        found.append(named if link else find_run(runs_dir, run))
    return list(dict.fromkeys(found))


def _ask(names: str, count: int) -> None:
    """Ask in a terminal whether to remove the runs; elsewhere, and by default, the answer is no."""
    if not sys.stdin.isatty():
        raise RunError(f"nothing was removed, as nobody can be asked here. Add --yes for: {names}")
    what = "this run" if count == 1 else f"these {count:,} runs"
    sys.stderr.write(f"{names}\nRemove {what} for good? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RunError("nothing was removed.")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
