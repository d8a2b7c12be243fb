"""``rsc data check``: whether a run can use the data."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from reinforcestrategycreator_pipeline.cli.options import ConfigOption, TrustOption, examples
from reinforcestrategycreator_pipeline.errors import ConfigError

CHECK_EXAMPLES = examples(
    "rsc data check prices.csv",
    "rsc data check prices.csv --set date_format=%d/%m/%Y --set delimiter=';'",
    "rsc data check --config my.yaml --calendar XNYS --html health.html",
    "rsc data check --source my_source:SqliteBars --set path=bars.db",
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
            help="Source from 'rsc data list', or 'module:Class'. Default: the configuration's, or "
            "chosen by the file's suffix.",
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="Set a parameter of the source, see 'rsc data list', or a dotted key of the "
            "configuration. May be repeated.",
        ),
    ] = None,
    calendar: Annotated[
        str | None,
        typer.Option(
            "--calendar",
            metavar="NAME",
            help="Calendar for gaps: 24/7, 24/5, forex, or an exchange such as XNYS. Default: the "
            "configuration's, or what the data show.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="HTML page on the data's health to write."),
    ] = None,
    trust: TrustOption = None,
) -> None:
    """Check a file or source as a run would; exit code 0 if a run can use it.

    Rejects rows that break a rule; reports repairs, gaps, outliers, stale runs, splits, bad ticks
    and suspicious times with their rows; and computes and splits the features as a run with this
    configuration does. Without a file or source, checks the configured one.
    """
    from reinforcestrategycreator_pipeline.trust import allowing, default_folders, typed

    folders = (*default_folders(config), *(trust or ()))
    with allowing(folders, config and config.parent), typed([(name or "").partition(":")[0]]):
        _check(file, name, config, overrides or [], calendar, html)


def _check(
    file: Path | None,
    name: str | None,
    config: Path | None,
    overrides: list[str],
    calendar: str | None,
    html: Path | None,
) -> None:
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import result_table
    from reinforcestrategycreator_pipeline.market.health.check import check_health
    from reinforcestrategycreator_pipeline.market.preparation import without_guessed_sessions
    from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, load_source
    from reinforcestrategycreator_pipeline.market.sources.files.readings import pinned
    from reinforcestrategycreator_pipeline.ohlcv import OHLCV
    from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
    from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
    from reinforcestrategycreator_pipeline.pipeline.stages.feature_engineering import engineer
    from reinforcestrategycreator_pipeline.seeding import generator

    keys = [text for text in overrides if "." in text.partition("=")[0]]
    complete = load_config(RunConfig, config, keys, os.environ)
    own = [text for text in overrides if text not in keys]
    source, parameters = _source(file, name, own, complete.data)
    data = load_source(build_source(source, parameters), source, generator(complete.seed, "data"))
    calendar = calendar or complete.data.calendar
    health = check_health(data, calendar)
    data = without_guessed_sessions(data)
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
        grave = "warning: " if note in data.warnings else ""
        console.print(f"{grave}{note}", markup=False, soft_wrap=True)
    kinds = pinned(data.provenance, parameters)
    for kind in kinds:
        console.print("This configuration reads it so, without recognizing it again:")
        lines = [f"    {key}: {json.dumps(value)}" for key, value in sorted(kind.items())]
        text = "\n".join([f"data:\n  source: {source}\n  params:", *lines])
        console.print(text, markup=False, soft_wrap=True)
    console.print(f"health, with gaps by {health.calendar}", markup=False, soft_wrap=True)
    for is_grave, text in health.sentences():
        grave = "warning: " if is_grave else ""
        console.print(f"  {grave}{text}", markup=False, soft_wrap=True)
    if html is not None:
        from reinforcestrategycreator_pipeline.files import write_text
        from reinforcestrategycreator_pipeline.reporting.health.page import render_health

        write_text(html, render_health(health))
        console.print(f"  page: {html}", markup=False, soft_wrap=True)
    *_, notes = engineer(data, complete)
    for note in notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(f"{file or config or source}: can be used", markup=False, soft_wrap=True)


def _source(
    file: Path | None, name: str | None, overrides: list[str], given: Any
) -> tuple[str, dict[str, object]]:
    """Return the source to check, and its parameters: those of the configuration, but for others.

    Parameters
    ----------
    file : Path, optional
        Path to check.
    name : str, optional
        Source that the user named.
    overrides : list of str
        Parameters as ``"name=value"``.
    given : DataConfig
        The configuration's source.
    """
    from reinforcestrategycreator_pipeline.market.sources.catalog import source_for
    from reinforcestrategycreator_pipeline.pipeline.config.loading import parse_override

    if file is not None and file.suffix in (".yaml", ".yml"):
        raise ConfigError(
            f"{file}: is a configuration, not data. Check the data that it names with: "
            f"rsc data check --config {shlex.quote(str(file))}"
        )
    if name is None:
        name = str(given.source) if file is None else source_for(file)
    parameters: dict[str, object] = dict(given.params) if name == given.source else {}
    said: dict[str, object] = {} if file is None else {"path": str(file)}
    for override in overrides:
        path, value, label = parse_override(override)
        if path[0] in said:
            raise ConfigError(f"{label}: must be a parameter of the source that is set once.")
        said[path[0]] = value
    return name, {**parameters, **said}
