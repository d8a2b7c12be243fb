"""``rsc data``: list sources and layouts; `data_check` has the command that checks data."""

from __future__ import annotations

import typer

from reinforcestrategycreator_pipeline.cli.data_check import CHECK_EXAMPLES, check
from reinforcestrategycreator_pipeline.cli.options import examples

app = typer.Typer(no_args_is_help=True, help="List data sources; check a data file.")
app.command(epilog=CHECK_EXAMPLES)(check)


@app.command("list", epilog=examples("rsc data list"))
def list_() -> None:
    """List the data sources and their parameters."""
    from reinforcestrategycreator_pipeline.cli.list_command import list_ as list_family

    list_family("sources")


@app.command(epilog=examples("rsc data layouts"))
def layouts() -> None:
    """List the vendors' layouts of files that are recognized, each with the page behind it."""
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import result_table
    from reinforcestrategycreator_pipeline.market.sources.files.layout_catalog import (
        layouts as known,
    )

    rows = [{"layout": k, "files": v.title, "source": v.source} for k, v in known().items()]
    output().print(result_table(rows))
