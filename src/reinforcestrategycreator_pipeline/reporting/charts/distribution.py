"""The chart of the distribution of returns."""

from __future__ import annotations

from html import escape

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD
from reinforcestrategycreator_pipeline.reporting.charts.base import Times, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import (
    Figure,
    label,
    line,
    numbers,
    rule,
)
from reinforcestrategycreator_pipeline.reporting.data import ReportData

_BINS = 60


@chart(
    "distribution",
    "Histogram of returns per bar",
    "Returns per bar",
    caption="Share of the bars on which the strategy held a position. "
    "The VaR is computed over all bars of the policy.",
)
def distribution_figure(data: ReportData, asset: str, times: Times) -> Figure:
    """Draw a histogram of returns per bar with a position, and the 5% quantile of all bars."""
    shown: dict[str, F64] = {}
    for name in dict.fromkeys((data.policy, BUY_AND_HOLD)):
        if name in data.results[asset]:
            result = data.results[asset][name]
            equity = np.asarray(result.equity, dtype=np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                returns = equity[1:] / equity[:-1] - 1.0
            shown[name] = returns[np.isfinite(returns) & ((result.exposure != 0) | (returns != 0))]
    pooled = np.concatenate(list(shown.values()))
    low, high = (float(pooled.min()), float(pooled.max())) if pooled.size else (-0.01, 0.01)
    if not high > low:
        low, high = low - 0.005, high + 0.005
    edges = np.linspace(low, high, _BINS + 1)
    middles = numbers((edges[1:] + edges[:-1]) / 2)
    traces = []
    for name, returns in shown.items():
        counts = np.histogram(returns, edges)[0] / max(len(returns), 1)
        hover = "%{x:.2%}: %{y:.1%} of bars"
        if name == data.policy:
            marker = {"color": "--c-policy", "opacity": 0.75}
            bars: Figure = {"type": "bar", "marker": marker, "hovertemplate": hover}
            bars |= {"x": middles, "y": numbers(counts), "name": escape(name, quote=False)}
            traces.append(bars)
        else:
            look = {"color": "--c-hold", "width": 2, "shape": "hvh"}
            traces.append(line(middles, counts, name, look, hover))
    shapes, annotations = [], []
    quantile = data.value(asset, data.policy, "value_at_risk").value
    if quantile is not None:
        shapes.append(rule(quantile))
        annotations.append(label(quantile, "VaR 95%"))
    layout = {
        "xaxis": {"title": {"text": "return per bar"}, "tickformat": ".1%"},
        "yaxis": {"title": {"text": "share of bars in the market"}, "tickformat": ".0%"},
        "bargap": 0.05,
        "shapes": shapes,
        "annotations": annotations,
    }
    return {"data": traces, "layout": layout}
