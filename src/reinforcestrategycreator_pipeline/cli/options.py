"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="A YAML 1.2 file. Without one: the defaults."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Set one key, the value in YAML: strategy.training.steps=20000. Wins over file and "
        "environment. May be repeated.",
    ),
]
RunsOption = Annotated[
    Path, typer.Option("--runs-dir", metavar="DIR", help="Where the runs are kept.")
]


def examples(*commands: str) -> str:
    r"""Return a help page's last section; ``\b`` keeps the lines apart."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
