"""``rsc features list|show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reinforcestrategycreator_pipeline.cli.options import ConfigOption, TrustOption, examples

app = typer.Typer(no_args_is_help=True, help="List the features; show one on the training bars.")


@app.command("list", epilog=examples("rsc features list", "rsc features list order_flow"))
def list_(
    family: Annotated[
        str | None, typer.Argument(metavar="FAMILY", help="Show this family alone, in full.")
    ] = None,
) -> None:
    """List the features by family, with their lookback in bars at the default parameters."""
    from rich.text import Text

    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.api.feature_views import list_families
    from reinforcestrategycreator_pipeline.errors import ConfigError, nearest

    families = list_families()
    if family is not None and family not in families:
        hint = nearest(family, families)
        raise ConfigError(f"there is no family of features {family!r}.{hint}")
    console = output()
    for name, (title, members) in families.items():
        if family not in (None, name):
            continue
        console.print(Text.assemble((name, "bold"), f": {title}"), soft_wrap=True)
        for member in members:
            back = "" if member.lookback is None else f", {member.lookback} bars"
            given = ", ".join(f"{k} {v}" for k, v in member.parameters.items())
            head = Text.assemble("  ", (member.name, "bold"), back, f"  [{given}]" if given else "")
            console.print(head, soft_wrap=True)
            console.print(f"    {member.summary}", markup=False, highlight=False, soft_wrap=True)


@app.command(
    epilog=examples(
        "rsc features show rsi",
        "rsc features show rsi --set period=21 --html rsi.html",
        "rsc features show talib:ADX --symbol IBM",
        "rsc features show my_features:overnight_gap --config my.yaml --open",
    )
)
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name from 'rsc features list', 'talib:NAME', or 'module:function'.",
        ),
    ],
    config: ConfigOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="KEY=VALUE",
            help="Set a parameter of the feature, or a dotted key of the configuration. May be "
            "repeated.",
        ),
    ] = None,
    symbols: Annotated[
        list[str] | None,
        typer.Option("--symbol", metavar="SYMBOL", help="Show this symbol. May be repeated."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also draw the values under the price."),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Draw them, and open the page in a browser.")
    ] = False,
    trust: TrustOption = None,
) -> None:
    """Compute a feature on the training bars: its values, how long they last, what they say.

    The information coefficient is the rank correlation with the return of the next bar. Later bars
    than those of the first training are neither measured nor drawn. A feature that the
    configuration lists has the parameters that it has there.
    """
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.api.feature_views import show_feature
    from reinforcestrategycreator_pipeline.cli.results import result_table
    from reinforcestrategycreator_pipeline.files import write_text
    from reinforcestrategycreator_pipeline.pipeline.config.loading import parse_override
    from reinforcestrategycreator_pipeline.reporting.features import words
    from reinforcestrategycreator_pipeline.reporting.features.page import render_feature

    given = overrides or []
    keys = [text for text in given if "." in text.partition("=")[0]]
    parameters: dict[str, Any] = {}
    for text in given:
        if text not in keys:
            path, value, _ = parse_override(text)
            parameters[path[0]] = value
    view = show_feature(
        name,
        config,
        parameters=parameters,
        symbols=symbols or None,
        overrides=keys,
        trust=trust or (),
    )
    console = output()
    console.print(words.title(view), markup=False, style="bold", soft_wrap=True)
    console.print(words.summary(view), markup=False, highlight=False, soft_wrap=True)
    console.print(result_table([words.row_of(measure) for measure in view.measures]))
    console.print(words.NOTE, markup=False, highlight=False, soft_wrap=True)
    if html is None and open_:
        html = Path(f"{name.replace(':', '_')}.html")
    if html is not None:
        write_text(html, render_feature(view))
        console.print(f"page: {html}", markup=False, highlight=False, soft_wrap=True)
    if open_ and html is not None:
        from reinforcestrategycreator_pipeline.cli.browser import show

        show(html, "page")
