"""The time that a search will take, for users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.api.runs import resolved
from reinforcestrategycreator_pipeline.api.studies import with_its_search
from reinforcestrategycreator_pipeline.experiments.engines.catalog import ENGINES
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.search.estimate import Estimate, estimate
from reinforcestrategycreator_pipeline.runs.folder import RUNS


def estimate_search(
    config: str | Path | Mapping[str, Any] | RunConfig | None = None,
    *,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    store: str | Path = RUNS,
    trials: int | None = None,
    trust: Sequence[str | Path] = (),
    engine: Any = None,
) -> Estimate:
    """Predict how long a search will take, in about ten seconds; see `tune` for the parameters.

    ``rsc tune --estimate`` calls this function.

    Raises
    ------
    RscError
        If the configuration or the data are wrong, or all sampled trials fail.
    """
    chosen = None if engine is None else ENGINES.build(engine)
    with resolved(config, {}, overrides, store, None, trust) as complete:
        return estimate(with_its_search(complete, trials), Path(store), chosen)
