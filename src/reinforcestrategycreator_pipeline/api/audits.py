"""The audit for look-ahead as a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.api.bars import Frames
from reinforcestrategycreator_pipeline.api.console import progress_console
from reinforcestrategycreator_pipeline.api.runs import arguments_of, resolved
from reinforcestrategycreator_pipeline.checks import require_int, require_number
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, load_source
from reinforcestrategycreator_pipeline.pipeline.auditing.audit import WORKERS, audit_config
from reinforcestrategycreator_pipeline.pipeline.auditing.outcome import AuditOutcome
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.runs.folder import RUNS
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.trust import typed

SECONDS = 60.0
"""Time of an audit, about, unless another is given."""


def audit(
    config: str | Path | Mapping[str, Any] | RunConfig | None = None,
    *,
    features: Sequence[Any] | None = None,
    bars: Frames | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    cuts: int | None = None,
    seconds: float = SECONDS,
    newest: int | None = None,
    workers: int = WORKERS,
    trust: Sequence[str | Path] = (),
    progress: bool | None = None,
) -> AuditOutcome:
    """Prove a configuration free of look-ahead on its data, or show where it is not.

    ``rsc audit`` calls this function. See docs/how-to/audit.md for the checks.

    Parameters
    ----------
    config : path, mapping or RunConfig, optional
        A YAML file, or its content as a mapping; see `run`. Nothing is trained for longer than a
        moment, and nothing is written.
    features : sequence, optional
        Features to audit in place of those of the configuration: names, mappings, or functions.
        The strategy is then left out.
    bars : DataFrame, or mapping of str to DataFrame, optional
        Bars in memory, in place of ``data.source``; see `read_bars`.
    overrides : mapping or sequence of str, optional
        Keys of the configuration to set; see `run`.
    cuts : int, optional
        Number of cuts of each feature and symbol, >= 1; by default as many as `seconds` allow, and
        all if they do.
    seconds : float
        Time that the audit may take, about, > 0.
    newest : int, optional
        Number of bars of each symbol to audit, the newest, >= 2; by default all.
    workers : int
        Number of processes, >= 1.
    trust : sequence of path
        Folders whose modules the configuration may name; see `run`.
    progress : bool, optional
        Whether to show progress on standard error. By default only in a terminal or a notebook.

    Returns
    -------
    AuditOutcome
        What was proved, at how many cuts, and what was found: `passed`, `proved`, `faults`.

    Raises
    ------
    RscError
        If the configuration or the data are wrong.

    Examples
    --------
    >>> found = audit(features=["rsi"], overrides=["data.params.symbols=[IBM]"], newest=400)
    >>> print(found)
    proved free of look-ahead on these bars: truncated after every bar
    """
    owner = "audit"
    for name, value, least in (("cuts", cuts, 1), ("newest", newest, 2), ("workers", workers, 1)):
        if value is not None:
            require_int(owner, name, value, least)
    require_number(owner, "seconds", seconds, above=0.0)
    arguments = arguments_of(None, bars)
    if features is not None:
        arguments["features"] = {"columns": list(features)}
    named = [f.partition(":")[0] for f in features or () if isinstance(f, str) and ":" in f]
    with (
        typed(named),
        resolved(config, arguments, overrides, RUNS, None, trust) as complete,
    ):
        source = build_source(complete.data.source, complete.data.params)
        data = load_source(source, complete.data.source, generator(complete.seed, "data"))
        return audit_config(
            complete,
            data,
            cuts=cuts,
            seconds=seconds,
            newest=newest,
            workers=workers,
            console=progress_console(progress),
            strategy=features is None,
        )
