"""``rsc tune``."""

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


def tune(
    config: ConfigOption = None,
    overrides: SetOption = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="STUDY",
            help="Continue a search, given by its name or 'latest'. It keeps its configuration.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            metavar="N",
            help="Number of configurations to try in all, in place of 'search.trials'. With "
            "--resume, a search that is finished goes on to as many.",
        ),
    ] = None,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate",
            help="Measure for about ten seconds, say how long the search would take, and run "
            "nothing.",
        ),
    ] = False,
    runs_dir: RunsOption = RUNS,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    trust: TrustOption = None,
) -> None:
    """Search over configurations, or resume a search.

    The section 'search' of the configuration says what to vary. Trials see only the bars before the
    first test bar. Each one is written to the store's ledger, with its out-of-sample returns.
    Ctrl-C saves the search and prints the command that continues it.
    """
    from reinforcestrategycreator_pipeline.api import opened, runs, studies
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import show_study
    from reinforcestrategycreator_pipeline.cli.streams import result_is_in_files
    from reinforcestrategycreator_pipeline.runs.studies import find_study

    where = chosen_engine(engine, workers, address)
    if resume is not None:
        if estimate:
            raise ConfigError("--estimate is of a search that has not begun: no --resume.")
        if config is not None or overrides:
            option = "--config" if config is not None else "--set"
            raise ConfigError(
                f"{option} cannot be combined with --resume: a search keeps its configuration."
            )
        resolved = opened.opened(find_study(runs_dir, resume), trust or ())
    else:
        resolved = runs.resolved(config, {}, overrides or (), runs_dir, None, trust or ())
    with resolved as complete:
        if complete.reproducibility == "fast":
            kernels.restart_native()
    if estimate:
        from reinforcestrategycreator_pipeline.api.estimates import estimate_search
        from reinforcestrategycreator_pipeline.cli.results import print_fields
        from reinforcestrategycreator_pipeline.pipeline.search.estimate import lines

        predicted = estimate_search(
            config,
            overrides=overrides or (),
            store=runs_dir,
            trials=trials,
            trust=trust or (),
            engine=where,
        )
        print_fields(output(), lines(predicted))
        return
    study = studies.tune(
        config,
        overrides=overrides or (),
        store=runs_dir,
        resume=resume,
        trials=trials,
        trust=trust or (),
        progress=True,
        engine=where,
    )
    result_is_in_files()
    show_study(output(), study)
