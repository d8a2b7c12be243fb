"""Whether the figures of runs compare: the same bars, of the same length, at the same costs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.reporting.comparison.data import ComparedRun

_VALUES, _NAMES, _SYMBOLS = 6, 4, 6  # that one sentence lists
_BARS = "The runs were judged on different test bars"
_LENGTHS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def warnings_of(runs: Sequence[ComparedRun]) -> tuple[str, ...]:
    """Say what keeps the figures of some runs from comparing, one sentence a reason.

    Parameters
    ----------
    runs : sequence of ComparedRun
        Runs; those without a result are left out.
    """
    judged = [run for run in runs if run.judgement is not None]
    said = [
        _differing(judged, f"{_BARS}, of different assets", _symbols, _symbols_text),
        _differing(judged, f"{_BARS}, of different spans", _span, _span),
        _differing(judged, f"{_BARS}, of different lengths", _spacing, _spacing_text),
    ]
    if not any(said):
        head = f"{_BARS}, with other prices on the same dates"
        said.append(_differing(judged, head, _prices, lambda run: ""))
    said.append(_costs(judged))
    return tuple(text for text in said if text)


def _differing(
    runs: Sequence[ComparedRun],
    head: str,
    value: Callable[[ComparedRun], Hashable],
    text: Callable[[ComparedRun], str],
) -> str:
    """Return the sentence on a value in which runs differ; empty if they do not, or none has it."""
    found: dict[Hashable, list[ComparedRun]] = {}
    for run in runs:
        if (own := value(run)) is not None:
            found.setdefault(own, []).append(run)
    if len(found) < 2:
        return ""
    said = [f"{text(own[0])} ({_named(own)})".strip() for own in list(found.values())[:_VALUES]]
    more = len(found) - len(said)
    return f"{head}: {'; '.join(said)}{f'; and {more:,} more' if more else ''}."


def _named(runs: Sequence[ComparedRun]) -> str:
    names = ", ".join(run.name for run in runs[:_NAMES])
    more = len(runs) - _NAMES
    return f"{names} and {more:,} more" if more > 0 else names


def _symbols(run: ComparedRun) -> Hashable:
    return run.look and frozenset(run.look.symbols)


def _symbols_text(run: ComparedRun) -> str:
    symbols = sorted(run.look.symbols) if run.look else []
    more = len(symbols) - _SYMBOLS
    return ", ".join(symbols[:_SYMBOLS]) + (f" and {more:,} more" if more > 0 else "")


def _span(run: ComparedRun) -> str:
    return span_text(run.index[0], run.index[-1])


def span_text(start: pd.Timestamp, end: pd.Timestamp) -> str:
    """Return a span as dates, with times if it lies within one day."""
    pattern = "%Y-%m-%d" if start.date() != end.date() else "%Y-%m-%d %H:%M"
    return f"{start.strftime(pattern)} to {end.strftime(pattern)}"


def _spacing(run: ComparedRun) -> int:
    """Return the median time between two closes, in seconds."""
    return int(np.median(np.diff(run.index.as_unit("s").asi8)))


def _spacing_text(run: ComparedRun) -> str:
    spacing = _spacing(run)
    name, seconds = next((x for x in _LENGTHS if spacing >= x[1]), _LENGTHS[-1])
    count = f"{spacing / seconds:.3g}"
    return f"{count} {name}" if count == "1" else f"{count} {name}s"


def _prices(run: ComparedRun) -> Hashable:
    return run.look and run.look.conditions.get("data")


def _costs(runs: Sequence[ComparedRun]) -> str:
    keys = dict.fromkeys(key for run in runs for key in run.costs)
    other = [key for key in keys if len({run.costs.get(key) for run in runs}) > 1]

    def own(run: ComparedRun) -> Hashable:
        return tuple(run.costs.get(key) for key in other)

    def text(run: ComparedRun) -> str:
        return ", ".join(f"{key} {run.costs.get(key, '—')}" for key in other)

    return _differing(runs, "The runs paid different costs", own, text)
