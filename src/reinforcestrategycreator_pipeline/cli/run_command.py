"""``rsc run``."""

from __future__ import annotations

from typing import Annotated

import typer

from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.cli.options import (
    AddressOption,
    ConfigOption,
    EngineOption,
    RunsOption,
    SetOption,
    TrustOption,
    WorkersOption,
    chosen_engine,
)
from reinforcestrategycreator_pipeline.errors import ConfigError
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
    restart: Annotated[
        str | None,
        typer.Option(
            "--restart",
            metavar="STAGE",
            help="With --resume: run this stage from its beginning, without its checkpoints; later "
            "stages run again if its outputs change.",
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", metavar="NAME", help="Name of the new run. Default: the time."),
    ] = None,
    runs_dir: RunsOption = RUNS,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    from_trial: Annotated[
        str | None,
        typer.Option(
            "--from-trial",
            metavar="STUDY/N",
            help="Run the configuration of a trial of 'rsc tune'; N alone is one of the newest "
            "search. The trial is repeated first, and must have the returns of the ledger.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Train hardly at all, to try everything out within seconds."),
    ] = False,
    trust: TrustOption = None,
) -> None:
    """Run all stages, from data to deployment, or resume a run.

    With a section 'search', that comes first (see 'rsc tune'), and its best trial is run. Each run
    one folder: configuration, data, model, report, package. Ctrl-C saves the run and prints the
    command that continues it. The same seed gives the same bytes.

    Environment variables also set keys: RSC_CONFIG__STRATEGY__TRAINING__STEPS=20000. The
    configuration file overrides the defaults, the environment overrides the file, and --set
    overrides both.
    """
    from reinforcestrategycreator_pipeline.api import opened, runs
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import show_results
    from reinforcestrategycreator_pipeline.cli.streams import result_is_in_files
    from reinforcestrategycreator_pipeline.runs.studies import find_trial

    if resume is not None and (config is not None or run_id is not None):
        option = "--config" if config is not None else "--run-id"
        raise ConfigError(
            f"{option} cannot be combined with --resume: a run keeps its configuration and "
            "name. Use --set to change a key, or start a new run."
        )
    where = chosen_engine(engine, workers, address)
    if restart is not None and resume is None:
        raise ConfigError("--restart needs --resume RUN: it is a stage of that run.")
    if from_trial is not None:
        if config is not None or overrides or resume is not None or quick:
            raise ConfigError(
                "--from-trial goes with no --config, --set, --quick or --resume: it runs the "
                "configuration of the trial."
            )
        resolved = opened.opened(find_trial(runs_dir, from_trial)[0], trust or ())
    else:
        resolved = runs.resolved(config, {}, overrides or (), runs_dir, resume, trust or ())
    with resolved as complete:
        if complete.reproducibility == "fast":
            kernels.restart_native()
    found = runs.run(
        config,
        overrides=overrides or (),
        store=runs_dir,
        run_id=run_id,
        resume=resume,
        restart=restart,
        trust=trust or (),
        progress=True,
        engine=where,
        from_trial=from_trial,
        quick=quick,
    )
    result_is_in_files()
    show_results(output(), found.folder, found.manifest, found.unchanged)
