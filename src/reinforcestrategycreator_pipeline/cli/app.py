"""The tree of commands: ``rsc init|run|tune|runs|compare|config|data|features|audit|...``."""

from __future__ import annotations

from typing import Annotated

import typer

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.cli import (
    config_command,
    data_command,
    features_command,
    runs_command,
)
from reinforcestrategycreator_pipeline.cli.audit_command import audit
from reinforcestrategycreator_pipeline.cli.compare_command import EPILOG as COMPARE
from reinforcestrategycreator_pipeline.cli.compare_command import compare
from reinforcestrategycreator_pipeline.cli.init_command import init
from reinforcestrategycreator_pipeline.cli.list_command import list_
from reinforcestrategycreator_pipeline.cli.options import examples
from reinforcestrategycreator_pipeline.cli.report_command import report
from reinforcestrategycreator_pipeline.cli.run_command import run
from reinforcestrategycreator_pipeline.cli.tune_command import tune

app = typer.Typer(
    name="rsc",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would double the time of `rsc --help`
    epilog=examples(
        "rsc run",
        "rsc run --config my.yaml --set strategy.training.steps=20000",
        "rsc report latest --open",
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(
    "run",
    epilog=examples("rsc run", "rsc run --config my.yaml --set seed=7", "rsc run --resume latest"),
)(run)
app.command(
    "tune",
    epilog=examples(
        "rsc tune --config my.yaml",
        "rsc tune --resume latest",
        "rsc tune --resume latest --trials 40",
    ),
)(tune)
app.command("init", epilog=examples("rsc init", "rsc init mine.yaml"))(init)
app.add_typer(runs_command.app, name="runs")
app.add_typer(config_command.app, name="config")
app.add_typer(data_command.app, name="data")
app.add_typer(features_command.app, name="features")
app.command(
    "audit",
    epilog=examples(
        "rsc audit",
        "rsc audit --config my.yaml --json audit.json",
        "rsc audit --feature my_features:overnight_gap --newest 2500",
    ),
)(audit)
app.command("list", epilog=examples("rsc list", "rsc list features"))(list_)
app.command(
    "report",
    epilog=examples("rsc report latest", "rsc report 20261122-183000-a1b2c3 --open"),
)(report)
app.command("compare", epilog=COMPARE)(compare)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rsc {__version__}")
        raise typer.Exit


@app.callback()
def rsc(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From market data to a trading strategy, with an honest verdict.

    Five stages: data ingestion, feature engineering, training of a deep Q-network, evaluation
    against benchmarks on unseen bars, deployment. It works offline on bundled market data.
    """
