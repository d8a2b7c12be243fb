"""The chart of the test against chance."""

from __future__ import annotations

from itertools import pairwise
from statistics import NormalDist

import numpy as np

from reinforcestrategycreator_pipeline.reporting.charts.base import Times, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import (
    Figure,
    label,
    numbers,
    rule,
)
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.words import chance_note

_BINS = 40
_normal = NormalDist()


def _caption(data: ReportData, _: str) -> str:
    found = data.judgement.chance
    return "" if found is None else chance_note(found)


@chart(
    "chance",
    "Histogram of the policy's timing of its bars in other orders",
    "Against chance",
    caption=_caption,
    per="run",
    height=300,
    wide=True,
)
def chance_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the distribution of timing in other orders of the bars, and the policy's own."""
    found = data.judgement.chance
    if found is None or found.p is None:
        return None
    drawn = np.array(found.drawn)
    if found.normal:
        drawn = np.array([-3.0, 3.0])
    low, high = min(drawn.min(), found.timing), max(drawn.max(), found.timing)
    margin = 0.05 * max(high - low, 1e-6)
    edges = np.linspace(low - margin, high + margin, _BINS + 1)
    counts = np.histogram(drawn, edges)[0].astype(float)
    if found.normal:
        counts = np.array([100.0 * (_normal.cdf(b) - _normal.cdf(a)) for a, b in pairwise(edges)])
    what = "% of orders" if found.normal else "orders"
    bars: Figure = {
        "type": "bar",
        "x": numbers((edges[1:] + edges[:-1]) / 2),
        "y": numbers(counts),
        "name": "other orders",
        "marker": {"color": "--c-hold"},
        "hovertemplate": "%{x:.2f}: %{y:.3~g} " + what,
    }
    right = found.timing > (low + high) / 2
    own = label(found.timing, f"the policy, p {found.p:.2g}")
    own |= {"xanchor": "right", "xshift": -4} if right else {}
    layout = {
        "xaxis": {"title": {"text": "timing of all windows, net of costs, in standard deviations"}},
        "yaxis": {"title": {"text": what}},
        "bargap": 0.05,
        "showlegend": False,
        "shapes": [rule(found.timing) | {"line": {"color": "--c-policy", "width": 2.5}}],
        "annotations": [own],
    }
    return {"data": [bars], "layout": layout}
