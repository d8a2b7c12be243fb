"""A search in words and tables."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.experiments.search import Listed, Range
from reinforcestrategycreator_pipeline.experiments.trials import FinishedTrial
from reinforcestrategycreator_pipeline.reporting.search.data import STATES, SearchData
from reinforcestrategycreator_pipeline.reporting.words import Tile
from reinforcestrategycreator_pipeline.runs.artifacts import STUDIES
from reinforcestrategycreator_pipeline.runs.studies import STUDY_REPORT
from reinforcestrategycreator_pipeline.verdict.decision import spelled

TRIALS_SHOWN = 50
_WINDOWS_SHOWN = 6  # a table with more columns would not be read
_ERRORS_SHOWN, _NUMBERS_SHOWN = 8, 12
_NAMES = {"complete": "complete", "pruned": "ended early", "failed": "failed"}

CAVEAT = (
    "The best of many trials looks better than it is, because it was chosen by this figure, even "
    "if none of them has an edge. Only the test bars, which no trial has seen, can judge it, and "
    "only once."
)


MAP_NOTE = (
    "Each point is a trial at the value that it tried: filled if it is complete, hollow if it "
    "ended early and has fewer inner windows, a star for the best. Trials of one choice are spread "
    "a little; those that failed have no figure. Keys that explain more come first."
)


class TrialRow(NamedTuple):
    """One trial in the table: texts, and the numbers by which columns are sorted."""

    number: int
    state: str
    objective: str
    value: float | None
    parameters: list[str]
    windows: list[str]
    seconds: float
    best: bool


def title(data: SearchData) -> str:
    """Return the heading of the page."""
    if data.best is None:
        return "No trial can be ranked"
    found = f"{data.metric.label} {data.text(data.best.objective)}"
    return f"The best of {len(data.trials):,} trials: {found}"


def finding(data: SearchData) -> str:
    """Say what was tried, and which trial is the best."""
    counts = ", ".join(f"{data.count(s):,} {_NAMES[s]}" for s in STATES if data.count(s))
    windows = "one inner window"
    if data.search.folds > 1:
        windows = f"{spelled(data.search.folds)} inner windows"
    done, asked = len(data.trials), data.search.trials
    which = f"All {done:,}" if done == asked else f"{done:,} of {asked:,}"
    text = f"{which} trials are finished: {counts}."
    if data.best is None:
        return f"{text} The {data.metric.label} of none of them is defined after all inner windows."
    return (
        f"Trial {data.best.number} has the best {data.metric.label}, "
        f"{data.text(data.best.objective)}, on the out-of-sample bars of {windows}; all bars of "
        f"the search end before the test bars, on {data.end[:10]}. {text}"
    )


def tiles(data: SearchData) -> list[Tile]:
    """Return the key figures of a search."""
    shown = []
    ranked = [t.objective for t in data.trials if t.ranks and t.objective is not None]
    if data.best is not None:
        label = f"Best {data.metric.label}"
        shown.append(Tile(label, data.text(data.best.objective), f"trial {data.best.number}"))
        median = float(np.median(ranked))
        shown.append(Tile("Median", data.text(median), f"of {len(ranked):,} complete trials"))
    early = ", ".join(f"{data.count(s):,} {_NAMES[s]}" for s in STATES[1:] if data.count(s))
    shown.append(Tile("Trials", f"{len(data.trials):,}", early or "all complete"))
    seconds = sum(trial.seconds for trial in data.trials)
    mean = seconds / max(1, len(data.trials))
    shown.append(Tile("Time of all trials", duration(seconds), f"{duration(mean)} a trial"))
    return shown


def duration(seconds: float) -> str:
    """Return a duration: ``"3.1 s"``, ``"12 min"``, ``"3.4 h"``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def windows_shown(data: SearchData) -> int:
    """Return how many inner windows have a column in the table, the last one left out."""
    inner = data.search.folds - 1
    return inner if inner <= _WINDOWS_SHOWN else 0


def trial_rows(data: SearchData, most: int = TRIALS_SHOWN) -> list[TrialRow]:
    """Return the rows of the best trials; those that ended early or failed come last."""
    return [_row(data, trial) for trial in data.ordered[:most]]


