"""The engine that a batch of fits or trials runs on, unless one is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reinforcestrategycreator_pipeline.experiments.engines.base import Engine
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes, processors
from reinforcestrategycreator_pipeline.pipeline.config.user_code import modules_named


def engine_for(
    config: Mapping[str, Any], jobs: int, chosen: Engine | None, small: bool = False
) -> Engine:
    """Return the engine of a batch of jobs: the chosen one, else the fastest of this machine.

    What a script or a notebook defines exists in this process only, so its jobs stay here.

    Parameters
    ----------
    config : mapping
        Configuration of the jobs, as plain values, with the key ``imports``.
    jobs : int
        Number of jobs.
    chosen : Engine or None
        Engine that the user chose.
    small : bool
        Whether all jobs together take no longer than to start a process: they stay here.
    """
    if chosen is not None:
        return chosen
    named = [*config["imports"], *modules_named(config)]
    alone = jobs <= 1 or processors() == 1
    return Inline() if alone or small or "__main__" in named else Processes()
