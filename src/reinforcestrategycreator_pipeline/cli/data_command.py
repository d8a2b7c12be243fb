"""``rsc data list|check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reinforcestrategycreator_pipeline.cli.options import examples
from reinforcestrategycreator_pipeline.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="List the data sources; check a data file.")


@app.command("list", epilog=examples("rsc data list"))
def list_() -> None:
    """List the data sources and their parameters."""
    from rich.text import Text

    from reinforcestrategycreator_pipeline.cli.console import output
    from reinforcestrategycreator_pipeline.market.sources.catalog import list_sources

    console = output()
    for source in list_sources():
        console.print(Text(source.name, style="bold"))
        console.print(f"  {source.summary}", markup=False)
        for name, default in source.parameters.items():
            console.print(f"    {name}: {default}", markup=False)


@app.command(
    epilog=examples(
        "rsc data check prices.csv",
        "rsc data check prices.csv --set date_format=%d/%m/%Y --set delimiter=';'",
    )
)
def check(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a folder of either.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="A parameter of the source, see 'rsc data list'. May be repeated.",
        ),
    ] = None,
) -> None:
    """Check a data file as a run would; exit code 0 if a run can use it.

    What breaks a rule is refused, with its rows; what was put right, or is odd, is said.
    """
    from reinforcestrategycreator_pipeline.pipeline.config.loading import parse_override

    options = {}
    for override in overrides or ():
        path, value, label = parse_override(override)
        if len(path) != 1 or path[0] == "path":
            raise ConfigError(f"{label}: must name a parameter of the source, without dots.")
        options[path[0]] = value

    from reinforcestrategycreator_pipeline.cli.console import output
    from reinforcestrategycreator_pipeline.cli.results import result_table
    from reinforcestrategycreator_pipeline.market.sources.catalog import check_file

    data, symbols = check_file(file, **options)
    console = output()
    rows = [
        {
            "symbol": s.symbol,
            "bars": f"{s.n_bars:,}",
            "first close": f"{s.first:%Y-%m-%d %H:%M}",
            "last close (UTC)": f"{s.last:%Y-%m-%d %H:%M}",
            "side data": ", ".join(s.side_data),
        }
        for s in symbols
    ]
    console.print(result_table(rows))
    for note in data.notes:
        console.print(note, markup=False, soft_wrap=True)
    console.print(f"{file}: can be used", markup=False, soft_wrap=True)
