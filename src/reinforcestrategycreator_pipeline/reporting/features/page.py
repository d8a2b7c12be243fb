"""The page of a feature: its values under the price, and its measures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.plotting import kept, line
from reinforcestrategycreator_pipeline.reporting.features import words
from reinforcestrategycreator_pipeline.reporting.features.view import FeatureView
from reinforcestrategycreator_pipeline.reporting.html import render_page
from reinforcestrategycreator_pipeline.reporting.search.charts import Picture, figures_of

_MOST = 12
"""Symbols that are drawn; the table has all."""
_PRICE, _PANEL = 220, 130  # pixels of height
_COLORS = ("--c-policy", "--c-average", "--c-oracle", "--c-random", "--c-hold")


def render_feature(view: FeatureView) -> str:
    """Return the page of a feature; the same view gives the same bytes."""
    times = Times()
    pictures = [
        _picture(view, symbol, i, times) for i, symbol in enumerate(list(view.frames)[:_MOST])
    ]
    left = len(view.frames) - len(pictures)
    return render_page(
        "feature.html.j2",
        {"times": times.axes, "assets": [], "run": figures_of(pictures)},
        version=__version__,
        title=words.title(view),
        summary=words.summary(view),
        columns=words.COLUMNS,
        rows=[list(words.row_of(measure).values()) for measure in view.measures],
        note=words.NOTE,
        pictures=pictures,
        left_out=f"{left} more symbols are in the table only." if left else "",
    )


def _picture(view: FeatureView, symbol: str, number: int, times: Times) -> Picture:
    """Return the price of a symbol, and the columns of the feature below, a panel for each."""
    close, table = view.frames[symbol]["close"], view.values[symbol]
    columns = list(table.columns)
    height = _PRICE + _PANEL * len(columns)
    # From the top: the price, then the panels, with a gap between.
    share, gap = _PANEL / height, 0.03
    stamps = pd.DatetimeIndex(close.index)
    traces = [_trace(close, "close", "--c-price", stamps, times, "y")]
    layout: dict[str, object] = {
        "xaxis": {"type": "date", "anchor": f"y{len(columns) + 1}" if columns else "y"},
        "yaxis": {"title": {"text": "close"}, "domain": [len(columns) * share + gap, 1.0]},
        "hovermode": "x unified",
        "showlegend": False,
    }
    for i, column in enumerate(columns):
        low = (len(columns) - 1 - i) * share
        axis = f"y{i + 2}"
        traces.append(_trace(table[column], column, _COLORS[i % len(_COLORS)], stamps, times, axis))
        layout[f"yaxis{i + 2}"] = {
            "title": {"text": _short(column)},
            "domain": [low + (gap if i < len(columns) - 1 else 0.0), low + share],
            "anchor": "x",
            "nticks": 4,
        }
    return Picture(
        f"feature-{number}",
        symbol,
        f"Close of {symbol} and the columns {', '.join(columns)} on its training bars",
        "Close, and below it the values of each column at the same bars. Drag to zoom all panels.",
        {"data": traces, "layout": layout},
        height=height,
        wide=True,
    )


def _trace(
    values: pd.Series[float],
    name: str,
    color: str,
    stamps: pd.DatetimeIndex,
    times: Times,
    axis: str,
) -> dict[str, object]:
    array = values.to_numpy(np.float64)
    keep = kept(len(array), np.nan_to_num(array))
    x = times.axis(stamps, keep)
    look = {"color": color, "width": 1.2}
    return line(x, array[keep], name, look, "%{y:.5g}", xaxis="x", yaxis=axis)


def _short(column: str, most: int = 20) -> str:
    """Return a name that fits beside a panel, broken at its underscores."""
    lines: list[str] = [""]
    for part in column.split("_"):
        joint = f"{lines[-1]}_{part}" if lines[-1] else part
        if len(joint) > most and lines[-1]:
            lines.append(part)
        else:
            lines[-1] = joint
    return "<br>".join(lines)
