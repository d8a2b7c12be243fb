"""The chart of positions: over the price of an asset, or across the assets of a portfolio."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, StrategyResult
from reinforcestrategycreator_pipeline.reporting.charts.base import Times, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, kept, line, numbers
from reinforcestrategycreator_pipeline.reporting.data import ReportData, stamp_texts

MOST_ROWS = 40
"""Number of assets up to which the portfolio's chart has a row for each."""


def _drawable(data: ReportData, asset: str) -> bool:
    return (
        bool(data.symbols and data.positions)
        if asset == PORTFOLIO
        else len(data.prices.get(asset, ())) > 0
    )


def _caption(data: ReportData, asset: str) -> str:
    if not _drawable(data, asset):
        return "No prices to draw."
    if asset == PORTFOLIO and len(data.symbols) > MOST_ROWS:
        return (
            "Share of the assets that the policy holds long (above zero) and short (below), and "
            "its exposure over all money."
        )
    if asset == PORTFOLIO:
        return (
            "Exposure of the policy to each asset, as a fraction of the money in that asset's "
            "account. The row Portfolio of the table of the run says how these are weighted."
        )
    return (
        "A target is decided at the close and filled at the next open. Blue shading: long, "
        "orange: short."
    )


@chart("positions", "Price and positions of the policy", "Positions", caption=_caption, height=520)
def positions(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the policy's positions; None for an asset without prices."""
    if not _drawable(data, asset):
        return None
    if asset == PORTFOLIO:
        many = len(data.symbols) > MOST_ROWS
        return breadth_figure(data, times) if many else allocation_figure(data, times)
    return positions_figure(data.results[asset][data.policy], data.prices[asset], times)


def positions_figure(result: StrategyResult, prices: pd.DataFrame, times: Times) -> Figure:
    """Draw closes and trades over long/short shading, and the exposure below.

    An exposure is drawn from the close at which it was decided to the next close.
    """
    exposure = np.append(result.exposure, result.exposure[-1:])
    keep = kept(len(exposure), exposure)
    x, exposure = times.axis(result.timestamps, keep), exposure[keep]
    close = prices["close"].to_numpy(dtype=np.float64)
    keep = kept(len(close), close)
    x_price, close = times.axis(pd.DatetimeIndex(prices.index), keep), close[keep]
    long, short, policy = "--c-long-soft", "--c-short-soft", "--c-policy"
    price = {"color": "--c-price", "width": 1.3}
    stepped = {"shape": "hv", "width": 1.4, "color": policy}
    below = {"yaxis": "y2", "fill": "tozeroy", "fillcolor": f"{policy}-soft", "showlegend": False}
    traces = [
        line(
            x,
            held.astype(int),
            name,
            {"shape": "hv", "width": 0, "color": color},
            yaxis="y3",
            fill="tozeroy",
            fillcolor=color,
        )
        for name, held, color in (("long", exposure > 0, long), ("short", exposure < 0, short))
        if held.any()
    ]
    traces.append(line(x_price, close, "close", price, "%{y:,.6~g}"))
    traces += _markers(result)
    traces.append(line(x, exposure, "exposure", stepped, "%{y:.0%}", **below))
    # Without a range, the markers would widen the axis.
    span = stamp_texts(result.timestamps[[0, -1]], result.timestamps)
    layout = {
        "xaxis": {"anchor": "y2", "type": "date", "range": [span[0], span[-1]]},
        "yaxis": {"domain": [0.3, 1.0], "title": {"text": "price, adjusted"}},
        "yaxis2": {"domain": [0.0, 0.22], "title": {"text": "exposure"}, "tickformat": ".0%"},
        "yaxis3": {"domain": [0.3, 1.0], "range": [0, 1], "overlaying": "y", "visible": False},
        "hovermode": "x unified",
    }
    return {"data": traces, "layout": layout}


def _markers(result: StrategyResult) -> list[dict[str, Any]]:
    trades = result.trades
    long = (trades["side"] == "long").to_numpy(dtype=bool)
    closed = ~trades["open"].to_numpy(dtype=bool) if len(trades) else long
    groups = (
        ("buy", long, "entry", "triangle-up", "--c-long"),
        ("sell short", ~long, "entry", "triangle-down", "--c-short"),
        ("exit", closed, "exit", "x-thin-open", "--c-exit"),
    )
    traces = []
    for name, chosen, end, symbol, color in groups:
        rows = trades[chosen]
        if len(rows):
            marker = {
                "symbol": symbol,
                "size": 9 if end == "entry" else 7,
                "color": color,
                "line": {"width": 1.5 if end == "exit" else 0.5, "color": color},
            }
            x = stamp_texts(pd.DatetimeIndex(rows[f"{end}_time"]), result.timestamps)
            style = {"mode": "markers", "marker": marker}
            traces.append(line(x, rows[f"{end}_price"], name, {}, "%{y:,.6~g}", **style))
    return traces


def allocation_figure(data: ReportData, times: Times) -> Figure:
    """Draw the policy's exposure to each asset over time, as a heat map."""
    members = data.symbols
    reference = data.results[members[0]][data.policy].timestamps
    for member in members[1:]:
        reference = reference.union(data.results[member][data.policy].timestamps)
    reference = reference[kept(len(reference))]
    x = times.axis(reference)
    rows = []
    for member in members:
        result = data.results[member][data.policy]
        held = pd.Series(result.exposure, index=result.timestamps[:-1])
        rows.append(numbers(held.reindex(reference).to_numpy()))
    bound = max(max(abs(float(p)) for p in data.positions), 1e-9)
    heat = {
        "x": x,
        "y": list(range(len(members))),
        "z": rows,
        "type": "heatmap",
        "zmin": -bound,
        "zmax": bound,
        "colorscale": [[0, "--c-short"], [0.5, "--c-none"], [1, "--c-long"]],
        "hovertemplate": "%{x}: %{z:.0%}<extra></extra>",
        "colorbar": {"tickformat": ".0%", "thickness": 10, "outlinewidth": 0},
        "ygap": 3,
    }
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {
            "tickvals": list(range(len(members))),
            "ticktext": [escape(member, quote=False) for member in members],
            "autorange": "reversed",
            "showgrid": False,
        },
    }
    return {"data": [heat], "layout": layout}


