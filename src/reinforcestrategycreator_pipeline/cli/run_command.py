"""``rsc run``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from reinforcestrategycreator_pipeline.cli.options import ConfigOption, RunsOption, SetOption
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.registry import search
from reinforcestrategycreator_pipeline.runs.folder import RUNS


def run(
    config: ConfigOption = None,
    overrides: SetOption = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Continue a run, given by ID, path, or 'latest'. It keeps its configuration; with "
            "--set, only the stages that depend on the changed keys run again.",
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", metavar="NAME", help="Name of the new run. Default: the time."),
    ] = None,
    runs_dir: RunsOption = RUNS,
) -> None:
    """Run all stages, from data to deployment, or resume a run.

    Each run writes one folder: configuration, data, model, report, package. Ctrl-C saves the run
    and prints the command that continues it. The same seed gives the same bytes.

    Environment variables also set keys: RSC_CONFIG__STRATEGY__TRAINING__STEPS=20000. The
    configuration file overrides the defaults, the environment overrides the file, and --set
    overrides both.
    """
    from reinforcestrategycreator_pipeline.cli.console import output, progress
    from reinforcestrategycreator_pipeline.cli.results import show_results
    from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
    from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
    from reinforcestrategycreator_pipeline.pipeline.runner import Runner
    from reinforcestrategycreator_pipeline.pipeline.stages.catalog import ARTIFACTS, build_stages
    from reinforcestrategycreator_pipeline.report.run import keep_current
    from reinforcestrategycreator_pipeline.runs.artifacts import CONFIG
    from reinforcestrategycreator_pipeline.runs.folder import find_run
    from reinforcestrategycreator_pipeline.runs.manifest import load_manifest

    runner = Runner(build_stages(), ARTIFACTS, progress())
    if resume is None:
        resolved = load_config(RunConfig, config, overrides or (), os.environ)
        folder = config.parent if config else None
        outcome = runner.start(resolved, runs_dir, run_id, folder)
    else:
        if config is not None or run_id is not None:
            option = "--config" if config is not None else "--run-id"
            raise RunError(
                f"{option} cannot be combined with --resume: a run keeps its configuration and "
                "name. Use --set to change a key, or start a new run."
            )
        run_dir = find_run(runs_dir, resume)
        if folder_of_modules := load_manifest(run_dir).folder:
            search(Path(folder_of_modules))
        # The run's file is complete: it already includes the environment of its start.
        resolved = load_config(RunConfig, run_dir / CONFIG, overrides or ())
        outcome = runner.resume(run_dir, resolved)
    keep_current(outcome.run_dir)
    show_results(output(), outcome.run_dir, outcome.manifest, outcome.unchanged)
