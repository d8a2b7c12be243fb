"""The interactive charts as plain Plotly dictionaries.

Colours are names of CSS variables (``"--c-policy"``), which the page's script resolves, so that
one figure serves light and dark. An ``x`` may be ``{"ref": name}``, a shared time axis. Names
that came from a user are HTML-escaped, for Plotly renders a subset of HTML.
"""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.backtest.metrics.equity import drawdown
from reinforcestrategycreator_pipeline.backtest.results import (
    BUY_AND_HOLD,
    ORACLE,
    POLICY,
    PORTFOLIO,
    StrategyResult,
)
from reinforcestrategycreator_pipeline.report.data import ReportData, stamp_texts
from reinforcestrategycreator_pipeline.report.plotting import (
    Figure,
    kept,
    label,
    numbers,
    rule,
)
from reinforcestrategycreator_pipeline.report.training_figures import training_figures

_BINS = 60

# Okabe and Ito's palette tells apart under all common colour blindness; dashes do it in print.
_STYLES: dict[str, dict[str, Any]] = {
    POLICY: {"color": "--c-policy", "width": 2.4},
    BUY_AND_HOLD: {"color": "--c-hold", "width": 1.8},
    "flat": {"color": "--c-flat", "width": 1.2, "dash": "dot"},
    "random (same turnover)": {"color": "--c-random", "width": 1.3, "dash": "dash"},
    "moving-average crossover": {"color": "--c-average", "width": 1.5, "dash": "dashdot"},
    ORACLE: {"color": "--c-oracle", "width": 1.5, "dash": "longdash"},
}
_OTHER = {"color": "--c-other", "width": 1.3, "dash": "longdashdot"}


def payload(data: ReportData) -> dict[str, Any]:
    """Return everything that the page's script draws, JSON-ready.

    Returns
    -------
    dict
        ``times``: name to list of ISO texts; ``assets``: a list, in the order of `data.assets`,
        of chart name to figure; ``training``: chart name to figure.
    """
    times: dict[str, list[str]] = {}
    assets = []
    for index, asset in enumerate(data.assets):
        strategies = data.results[asset]
        stamps = strategies[POLICY].timestamps
        times[f"r{index}"] = stamp_texts(stamps[kept(len(stamps))], stamps)
        figures = {
            "equity": equity_figure(strategies, {"ref": f"r{index}"}),
            "distribution": distribution_figure(data, asset),
        }
        if asset in data.prices and len(data.prices[asset]):
            prices = data.prices[asset]
            times[f"p{index}"] = stamp_texts(_index(prices)[kept(len(prices))], _index(prices))
            figures["positions"] = positions_figure(
                strategies[POLICY], prices, {"ref": f"r{index}"}, {"ref": f"p{index}"}
            )
        elif asset == PORTFOLIO and len(data.results) > 1:
            figures["positions"] = allocation_figure(data, times)
        assets.append(figures)
    return {"times": times, "assets": assets, "training": training_figures(data)}


def equity_figure(strategies: Any, x: Any) -> Figure:
    """Growth of 1 on top, drawdown below, on one time axis."""
    traces: list[dict[str, Any]] = []
    for name, result in strategies.items():
        keep = kept(len(result.equity))
        growth = np.asarray(result.equity, dtype=np.float64) / result.equity[0]
        line = _STYLES.get(name, _OTHER)
        # The oracle's scale dwarfs the others'; a legend click shows it.
        visible: Any = "legendonly" if name == ORACLE else True
        trace = {
            "x": x,
            "name": escape(name, quote=False),
            "type": "scatter",
            "mode": "lines",
            "line": line,
            "legendgroup": escape(name, quote=False),
            "visible": visible,
        }
        traces.append({**trace, "y": numbers(growth[keep]), "hovertemplate": "%{y:.4g}"})
        if name not in ("flat", ORACLE):
            under = {
                "y": numbers(drawdown(growth)[keep]),
                "yaxis": "y2",
                "showlegend": False,
                "hovertemplate": "%{y:.1%}",
            }
            if name == POLICY:
                under |= {"fill": "tozeroy", "fillcolor": "--c-policy-soft"}
            traces.append({**trace, **under})
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
    return {"data": traces, "layout": layout}


