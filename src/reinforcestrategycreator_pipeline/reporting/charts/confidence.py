"""The charts of how sure the policy was of its trades."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.reporting.charts.base import Times, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, kept, line, numbers
from reinforcestrategycreator_pipeline.reporting.confidence import confidence_note, says, z_of
from reinforcestrategycreator_pipeline.reporting.data import ReportData, stamp_texts

SECTION = "Confidence"
_SIDES = (("long", "--c-long"), ("short", "--c-short"))


def _caption(data: ReportData, asset: str) -> str:
    note = confidence_note(data.results[asset][data.policy])
    return f"Each point is a trade, at its z: advantage over spread when it was decided. {note}"


@chart("confidence_outcome", "z and return of each trade", SECTION, caption=_caption)
def outcome_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the return of each trade over its z; None if the policy does not say how sure it was."""
    result = data.results[asset][data.policy]
    if not says(result) or not np.isfinite(z_of(result.trades)).any():
        return None
    trades = result.trades.assign(z=z_of(result.trades)).dropna(subset="z")
    trades = trades.iloc[kept(len(trades))]
    traces = []
    for side, color in _SIDES:
        rows = trades[trades["side"] == side]
        if len(rows):
            entered = stamp_texts(pd.DatetimeIndex(rows["entry_time"]), result.timestamps)
            symbols = rows["symbol"].tolist()
            texts = [
                f"{escape(s, quote=False)}, {t}" for s, t in zip(symbols, entered, strict=True)
            ]
            style = {"mode": "markers", "marker": {"size": 7, "color": color, "opacity": 0.7}}
            hover = "%{text}: z %{x:.2f}, return %{y:.2%}"
            x = numbers(rows["z"])
            traces.append(line(x, rows["return"], side, {}, hover, text=texts, **style))
    layout = {
        "xaxis": {"title": {"text": "z: advantage over spread"}, "zeroline": True},
        "yaxis": {"title": {"text": "return, net of costs"}, "tickformat": ".1%", "zeroline": True},
        "hovermode": "closest",
    }
    return {"data": traces, "layout": layout}


@chart(
    "confidence_spread",
    "Advantage and spread of each entry",
    SECTION,
    caption="Mean advantage over staying when the trade was decided, and one standard deviation "
    "over the agents on both sides.",
)
def spread_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the advantage of each entry over time, with its spread over the agents as bars."""
    result = data.results[asset][data.policy]
    if not says(result):
        return None
    trades = result.trades.dropna(subset="advantage_bps")
    if not len(trades):
        return None
    trades = trades.iloc[kept(len(trades))]
    traces = []
    for side, color in _SIDES:
        rows = trades[trades["side"] == side]
        if len(rows):
            bars = {"type": "data", "array": numbers(rows["spread_bps"]), "color": color}
            style = {
                "mode": "markers",
                "marker": {"size": 6, "color": color},
                "error_y": {**bars, "thickness": 1, "width": 0},
            }
            x = stamp_texts(pd.DatetimeIndex(rows["entry_time"]), result.timestamps)
            traces.append(line(x, rows["advantage_bps"], side, {}, "%{y:.1f} bps", **style))
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": "advantage, bps"}, "zeroline": True},
        "hovermode": "closest",
    }
    return {"data": traces, "layout": layout}
