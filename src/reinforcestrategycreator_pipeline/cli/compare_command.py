"""``rsc compare``, which is ``rsc runs compare``, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reinforcestrategycreator_pipeline.cli.options import RunsOption, examples
from reinforcestrategycreator_pipeline.errors import ConfigError, shorten
from reinforcestrategycreator_pipeline.runs.folder import RUNS

if TYPE_CHECKING:
    from reinforcestrategycreator_pipeline.api.comparisons import Comparison

_CELL = 48  # characters of a value in the table
EPILOG = examples(
    "rsc compare first second",
    "rsc compare first second third -o comparison.html",
    "rsc compare first latest --json",
)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN...", help="Runs: IDs, 'latest', or paths of folders."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="HTML page to write. Default: one in the folder 'comparisons' of the store; with "
            "--json, none.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    runs_dir: RunsOption = RUNS,
) -> None:
    """Compare runs: verdicts, figures, equity, seeds and configurations, in a table and a page.

    The page has the equity of all runs in one picture, their Sharpe ratios with intervals, and a
    line for each reason why the figures do not compare.
    """
    from reinforcestrategycreator_pipeline.api.comparisons import compare as side_by_side

    found = side_by_side(*runs, store=runs_dir)
    if as_json and open_ and out is None:
        raise ConfigError("--open needs a page: with --json, name it by --output.")
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        if out is not None:
            found.save(out)
    else:
        print_comparison(found, found.save(out))
    if open_:
        from reinforcestrategycreator_pipeline.cli.browser import show

        show(out or found.default_path, "page")


def print_comparison(compared: Comparison, page: Path) -> None:
    """Print runs side by side: verdicts, configurations, main metrics, decisions, warnings."""
    from reinforcestrategycreator_pipeline.api.comparisons import value_text
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
        MAIN_METRICS,
        find_metric,
        format_value,
    )
    from reinforcestrategycreator_pipeline.cli.results import print_fields, result_table

    found, console = compared.to_json(), output()
    names = list(found["runs"])
    answers = found["answer"].items()
    rows: list[tuple[str, dict[str, Any]]] = [("status", found["status"])]
    rows.append(("strategy", found["strategy"]))
    rows.append(("verdict", {n: a and a["level"] for n, a in answers}))
    rows.append(("p", {n: f"{a['p']:.2g}" for n, a in answers if a and a["p"] is not None}))
    rows += list(found["config"].items())
    rows.append(("test bars", {n: " to ".join(s) if s else "" for n, s in found["test"].items()}))
    for key in (key for key in MAIN_METRICS if key in found["metrics"]):
        info, values = find_metric(key), found["metrics"][key].items()
        texts = {n: "" if v is None else format_value(info.unit, v) for n, v in values}
        rows.append((info.label, texts))
    decided = found["decision"].items()
    rows.append(("promoted", {n: d and ("yes" if d["promoted"] else "no") for n, d in decided}))
    config = set(found["config"])

    def cell(label: str, values: dict[str, Any], name: str) -> str:
        value = values.get(name)
        known = value is not None or (label in config and name in values)
        return shorten(value_text(value), _CELL) if known else ""

    console.print(
        result_table(
            [{"": label, **{n: cell(label, values, n) for n in names}} for label, values in rows]
        )
    )
    if not found["config"]:
        console.print("The configurations are equal.")
    lines = [(name, d["sentence"]) for name, d in decided if d]
    lines += [("warning", f"{text} The figures do not compare.") for text in found["warnings"]]
    print_fields(console, [*lines, ("page", str(page))])
