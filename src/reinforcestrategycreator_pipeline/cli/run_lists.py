"""Many runs: which of them, in which order, and the best one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reinforcestrategycreator_pipeline.backtesting.metrics.numbers import format_value
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError, nearest
from reinforcestrategycreator_pipeline.runs.manifest import STATUSES, read_manifest
from reinforcestrategycreator_pipeline.runs.summary import (
    UNREADABLE,
    RunSummary,
    read_metrics,
)
from reinforcestrategycreator_pipeline.verdict.decision import Decision

if TYPE_CHECKING:
    from reinforcestrategycreator_pipeline.verdict.looks import Looked

_COLUMNS = {"return": ("total_return", "percent"), "Sharpe": ("sharpe", "ratio")}
_TEXTS = ("created", "run", "status", "strategy", "promoted")


def chosen(
    runs: Sequence[RunSummary], strategy: str | None, status: str | None
) -> list[RunSummary]:
    """Return the runs of a strategy, by its name or label, and of a status.

    Raises
    ------
    ConfigError
        If there is no such status, or no run of the strategy; the message offers the nearest.
    """
    known = (*STATUSES, UNREADABLE)
    if status is not None and status not in known:
        raise ConfigError(f"unknown status {status!r}.{nearest(status, known)}")
    found = [run for run in runs if status in (None, run.status)]
    if strategy is None:
        return found
    names = {name for run in runs for name in _names(run)}
    if runs and strategy not in names:
        raise ConfigError(f"no run has the strategy {strategy!r}.{nearest(strategy, names)}")
    return [run for run in found if strategy in _names(run)]


def _names(run: RunSummary) -> set[str]:
    return {run.strategy, run.component} - {""}


def sorted_by(runs: Sequence[RunSummary], key: str) -> list[RunSummary]:
    """Return the runs by a column, or from best to worst by a metric; oldest first among equals.

    Raises
    ------
    ConfigError
        If there is no such key; the message offers the nearest.
    """
    if key == "created":
        return list(runs)
    if key == "run":
        return sorted(runs, key=lambda run: run.id)
    if key == "promoted":
        return sorted(runs, key=lambda run: not run.promoted)
    if key in ("status", "strategy"):
        return sorted(runs, key=lambda run: str(getattr(run, key)))
    if not any(run.figures for run in runs):
        return list(runs)  # no metric is known by which to order, or that the key is none
    info = metric_info(runs, _COLUMNS.get(key, (key,))[0], (*_TEXTS, *_COLUMNS))
    return sorted(runs, key=lambda run: _place(run, info))


def metric_info(runs: Sequence[RunSummary], key: str, others: Sequence[str] = ()) -> dict[str, Any]:
    """Return the definition of a metric, as the newest run that has it stores it.

    A metric of the user's own is known there, too, and its module need not be loaded.

    Raises
    ------
    ConfigError
        If no run has the metric; the message offers the nearest name, `others` included.
    """
    having = [run for run in runs if key in run.figures]
    if not having:
        known = {name for run in runs for name in run.figures}
        raise ConfigError(f"no run has the metric {key!r}.{nearest(key, {*known, *others})}")
    folder = having[-1].folder
    definitions = read_metrics(folder, read_manifest(folder)).get("definitions", [])
    found = [info for info in definitions if info["key"] == key]
    return dict(found[0]) if found else {"key": key, "label": key, "unit": "ratio"}


def _place(run: RunSummary, info: Mapping[str, Any]) -> tuple[bool, float]:
    """Return what sorts by a metric: the best first, the undefined last."""
    value = run.figures.get(info["key"])
    lower = info.get("higher_is_better") is False
    return value is None, 0.0 if value is None else (value if lower else -value)


def list_rows(runs: Sequence[RunSummary], sort: str) -> list[dict[str, str]]:
    """Return the table's rows, with a column for the metric by which they are sorted."""
    columns = dict(_COLUMNS)
    shown = {*_TEXTS, *columns, *(key for key, _ in columns.values())}
    if sort not in shown and any(run.figures for run in runs):
        columns[sort] = (sort, str(metric_info(runs, sort)["unit"]))
    rows = []
    for run in runs:
        row = {"run": run.id, "status": run.status, "strategy": run.strategy}
        for column, (key, unit) in columns.items():
            value = run.figures.get(key)
            row[column] = "" if value is None else format_value(unit, value)
        row["promoted"] = "" if run.promoted is None else "yes" if run.promoted else "no"
        if run.judged_again:
            row["promoted"] += ", on bars already seen"
        rows.append(row)
    return rows


