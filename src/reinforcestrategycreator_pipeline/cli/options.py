"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


def examples(*commands: str) -> str:
    r"""Return the last section of a help page; ``\b`` preserves its line breaks."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
