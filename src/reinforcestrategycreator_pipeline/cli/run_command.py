"""``rsc run``."""

from __future__ import annotations

from typing import Annotated

import typer

from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.cli.options import (
    ConfigOption,
    RunsOption,
    SetOption,
    TrustOption,
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
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Where the windows are fitted: inline, in this process; processes; or ray, on a "
            "cluster. Default: as many processes as there are processors. The results are the "
            "same.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", help="Number of processes of this machine."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="With --engine ray: the cluster. Default: one that Ray starts on this machine.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Train hardly at all, to try everything out within seconds."),
    ] = False,
    trust: TrustOption = None,
) -> None:
    """Run all stages, from data to deployment, or resume a run.

    Each run writes one folder: configuration, data, model, report, package. Ctrl-C saves the run
    and prints the command that continues it. The same seed gives the same bytes.

    Environment variables also set keys: RSC_CONFIG__STRATEGY__TRAINING__STEPS=20000. The
    configuration file overrides the defaults, the environment overrides the file, and --set
    overrides both.
    """
    from reinforcestrategycreator_pipeline.api import runs
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import show_results
    from reinforcestrategycreator_pipeline.cli.streams import result_is_in_files

    if resume is not None and (config is not None or run_id is not None):
        option = "--config" if config is not None else "--run-id"
        raise ConfigError(
            f"{option} cannot be combined with --resume: a run keeps its configuration and "
            "name. Use --set to change a key, or start a new run."
        )
    chosen: str | dict[str, object] | None = engine
    for option, value, owner in (("workers", workers, "processes"), ("address", address, "ray")):
        if value is None:
            continue
        if engine not in (None, owner):
            raise ConfigError(f"--{option} goes with --engine {owner}, not {engine}.")
        chosen = {"name": owner, option: value}
    if workers is not None and address is not None:
        raise ConfigError("--workers and --address exclude each other.")
    if restart is not None and resume is None:
        raise ConfigError("--restart needs --resume RUN: it is a stage of that run.")
    with runs.resolved(config, {}, overrides or (), runs_dir, resume, trust or ()) as complete:
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
        engine=chosen,
        quick=quick,
    )
    result_is_in_files()
    show_results(output(), found.folder, found.manifest, found.unchanged)