def breadth_figure(data: ReportData, times: Times) -> Figure:
    """Draw the share of assets that the policy is long and short, and the portfolio's exposure."""
    portfolio = data.results[PORTFOLIO][data.policy]
    stamps = portfolio.timestamps[:-1]
    long, short, known = (np.zeros(len(stamps)) for _ in range(3))
    for member in data.symbols:
        result = data.results[member][data.policy]
        held = pd.Series(result.exposure, index=result.timestamps[:-1]).reindex(stamps).to_numpy()
        long += held > 0.0
        short += held < 0.0
        known += np.isfinite(held)
    keep = kept(len(stamps), long, short)
    x, most = times.axis(stamps, keep), np.maximum(known, 1.0)
    traces = []
    for name, count, color in (("long", long, "--c-long"), ("short", -short, "--c-short")):
        if count.any():
            look = {"shape": "hv", "width": 1, "color": color}
            area = {"fill": "tozeroy", "fillcolor": f"{color}-soft"}
            share = (count / most)[keep]
            traces.append(line(x, share, f"assets {name}", look, "%{y:.0%}", **area))
    look = {"shape": "hv", "width": 1.5, "color": "--c-price"}
    traces.append(line(x, portfolio.exposure[keep], "exposure", look, "%{y:.0%}"))
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {
            "title": {"text": "share of assets, of money"},
            "tickformat": ".0%",
            "zeroline": True,
        },
        "hovermode": "x unified",
    }
    return {"data": traces, "layout": layout}
