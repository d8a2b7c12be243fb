"""The charts of a comparison: equity of all runs, and their Sharpe ratios with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD
from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.plotting import kept, line, numbers, rule
from reinforcestrategycreator_pipeline.reporting.comparison.data import ComparedRun, ComparisonData
from reinforcestrategycreator_pipeline.reporting.comparison.figures import SharpeRow
from reinforcestrategycreator_pipeline.reporting.search.charts import Picture

_COLORS = ("--c-policy", "--c-hold", "--c-average", "--c-oracle", "--c-random", "--c-price")
_DASHES = ("solid", "dash", "dot")
_MANY = 12  # lines, of which each is thinner
_NAME = 22  # characters of a run beside the axis; hovering shows all


class Line(NamedTuple):
    """A line of the chart of equity in its list: name, CSS color, and dash."""

    name: str
    color: str
    dash: str


def lines_of(data: ComparisonData) -> list[Line]:
    """Return the lines of the chart of equity, in its order.

    Runs that differ only in their seed have one color, and other dashes.
    """
    found: dict[str, Line] = {}
    for number, group in enumerate(data.groups):
        for place, own in enumerate(group.runs):
            dash = _DASHES[(number // len(_COLORS) + place) % len(_DASHES)]
            name = data.runs[own].name
            found[name] = Line(name, _COLORS[number % len(_COLORS)], dash)
    lines = [found[run.name] for run in data.judged]
    if _held(data) is not None:
        lines.append(Line(BUY_AND_HOLD, "--c-flat", "solid"))
    return lines


def _held(data: ComparisonData) -> ComparedRun | None:
    """Return a run whose buy and hold is that of all; None if they differ, or there is none."""
    bars = {run.look.conditions.get("data") if run.look else None for run in data.judged}
    costs = {tuple(sorted(run.costs.items())) for run in data.judged}
    known = [run for run in data.judged if len(run.hold)]
    return known[0] if known and len(bars) == len(costs) == 1 and None not in bars else None


def equity_chart(data: ComparisonData, times: Times) -> Picture | None:
    """Return the chart of the growth of 1 of each run; None if no run has a result."""
    if not data.judged:
        return None
    curves = [data.shown(run.equity) for run in data.judged]
    held = _held(data)
    if held is not None:
        curves.append(data.shown(held.hold))
    width = 1.8 if len(curves) <= _MANY else 1.2
    traces = []
    for look, curve in zip(lines_of(data), curves, strict=True):
        x = times.axis(pd.DatetimeIndex(curve.index))
        equity = curve.to_numpy(np.float64)
        growth = equity[kept(len(equity))] / equity[0]
        drawn = {"color": look.color, "width": width, "dash": look.dash}
        traces.append(line(x, growth, look.name, drawn, "%{x}: %{y:.4g}"))
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": "growth of 1"}},
        "hovermode": "closest",
        "showlegend": False,
    }
    count = "one run" if len(data.judged) == 1 else f"{len(data.judged):,} runs"
    return Picture(
        "runs-equity",
        "Growth of 1",
        f"Growth of 1 of {count}, net of costs",
        "Growth of 1 of each run's judged strategy, net of costs. Point at a name, or go to it by "
        "Tab, to see its line alone; click to keep it. Runs that differ only in their seed have "
        "one color.",
        {"data": traces, "layout": layout},
        height=460,
        wide=True,
    )


def sharpe_chart(rows: Sequence[SharpeRow]) -> Picture | None:
    """Return the chart of the Sharpe ratios with their intervals; None if none is defined."""
    known = [(row.run.name, row.ratio) for row in rows if row.ratio is not None]
    if not known:
        return None
    error: dict[str, Any] = {
        "type": "data",
        "symmetric": False,
        "array": numbers([ratio.high - ratio.value for _, ratio in known]),
        "arrayminus": numbers([ratio.value - ratio.low for _, ratio in known]),
        "color": "--c-policy",
        "thickness": 1.6,
        "width": 4,
    }
    marks: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": numbers([ratio.value for _, ratio in known]),
        "y": list(range(len(known))),
        "error_x": error,
        "marker": {"size": 8, "color": "--c-policy"},
        "text": [
            f"{escape(name, quote=False)}: {ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            for name, ratio in known
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "Sharpe ratio, annualized"}},
        "yaxis": {
            "autorange": "reversed",
            "showgrid": False,
            "tickvals": list(range(len(known))),
            "ticktext": [escape(shorten(name, _NAME), quote=False) for name, _ in known],
        },
        "shapes": [rule(0.0)],
        "hovermode": "closest",
        "showlegend": False,
    }
    best, highest = max(known, key=lambda pair: pair[1].value)
    return Picture(
        "runs-sharpe",
        "Sharpe ratios",
        f"Sharpe ratios of {len(known):,} runs with 95% intervals; the highest is "
        f"{highest.value:.2f}, of {best}",
        "Dots: Sharpe ratios. Bars: 95% intervals. Dashed line: 0.",
        {"data": [marks], "layout": layout},
        height=110 + 26 * len(known),
        wide=True,
    )
