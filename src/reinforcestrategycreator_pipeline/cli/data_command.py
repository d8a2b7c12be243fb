"""``rsc data``: sources and layouts; `data_check` checks data, `data_vendors` fetches it."""

from __future__ import annotations

from pathlib import Path

import typer

from reinforcestrategycreator_pipeline.cli import data_series, data_vendors
from reinforcestrategycreator_pipeline.cli.data_check import CHECK_EXAMPLES, check
from reinforcestrategycreator_pipeline.cli.options import examples

app = typer.Typer(no_args_is_help=True, help="Data: sources, files, vendors, the store.")
app.command(epilog=CHECK_EXAMPLES)(check)
app.command(epilog=examples("rsc data fetch stooq ibm.us msft.us --start 2010-01-01"))(
    data_vendors.fetch
)
app.command(
    epilog=examples("rsc data update", "rsc data update 'stooq/ibm.us/1d' --accept-restated")
)(data_vendors.update)
app.command(epilog=examples("rsc data show stooq/ibm.us/1d"))(data_series.show)


@app.command("list", epilog=examples("rsc data list"))
def list_(store: data_series.StoreOption = Path("market-data")) -> None:
    """List the data sources with their parameters, and the series that were fetched."""
    from reinforcestrategycreator_pipeline.cli.list_command import list_ as list_family

    list_family("sources")
    data_series.list_series(store)


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