def positions_figure(result: StrategyResult, prices: pd.DataFrame, x: Any, x_price: Any) -> Figure:
    """Close with the policy's trades on a long/short shading, and its exposure below.

    An exposure is drawn from the close at which it was decided to the next one.
    """
    keep = kept(len(prices))
    close = prices["close"].to_numpy(dtype=np.float64)[keep]
    exposure = np.append(result.exposure, result.exposure[-1:])[kept(len(result.equity))]
    traces: list[dict[str, Any]] = []
    for name, held, color in (
        ("long", exposure > 0, "--c-long-soft"),
        ("short", exposure < 0, "--c-short-soft"),
    ):
        if held.any():
            traces.append(
                {
                    "x": x,
                    "y": held.astype(int).tolist(),
                    "name": name,
                    "type": "scatter",
                    "mode": "lines",
                    "line": {"shape": "hv", "width": 0, "color": color},
                    "fill": "tozeroy",
                    "fillcolor": color,
                    "yaxis": "y3",
                    "hoverinfo": "skip",
                }
            )
    traces.append(
        {
            "x": x_price,
            "y": numbers(close),
            "name": "close",
            "type": "scatter",
            "mode": "lines",
            "line": {"color": "--c-price", "width": 1.3},
            "hovertemplate": "%{y:,.6~g}",
        }
    )
    traces += _markers(result)
    traces.append(
        {
            "x": x,
            "y": numbers(exposure),
            "name": "exposure",
            "type": "scatter",
            "mode": "lines",
            "line": {"shape": "hv", "width": 1.4, "color": "--c-policy"},
            "fill": "tozeroy",
            "fillcolor": "--c-policy-soft",
            "yaxis": "y2",
            "showlegend": False,
            "hovertemplate": "%{y:.0%}",
        }
    )
    # Else the markers would widen the axis.
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
            marker: dict[str, Any] = {
                "symbol": symbol,
                "size": 9 if end == "entry" else 7,
                "color": color,
            }
            marker["line"] = {"width": 1.5 if end == "exit" else 0.5, "color": color}
            traces.append(
                {
                    "x": stamp_texts(pd.DatetimeIndex(rows[f"{end}_time"]), result.timestamps),
                    "y": numbers(rows[f"{end}_price"]),
                    "name": name,
                    "type": "scatter",
                    "mode": "markers",
                    "marker": marker,
                    "hovertemplate": "%{y:,.6~g}",
                }
            )
    return traces


def allocation_figure(data: ReportData, times: dict[str, list[str]]) -> Figure:
    """Exposure of the policy to each asset over time, as a heat map."""
    members = [asset for asset in data.assets if asset != PORTFOLIO]
    reference = data.results[members[0]][POLICY].timestamps
    for member in members[1:]:
        reference = reference.union(data.results[member][POLICY].timestamps)
    reference = reference[kept(len(reference))]
    times["allocation"] = stamp_texts(reference)
    rows = []
    for member in members:
        result = data.results[member][POLICY]
        held = pd.Series(result.exposure, index=result.timestamps[:-1])
        rows.append(numbers(held.reindex(reference).to_numpy()))
    bound = max(max(abs(float(p)) for p in data.positions), 1e-9)
    heat = {
        "x": {"ref": "allocation"},
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


def distribution_figure(data: ReportData, asset: str) -> Figure:
    """Histogram of returns per bar, bars without a position left out, with the 5% quantile."""
    shown: dict[str, NDArray[np.float64]] = {}
    for name in (POLICY, BUY_AND_HOLD):
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
        trace: dict[str, Any] = {
            "x": middles,
            "y": numbers(counts),
            "name": escape(name, quote=False),
        }
        trace["hovertemplate"] = "%{x:.2%}: %{y:.1%} of bars"
        if name == POLICY:
            trace |= {"type": "bar", "marker": {"color": "--c-policy", "opacity": 0.75}}
        else:
            line = {"color": "--c-hold", "width": 2, "shape": "hvh"}
            trace |= {"type": "scatter", "mode": "lines", "line": line}
        traces.append(trace)
    shapes, annotations = [], []
    quantile = data.value(asset, POLICY, "value_at_risk").value
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


def _index(frame: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(frame.index)
