"""``rsc data list|check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reinforcestrategycreator_pipeline.cli.options import examples
from reinforcestrategycreator_pipeline.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="List data sources; check a data file.")


@app.command("list", epilog=examples("rsc data list"))
def list_() -> None:
    """List the data sources and their parameters."""
    from reinforcestrategycreator_pipeline.cli.list_command import list_ as list_family

    list_family("sources")


@app.command(
    epilog=examples(
        "rsc data check prices.csv",
        "rsc data check prices.csv --set date_format=%d/%m/%Y --set delimiter=';'",
        "rsc data check --source my_source:SqliteBars --set path=bars.db",
    )
)
def check(
    file: Annotated[
        Path | None,
        typer.Argument(help="File or folder of files; sets the source's parameter 'path'."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="Source from 'rsc data list', or 'module:Class'. Default: chosen by the file's "
            "suffix.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="Set a parameter of the source, see 'rsc data list'. May be repeated.",
        ),
    ] = None,
) -> None:
    """Check a file or source as a run would; exit code 0 if a run can use it.

    Rejects rows that break a rule, reports repairs and oddities, and requires the bars that the
    default features and spans need.
    """
    from reinforcestrategycreator_pipeline.pipeline.config.loading import parse_override

    parameters: dict[str, object] = {} if file is None else {"path": str(file)}
    for override in overrides or ():
        path, value, label = parse_override(override)
        if len(path) != 1 or path[0] in parameters:
            raise ConfigError(f"{label}: must be a parameter of the source, without dots.")
        parameters[path[0]] = value

    import numpy as np

    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import result_table
    from reinforcestrategycreator_pipeline.market.sources.catalog import (
        build_source,
        load_source,
        source_for,
    )
    from reinforcestrategycreator_pipeline.ohlcv import OHLCV
    from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
    from reinforcestrategycreator_pipeline.pipeline.stages.feature_engineering import (
        compute_features,
    )

    if name is None:
        if file is None:
            raise ConfigError("give a file, or a source with --source.")
        name = source_for(file)
    data = load_source(build_source(name, parameters), name, np.random.default_rng(0))
    console = output()
    rows = [
        {
            "symbol": symbol,
            "bars": f"{len(frame):,}",
            "first close": f"{frame.index[0]:%Y-%m-%d %H:%M}",
            "last close (UTC)": f"{frame.index[-1]:%Y-%m-%d %H:%M}",
            "side data": ", ".join(frame.columns[len(OHLCV) :]),
        }
        for symbol, frame in data.bars.items()
    ]
    console.print(result_table(rows))
    for note in data.notes:
        console.print(note, markup=False, soft_wrap=True)
    compute_features(data, RunConfig())
    console.print(f"{file or name}: can be used", markup=False, soft_wrap=True)
