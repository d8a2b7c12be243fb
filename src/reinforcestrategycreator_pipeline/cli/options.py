"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reinforcestrategycreator_pipeline.errors import ConfigError

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file, YAML 1.2; without one, the defaults.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Set one key to a YAML value: strategy.training.steps=20000. Overrides file and "
        "environment. May be repeated.",
    ),
]
TrustOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--trust",
        metavar="DIR",
        help="Load components from modules in this folder. Without it, only modules in the "
        "current folder are loaded, and only for a configuration that lies there. May be "
        "repeated.",
    ),
]
RunsOption = Annotated[
    Path, typer.Option("--runs-dir", metavar="DIR", help="Folder that holds the runs.")
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Where windows are fitted and trials computed: inline, in this process; processes; or "
        "ray, on a cluster. Default: as many processes as there are processors. The results are "
        "the same.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Number of processes of this machine."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="With --engine ray: the cluster. Default: one that Ray starts on this machine.",
    ),
]


def chosen_engine(
    engine: str | None, workers: int | None, address: str | None
) -> str | dict[str, object] | None:
    """Return the engine that three options choose, for `rsc.run`.

    Raises
    ------
    ConfigError
        If they do not go together.
    """
    chosen: str | dict[str, object] | None = engine
    for option, value, owner in (("workers", workers, "processes"), ("address", address, "ray")):
        if value is None:
            continue
        if engine not in (None, owner):
            raise ConfigError(f"--{option} goes with --engine {owner}, not {engine}.")
        chosen = {"name": owner, option: value}
    if workers is not None and address is not None:
        raise ConfigError("--workers and --address exclude each other.")
    return chosen


def examples(*commands: str) -> str:
    r"""Return the last section of a help page; ``\b`` preserves its line breaks."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
