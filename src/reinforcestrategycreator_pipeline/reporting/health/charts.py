"""The pictures of the page on the health of data: prices with what was found, and coverage."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.market.bars import DAY
from reinforcestrategycreator_pipeline.market.health.check import Health
from reinforcestrategycreator_pipeline.market.health.findings import KINDS, value_text
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, kept, line, numbers
from reinforcestrategycreator_pipeline.reporting.data import stamp_texts
from reinforcestrategycreator_pipeline.reporting.search.charts import Picture

MOST_SYMBOLS = 8
_MOST_ROWS = 60  # of the picture of all symbols
_MOST_MARKS = 300
_LOOKS = {
    "bad_tick": ("--c-short", "x"),
    "spike": ("--c-rule", "triangle-up"),
    "outlier": ("--c-hold", "circle"),
    "split": ("--c-oracle", "diamond"),
    "stale": ("--c-other", "square"),
    "zero_volume": ("--c-flat", "circle-open"),
    "gap": ("--c-random", "line-ns-open"),
    "off_session": ("--c-average", "triangle-down"),
    "time_zone": ("--c-oracle", "star"),
    "duplicate": ("--c-flat", "cross"),
}


def price_pictures(health: Health, times: Times) -> list[Picture]:
    """Return a picture of the closes of each of the first symbols, those with errors first."""
    grave = {one.symbol: 0 for one in health.findings}
    for one in health.findings:
        grave[one.symbol] += (1_000_000 if one.grave else 1) * one.count
    order = sorted(health.data.symbols, key=lambda symbol: -grave.get(symbol, 0))
    return [_prices(health, symbol, i, times) for i, symbol in enumerate(order[:MOST_SYMBOLS])]


def _prices(health: Health, symbol: str, number: int, times: Times) -> Picture:
    frame = health.data[symbol]
    stamps, closes = pd.DatetimeIndex(frame.index), frame["close"].to_numpy(np.float64)
    keep = kept(len(closes), closes)
    look = {"color": "--c-price", "width": 1.2}
    traces = [line(times.axis(stamps, keep), closes[keep], "close", look, "%{y:.6g}")]
    for kind, (title, _) in KINDS.items():
        found = [one for one in health.of(kind) if one.symbol == symbol and len(one.bars)]
        marks = [(one, i) for one in found for i in range(len(one.bars))]
        if not marks:
            continue
        shown = [
            marks[i]
            for i in np.linspace(0, len(marks) - 1, min(len(marks), _MOST_MARKS))
            .round()
            .astype(int)
        ]
        bars = np.array([one.bars[i] for one, i in shown])
        color, shape = _LOOKS[kind]
        texts = [
            escape(f"{health.place(one, i)} {value_text(kind, float(one.values[i]))}", quote=False)
            for one, i in shown
        ]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": title.lower(),
                "x": stamp_texts(stamps[bars], stamps),
                "y": numbers(closes[bars]),
                "text": texts,
                "marker": {"color": color, "symbol": shape, "size": 9, "line": {"width": 1.5}},
                "hovertemplate": "%{text}<extra>" + title.lower() + "</extra>",
            }
        )
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": "close, logarithmic"}, "type": "log"},
        "hovermode": "closest",
        "showlegend": True,
    }
    figure: Figure = {"data": traces, "layout": layout}
    return Picture(
        f"health-{number}",
        symbol,
        f"Closes of {symbol}, with the bars that were found marked",
        "Point at a mark for its row." if len(traces) > 1 else "Nothing was found.",
        figure,
        340,
        True,
    )


def coverage_picture(health: Health) -> Picture:
    """Return the number of bars of each symbol in each day, week or month."""
    stamps = health.data.timestamps
    days = (stamps.asi8[-1] - stamps.asi8[0]) / DAY
    period = "D" if days < 90 else "W" if days < 3 * 365 else "M"
    begins = stamps.tz_localize(None).to_period(period).unique()
    names = list(health.data.symbols[:_MOST_ROWS])
    rows = [_counts(pd.DatetimeIndex(health.data[s].index), begins, period) for s in names]
    heat = {
        "type": "heatmap",
        "x": [str(begin.start_time.date()) for begin in begins],
        "y": list(range(len(names))),
        "z": [row.tolist() for row in rows],
        "zmin": 0,
        "zmax": max(int(row.max()) for row in rows),
        "colorscale": [[0, "--c-none"], [1, "--c-long"]],
        "hovertemplate": "%{x}: %{z:,} bars<extra></extra>",
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickformat": ","},
        "ygap": 2,
    }
    what = {"D": "day", "W": "week", "M": "month"}[period]
    more = len(health.data) - len(names)
    others = f" {more} more symbols are not drawn." if more else ""
    axis = {
        "tickvals": list(range(len(names))),
        "ticktext": [escape(name, quote=False) for name in names],
        "autorange": "reversed",
        "showgrid": False,
    }
    return Picture(
        "health-coverage",
        "Coverage",
        f"Number of bars of each symbol in each {what}",
        f"Bars in each {what}; a pale stretch has fewer than others.{others}",
        {"data": [heat], "layout": {"xaxis": {"type": "date"}, "yaxis": axis}},
        130 + 22 * len(names),
        True,
    )


def _counts(stamps: pd.DatetimeIndex, begins: pd.PeriodIndex, period: str) -> Ints:
    own = stamps.tz_localize(None).to_period(period)
    return np.bincount(begins.get_indexer(own), minlength=len(begins)).astype(np.int64)
