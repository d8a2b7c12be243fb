"""``rsc config show|check|schema``."""

from __future__ import annotations

import json
import os
from typing import Any

import typer

from reinforcestrategycreator_pipeline.cli.options import (
    ConfigOption,
    SetOption,
    TrustOption,
    examples,
)
from reinforcestrategycreator_pipeline.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Show, check and describe the configuration.")


def _load(config: ConfigOption, overrides: SetOption, trust: TrustOption) -> Any:
    from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
    from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
    from reinforcestrategycreator_pipeline.trust import allowing, default_folders

    folders = (*default_folders(config), *(trust or ()))
    with allowing(folders, config and config.parent):
        return load_config(RunConfig, config, overrides or (), os.environ)


@app.command(
    epilog=examples("rsc config show > my.yaml", "rsc config show -c my.yaml --set seed=7")
)
def show(
    config: ConfigOption = None, overrides: SetOption = None, trust: TrustOption = None
) -> None:
    """Print the complete resolved configuration as YAML."""
    from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml

    typer.echo(config_to_yaml(_load(config, overrides, trust)), nl=False)


@app.command(epilog=examples("rsc config check --config my.yaml"))
def check(
    config: ConfigOption = None, overrides: SetOption = None, trust: TrustOption = None
) -> None:
    """Check a configuration; exit code 0 if valid.

    Also looks for the data's files, and calls every component that the configuration names on a few
    synthetic bars. 'rsc data check --config FILE' reads the data as well.
    """
    from reinforcestrategycreator_pipeline.pipeline.rehearsal import rehearse

    complete = _load(config, overrides, trust)
    try:
        rehearse(complete)
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}" if config else str(error)) from error
    typer.echo(f"{config or 'the default configuration'}: valid")


@app.command(
    epilog=examples(
        "rsc config schema > rsc.schema.json", "rsc config schema -c my.yaml > rsc.schema.json"
    )
)
def schema(config: ConfigOption = None, trust: TrustOption = None) -> None:
    """Print the JSON schema, for completion in editors.

    With a configuration file, the schema also knows the names that its `imports` register.
    """
    from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
    from reinforcestrategycreator_pipeline.pipeline.config.writing import config_schema

    if config is not None:
        _load(config, None, trust)
    typer.echo(json.dumps(config_schema(RunConfig), indent=2))