def record(run: RunSummary) -> dict[str, Any]:
    """Return a run as JSON lists it."""
    return {
        "run": run.id,
        "folder": str(run.folder),
        "status": run.status,
        "created": run.created or None,
        "strategy": run.strategy or None,
        "promoted": run.promoted,
        "judged_again": run.judged_again,
        "figures": dict(run.figures),
        "error": run.error or None,
    }


@dataclass(frozen=True)
class Best:
    """The best run by a metric, and of how many it is the best.

    Attributes
    ----------
    run : RunSummary
        Summary of the best run.
    value : float
        Value of the metric for it.
    info : mapping
        Definition of the metric, as ``metrics.json`` holds it.
    of : int
        Number of complete runs for which the metric is defined.
    same_bars : int
        Number of those that were judged on some of the test bars of the best, itself included.
    looks : Looked or None
        Evaluations of these bars by runs of the store, those of removed runs included.
    decision : Decision
        Decision on the promotion of the best run.
    """

    run: RunSummary
    value: float
    info: Mapping[str, Any]
    of: int
    same_bars: int
    looks: Looked | None
    decision: Decision

    def lines(self) -> list[str]:
        """Return what people read, a paragraph each."""
        label = self.info["label"]
        found = [f"{self.run.id}: {label} {format_value(self.info['unit'], self.value)}, "]
        found[0] += f"{self.run.strategy}"
        if self.of == 1:
            found.append(f"It is the only complete run with this metric ({self.info['key']}).")
        else:
            found.append(
                f"It is the best of {self.of:,} complete runs by {self.info['key']}; "
                f"{self.same_bars:,} of them, itself included, were judged on its test bars or "
                "some of them."
            )
        found.append(str(self.looks or "No ledger knows how often its test bars were evaluated."))
        return [*found, self.decision.sentence]

    def record(self) -> dict[str, Any]:
        """Return the same as JSON."""
        return {
            "run": self.run.id,
            "folder": str(self.run.folder),
            "strategy": self.run.strategy,
            "metric": self.info["key"],
            "value": self.value,
            "best_of": self.of,
            "on_same_bars": self.same_bars,
            "looks": self.looks and asdict(self.looks),
            "promoted": self.decision.promoted,
            "decision": self.decision.sentence,
        }


def best_of(complete: Sequence[RunSummary], metric: str) -> Best:
    """Return the best of some complete runs; the oldest among equals.

    Raises
    ------
    ConfigError
        If no run has the metric, or if it has no better direction.
    RunError
        If the metric is undefined for all runs.
    """
    from reinforcestrategycreator_pipeline.verdict.looks import count_looks, looks_at

    info = metric_info(complete, metric)
    if info.get("higher_is_better") is None:
        raise ConfigError(f"the metric {metric!r} has no better direction to choose by.")
    defined = [run for run in complete if run.figures.get(metric) is not None]
    if not defined:
        raise RunError(f"the metric {metric!r} is undefined for every complete run.")
    best = min(defined, key=lambda run: _place(run, info))
    saw = {look.of_run for look in looks_at(best.folder)} | {(best.id, best.created)}
    return Best(
        best,
        float(best.figures[metric] or 0.0),
        info,
        len(defined),
        sum((run.id, run.created) in saw for run in defined),
        count_looks(best.folder),
        Decision.from_json(read_metrics(best.folder, read_manifest(best.folder))["decision"]),
    )
