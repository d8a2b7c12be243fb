"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
        help="Where windows are fitted and trials computed: inline, in this process, or processes. "
        "Default: processes, as many as there are processors. The results are the same.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Number of processes of the engine."),
]


def chosen_engine(engine: str | None, workers: int | None) -> Any:
    """Return the engine that two options choose, for `rsc.run`.

    Raises
    ------
    ConfigError
        If the engine has no workers.
    """
    if workers is None:
        return engine
    if engine not in (None, "processes"):
        raise ConfigError(f"--workers does not go with --engine {engine}: it has none.")
    return {"name": "processes", "workers": workers}


def examples(*commands: str) -> str:
    r"""Return the last section of a help page; ``\b`` preserves its line breaks."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
