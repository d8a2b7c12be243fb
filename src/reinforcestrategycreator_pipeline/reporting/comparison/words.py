"""A comparison in words and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    MAIN_METRICS,
    find_metric,
    format_value,
)
from reinforcestrategycreator_pipeline.reporting.comparison.comparable import span_text
from reinforcestrategycreator_pipeline.reporting.comparison.data import ComparedRun, ComparisonData
from reinforcestrategycreator_pipeline.reporting.comparison.figures import (
    DRAWS,
    Interval,
    SharpeRow,
)
from reinforcestrategycreator_pipeline.reporting.words import Tile
from reinforcestrategycreator_pipeline.verdict.answer import LEVELS

CAVEAT = (
    "The best of several runs looks better than it is, because it is chosen by this figure, even "
    "if none has an edge. Each p-value counts what had been tried on the same bars when its run "
    "was evaluated, and nothing that was tried later."
)
SEEDS_NOTE = (
    "The interquartile mean leaves out the lowest and the highest quarter of the seeds. The other "
    "columns give the probability that a random seed of the row has a higher Sharpe ratio than one "
    "of the column: 50% if neither is better. With few seeds, it moves by chance alone."
)


class Cell(NamedTuple):
    """A figure in a table: its text, and the number by which a column is sorted."""

    text: str
    value: float | None


class VerdictRow(NamedTuple):
    """A run's answer in words, its p-value, and the reasons."""

    run: ComparedRun
    answer: str
    p: Cell
    reasons: str


class MetricRow(NamedTuple):
    """A run's figures on its whole test span."""

    run: ComparedRun
    strategy: str
    span: str
    bars: Cell
    looks: Cell
    promoted: str
    metrics: list[Cell]


def title(data: ComparisonData) -> str:
    """Return the heading: how many runs got which answer."""
    counts = Counter(run.answer.level for run in data.runs if run.answer)
    said = [f"{counts[level]:,} {level}" for level in LEVELS if counts[level]]
    without = len(data.runs) - counts.total()
    said += [f"{without:,} without a verdict"] if without else []
    return f"{len(data.runs):,} runs: {', '.join(said)}"


def finding(data: ComparisonData) -> str:
    """Say which run is the best, which the worst, and which are promoted."""
    ranked = sorted(_known(data, "sharpe"), key=lambda pair: -pair[1])
    if not ranked:
        return "No run has a Sharpe ratio."
    (best, high), (worst, low) = ranked[0], ranked[-1]
    text = f"The highest Sharpe ratio is {high:.2f}, of {best.name}"
    text += f"; the lowest is {low:.2f}, of {worst.name}." if len(ranked) > 1 else "."
    promoted = [r.name for r in data.judged if r.judgement and r.judgement.decision.promoted]
    return f"{text} Promoted: {', '.join(promoted) or 'none'}."


def _known(data: ComparisonData, key: str) -> list[tuple[ComparedRun, float]]:
    pairs = [(run, run.value(key)) for run in data.judged]
    return [(run, value) for run, value in pairs if value is not None]


def tiles(data: ComparisonData) -> list[Tile]:
    """Return the key figures of a comparison."""
    shown = []
    tested = [(run, run.answer.p) for run in data.runs if run.answer and run.answer.p is not None]
    if tested:
        run, p = min(tested, key=lambda pair: pair[1])
        shown.append(Tile("Lowest p-value", f"{p:.2g}", run.name))
    for key, label in (("sharpe", "Highest Sharpe ratio"), ("max_drawdown", "Smallest drawdown")):
        if known := _known(data, key):
            run, value = max(known, key=lambda pair: pair[1])
            shown.append(Tile(label, format_value(find_metric(key).unit, value), run.name))
    most = max((run.looked.evaluations for run in data.judged if run.looked), default=0)
    if most:
        shown.append(Tile("Looks", f"{most:,}", "most evaluations of the same test bars"))
    return shown


def verdict_rows(data: ComparisonData) -> list[VerdictRow]:
    """Return each run's answer."""
    rows = []
    for run in data.runs:
        answer = run.answer
        if answer is not None:
            p = Cell("—", None) if answer.p is None else Cell(f"{answer.p:.2g}", answer.p)
            rows.append(VerdictRow(run, answer.finding, p, " ".join(answer.reasons)))
            continue
        why = f"The run is {run.manifest.status}."
        if run.judgement is not None:
            why = "It was not tested against chance."
        rows.append(VerdictRow(run, "No verdict", Cell("—", None), why))
    return rows


def metric_columns() -> list[str]:
    """Return the labels of the metrics in the table."""
    return [find_metric(key).label for key in MAIN_METRICS]


def metric_rows(data: ComparisonData) -> list[MetricRow]:
    """Return the main metrics of each run that has a result."""
    rows = []
    for run in data.judged:
        decision = run.judgement.decision if run.judgement else None
        promoted = "yes" if decision and decision.promoted else "no"
        promoted += ", on bars already seen" if decision and decision.first else ""
        looks = run.looked.evaluations if run.looked else None
        bars = len(run.index) - 1
        rows.append(
            MetricRow(
                run,
                run.strategy,
                span_text(run.index[0], run.index[-1]),
                Cell(f"{bars:,}", bars),
                Cell("—" if looks is None else f"{looks:,}", looks),
                promoted,
                [_cell(run, key) for key in MAIN_METRICS],
            )
        )
    return rows


def _cell(run: ComparedRun, key: str) -> Cell:
    value = run.value(key)
    return Cell("—" if value is None else format_value(find_metric(key).unit, value), value)


def span_note(data: ComparisonData) -> str:
    """Say on which bars the charts draw the runs."""
    if not data.judged:
        return ""
    if data.common is None:
        return "The runs have no test bars in common: each is drawn on its own."
    text = span_text(*data.common)
    if data.whole:
        return f"All runs were judged from {text}."
    return f"Drawn on the bars that all have, {text}; the tables above have whole test spans."


def sharpe_note(rows: Sequence[SharpeRow]) -> str:
    """Say how the intervals are made."""
    text = (
        "Annualized, with 95% intervals by a studentized stationary bootstrap of the ratio's "
        f"influence function ({DRAWS:,} draws; Ledoit and Wolf, 2008)."
    )
    if len(rows) > 1:
        text += (
            f" Differences to the first run, {rows[0].run.name}, are paired, bar by bar: one whose "
            "interval has 0 inside may be chance. The intervals do not count how many runs are "
            "compared."
        )
    return text


def interval_text(found: Interval | None, sign: bool = False) -> tuple[str, str]:
    """Return a value and its interval as text."""
    if found is None:
        return "—", ""
    if sign and found.low == found.high:
        return "equal", ""
    plus = "+" if sign else ""
    value, low, high = (f"{round(x, 2) + 0.0:{plus}.2f}" for x in found)  # no "-0.00"
    return value, f"{low} to {high}"


def terms() -> list[tuple[str, str]]:
    """Return the terms of the page with their definitions."""
    return [
        *((find_metric(key).label, find_metric(key).definition) for key in MAIN_METRICS),
        (
            "p",
            "One-sided p-value against chance, after counting all looks: the share of other orders "
            "of the same bars in which the policy would have earned as much.",
        ),
        (
            "Looks",
            "Evaluations of the same test bars, or of some of them, by all runs of the store up to "
            "now.",
        ),
    ]
