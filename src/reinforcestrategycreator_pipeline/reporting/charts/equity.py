"""The chart of equity and drawdown."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtesting.metrics.equity import drawdown
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, ORACLE, PORTFOLIO
from reinforcestrategycreator_pipeline.reporting.charts import plotting
from reinforcestrategycreator_pipeline.reporting.charts.band import band_note, band_traces
from reinforcestrategycreator_pipeline.reporting.charts.base import Times, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, kept, line, rule
from reinforcestrategycreator_pipeline.reporting.data import ReportData, stamp_texts
from reinforcestrategycreator_pipeline.reporting.strategies import look_of
from reinforcestrategycreator_pipeline.reporting.words import how_often


def _caption(data: ReportData, asset: str) -> str:
    bars = max(len(data.results[name][data.policy].equity) for name in data.assets)
    limit = plotting.MAX_POINTS
    thinned = (
        f" Lines of more than {limit:,} bars are drawn at fewer, with their highest and lowest "
        "values kept; results.parquet has every bar."
        if bars > limit
        else ""
    )
    hidden = (
        " The oracle is hidden because its scale dwarfs the others; click its name to show it."
        if ORACLE in data.results[asset]
        else ""
    )
    moved = ""
    if asset == PORTFOLIO and len(data.symbols) > 1:
        never = data.rebalance == "never"
        how = "never rebalanced" if never else f"rebalanced {how_often(data.rebalance)}"
        moved = f" The portfolio of each strategy is {how}."
    windows = " Dashed lines: another window's policy takes over." if data.walks else ""
    return (
        f"Growth of 1, net of costs, and the drawdown from the highest close so far."
        f"{band_note(data, asset)}{windows}{moved}{hidden}{thinned}"
    )


@chart(
    "equity",
    "Growth of 1 of every strategy, and drawdown below it",
    "Equity and drawdown",
    caption=_caption,
    height=560,
    log_button=True,
)
def equity_figure(data: ReportData, asset: str, times: Times) -> Figure:
    """Draw the growth of 1 on top and the drawdown below, on one time axis."""
    main = [
        data.results[asset][n]
        for n in dict.fromkeys((data.policy, BUY_AND_HOLD))
        if n in data.results[asset]
    ]
    stamps = main[0].timestamps
    keep = kept(len(stamps), *(result.equity for result in main))
    x = times.axis(stamps, keep)
    traces: list[dict[str, Any]] = []
    for name, result in data.results[asset].items():
        growth = np.asarray(result.equity, dtype=np.float64) / result.equity[0]
        look = look_of(name, data.policy).line
        # The oracle's scale dwarfs the others; a click on the legend shows it.
        more: dict[str, Any] = {"visible": "legendonly" if name == ORACLE else True}
        more["legendgroup"] = escape(name, quote=False)
        traces.append(line(x, growth[keep], name, look, "%{y:.4g}", **more))
        if name not in ("flat", ORACLE):
            more |= {"yaxis": "y2", "showlegend": False}
            if name == data.policy:
                more |= {"fill": "tozeroy", "fillcolor": "--c-policy-soft"}
            traces.append(line(x, drawdown(growth)[keep], name, look, "%{y:.1%}", **more))
    traces += band_traces(data, asset, times)
    layout = {
        "xaxis": {"anchor": "y2", "type": "date"},
        "yaxis": {"domain": [0.36, 1.0], "title": {"text": "growth of 1"}},
        "yaxis2": {
            "domain": [0.0, 0.3],
            "title": {"text": "drawdown"},
            "tickformat": ".0%",
            "rangemode": "tozero",
        },
        "hovermode": "x unified",
    }
    if data.walks:
        starts = stamp_texts(pd.DatetimeIndex([window.judged[0] for window in data.windows]))
        layout["shapes"] = [rule(start) for start in starts[1:]]
    return {"data": traces, "layout": layout}