def _row(data: SearchData, trial: FinishedTrial) -> TrialRow:
    count = windows_shown(data)
    values = [*trial.objectives[:count], *[None] * count][:count]
    return TrialRow(
        trial.number,
        _NAMES[trial.state],
        data.text(trial.objective),
        trial.objective,
        [value_text(trial.parameters[key]) for key in data.search.space],
        [data.text(value) for value in values],
        trial.seconds,
        trial is data.best,
    )


def failures(data: SearchData) -> list[tuple[str, str]]:
    """Return why trials failed: their numbers, and the error; the most frequent errors first."""
    found: dict[str, list[str]] = {}
    for trial in data.trials:
        if trial.error:
            found.setdefault(trial.error, []).append(str(trial.number))
    rows = sorted(found.items(), key=lambda row: -len(row[1]))[:_ERRORS_SHOWN]
    return [(", ".join(numbers[:_NUMBERS_SHOWN]), error) for error, numbers in rows]


def value_text(value: object) -> str:
    """Return a value of the configuration as people write it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return shorten(value if isinstance(value, str) else json.dumps(value), 60)


def space_rows(data: SearchData) -> list[tuple[str, str]]:
    """Return each key that was varied, with its values and the share that it explains."""
    rows = []
    for key, given in data.search.space.items():
        share = data.shares[key]
        said = "" if share is None else f"; explains {share:.0%} of the objective's ranks"
        rows.append((key, f"{_values(given)}{said}"))
    return rows


def _values(given: Range | Listed) -> str:
    if not isinstance(given, Range):
        return "one of " + "; ".join(map(value_text, given))
    kind = "integers" if given.whole else "numbers"
    more = ", on a logarithmic scale" if given.log else ""
    more += "" if given.step is None else f", in steps of {given.step:g}"
    return f"{kind} from {given.low:g} to {given.high:g}{more}"


def facts(data: SearchData) -> list[tuple[str, str]]:
    """Return the facts that identify and describe a search."""
    search = data.search
    better = "more" if search.maximizes else "less"
    return [
        ("Search", f"{data.study} ({data.status})"),
        ("Created", data.created),
        ("Package version", data.version),
        ("Seed", f"{data.seed}, of all trials"),
        ("Metric", f"{data.metric.label}: {better} is better"),
        ("Inner windows", f"{search.folds:,}; the last bar closes on {data.end[:10]}"),
        (
            "Ends early",
            "if worse than the median after an inner window" if search.prune else "never",
        ),
        ("Proposals", f"{search.sampler}, in generations of {search.generation:,}"),
    ]


def terms(data: SearchData) -> list[tuple[str, str]]:
    """Return the terms of the page with their definitions."""
    return [
        (data.metric.label, data.metric.definition),
        (
            "Inner windows",
            "Spans of the bars before the test bars, walking forward: each is traded by a policy "
            "that was fitted on bars before it. Their parts together, on one account, give the "
            "figure by which trials are compared.",
        ),
        (
            "Ended early",
            "The trial was worse than the median of the earlier generations after an inner window, "
            "and its other windows were not tried.",
        ),
        (
            "Share of the ranks",
            "How much of the variance of the objective's ranks lies between groups of values: eta "
            "squared of the test of Kruskal and Wallis, over complete trials. A group is a choice, "
            "or a quarter of the values tried. It describes these trials and is no test; keys can "
            "also matter together.",
        ),
    ]


def search_note(trial: str, data: SearchData | None) -> str:
    """Say of which trial a run has the configuration; empty if of none."""
    if not trial:
        return ""
    study, _, number = trial.rpartition("/")
    text = f"The configuration is that of trial {number} of the search {study}"
    if data is None:
        return f"{text}, whose folder is not in this store, or is damaged."
    own = next((t for t in data.trials if str(t.number) == number), None)
    if own is not None and own is data.best:
        text += f", the best of {len(data.trials):,}"
    if own is not None:
        text += f": {data.metric.label} {data.text(own.objective)} on bars before the test bars"
    return f"{text}. {CAVEAT}" if own is not None and own is data.best else f"{text}."


def search_link(trial: str) -> str:
    """Return the path of a search's page from that of a run's report."""
    return f"../../{STUDIES}/{trial.rpartition('/')[0]}/{STUDY_REPORT}"
