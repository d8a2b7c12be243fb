"""``rsc list``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from reinforcestrategycreator_pipeline.errors import ConfigError, nearest

_PACKAGE = "reinforcestrategycreator_pipeline"
FAMILIES = {
    "brokers": "deployment.brokers.catalog:BROKERS",
    "engines": "experiments.engines.catalog:ENGINES",
    "features": "features.catalog:FEATURES",
    "heads": "nn.heads.catalog:HEADS",
    "losses": "nn.losses:LOSSES",
    "metrics": "backtesting.metrics.catalog:METRICS",
    "models": "models.implementations.dqn:MODELS",
    "path_rewards": "envs.path_rewards:PATH_REWARDS",
    "rewards": "envs.rewards:REWARDS",
    "schedules": "nn.schedules:SCHEDULES",
    "charts": "reporting.charts.catalog:CHARTS",
    "strategies": "policies.catalog:STRATEGIES",
    "sources": "market.sources.catalog:SOURCES",
    "trackers": "tracking.catalog:TRACKERS",
    "vendors": "market.vendors.catalog:VENDORS",
}
"""Families of components, and the module and name of each one's registry."""


def family(name: str) -> Any:
    """Return the registry of a family, filled with the shipped components."""
    from reinforcestrategycreator_pipeline.trust import load_object

    if name not in FAMILIES:
        homes = [f for f in FAMILIES if name in load_object(f"{_PACKAGE}.{FAMILIES[f]}")]  # type: ignore[operator]
        hint = f" It is one of the {homes[0]}: rsc list {homes[0]}" if homes else ""
        raise ConfigError(f"unknown family {name!r}.{hint or nearest(name, FAMILIES)}")
    return load_object(f"{_PACKAGE}.{FAMILIES[name]}")


def list_(
    of: Annotated[
        str | None, typer.Argument(metavar="FAMILY", help=f"One of {', '.join(FAMILIES)}.")
    ] = None,
) -> None:
    """List the available components and their parameters."""
    from rich.text import Text

    from reinforcestrategycreator_pipeline.api.console import output

    console = output()
    if of is None:
        for name in FAMILIES:
            line = Text.assemble((f"{name:<13}", "bold"), ", ".join(family(name)))
            console.print(line, soft_wrap=True)
        return
    for member in family(of).describe():
        console.print(Text(member.name, style="bold"))
        console.print(f"  {member.summary}", markup=False, highlight=False)
        for name, default in member.parameters.items():
            console.print(f"    {name}: {default}", markup=False, highlight=False)
