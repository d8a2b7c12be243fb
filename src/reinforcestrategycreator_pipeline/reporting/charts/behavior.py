"""The charts of what the policy does: importance of features, and decisions by their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.reporting.behavior.found import Bin, Importance
from reinforcestrategycreator_pipeline.reporting.behavior.responses import BINS
from reinforcestrategycreator_pipeline.reporting.behavior.words import (
    ADVANTAGE_NOTE,
    RESPONSE_NOTE,
    importance_note,
    ranked,
)
from reinforcestrategycreator_pipeline.reporting.charts.base import Times, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, numbers
from reinforcestrategycreator_pipeline.reporting.data import ReportData

SECTION = "What the policy does"
_SHOWN, _NAME = 20, 24


@chart(
    "importance",
    "Share of the decisions that change if a feature is permuted",
    SECTION,
    caption=lambda data, _: importance_note(data.behavior),
    per="run",
    height=420,
    wide=True,
)
def importance_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the share of changed decisions of the features that matter most; None if unknown."""
    if data.behavior is None or not data.behavior.importances:
        return None
    names = ranked(data.behavior)[:_SHOWN]
    found = [data.behavior.importances[name] for name in names]
    bars: Figure = {
        "type": "bar",
        "orientation": "h",
        "x": numbers([each.changed for each in found]),
        "y": list(range(len(names))),
        "marker": {"color": "--c-policy"},
        "text": [_hover(name, each) for name, each in zip(names, found, strict=True)],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }
    top = max(0.01, 1.08 * max(each.changed for each in found))
    layout = {
        "xaxis": {
            "title": {"text": "decisions that change"},
            "tickformat": ".1%",
            "range": [0.0, top],
        },
        "yaxis": _named(names),
        "hovermode": "closest",
    }
    return {"data": [bars], "layout": layout}


def _heat(
    data: ReportData, value: Callable[[Bin], float | None], bound: float, form: str
) -> Figure:
    """Return a heat map with a row for each feature and a column for each tenth of its values."""
    assert data.behavior is not None
    names = ranked(data.behavior)[:_SHOWN]
    ticks = ".0%" if form.endswith("%") else ".1~g"
    rows = [tenths(data.behavior.responses[name]) for name in names]
    heat: dict[str, Any] = {
        "type": "heatmap",
        "x": list(range(1, BINS + 1)),
        "y": list(range(len(names))),
        "z": [numbers([_or_nan(value(each)) for each in row]) for row in rows],
        "text": [
            [f"about {each.value:.3g} ({each.count:,} decisions)" for each in r] for r in rows
        ],
        "zmin": -bound,
        "zmax": bound,
        "colorscale": [[0, "--c-short"], [0.5, "--c-none"], [1, "--c-long"]],
        "hovertemplate": f"%{{text}}: %{{z:{form}}}<extra></extra>",
        "colorbar": {
            "tickformat": ticks,
            "thickness": 10,
            "outlinewidth": 0,
        },
        "xgap": 1,
        "ygap": 1,
    }
    layout = {
        "xaxis": {"title": {"text": "tenth of the values"}, "dtick": 1},
        "yaxis": _named(names),
        "hovermode": "closest",
    }
    return {"data": [heat], "layout": layout}


def _named(names: Sequence[str]) -> dict[str, Any]:
    """Return a y axis with the name of a feature at each row, the first one at the top."""
    texts = [escape(shorten(name, _NAME), quote=False) for name in names]
    ticks = {"tickvals": list(range(len(names))), "ticktext": texts}
    return {"autorange": "reversed", "showgrid": False, **ticks}


def _hover(name: str, found: Importance) -> str:
    growth = "" if found.growth is None else f", log growth {found.growth:+.3f}"
    return f"{escape(name, quote=False)}: {found.changed:.1%} of decisions{growth}"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def tenths(bins: Sequence[Bin]) -> list[Bin]:
    """Return the bin in the middle of each tenth of the decisions.

    A feature with few different values has bins that are wider than a tenth.
    """
    ends = np.cumsum([each.count for each in bins])
    middles = (np.arange(BINS) + 0.5) / BINS * ends[-1]
    return [bins[k] for k in np.searchsorted(ends, middles)]


@chart(
    "response",
    "Mean exposure by tenths of each feature",
    SECTION,
    caption=RESPONSE_NOTE,
    per="run",
    height=420,
)
def response_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the mean chosen exposure in each tenth of each feature; None if unknown."""
    if data.behavior is None or not any(data.behavior.responses.values()):
        return None
    bound = max([abs(float(p)) for p in data.positions], default=1.0)
    return _heat(data, lambda each: each.exposure, bound, ".0%")


@chart(
    "response_advantage",
    "Mean advantage by tenths of each feature",
    SECTION,
    caption=ADVANTAGE_NOTE,
    per="run",
    height=420,
)
def advantage_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the mean advantage in each tenth of each feature; None if the policy does not say."""
    if data.behavior is None:
        return None
    bins = [each for row in data.behavior.responses.values() for each in row]
    sizes = [abs(each.advantage_bps) for each in bins if each.advantage_bps is not None]
    if not sizes:
        return None
    return _heat(data, lambda each: each.advantage_bps, max(*sizes, 1e-6), ".2f")
