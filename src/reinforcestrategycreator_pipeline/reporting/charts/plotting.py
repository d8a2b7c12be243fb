"""Helpers for all charts: numbers for JSON, thinning, marked values."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import Indices

Figure = dict[str, Any]
MAX_POINTS = 20_000


def numbers(values: ArrayLike) -> list[float | None]:
    """Round to 7 significant digits for JSON; NaN and infinity become None."""
    array = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(array)
    size = np.where(finite & (array != 0), np.abs(array), 1.0)
    scale = 10.0 ** np.clip(6 - np.floor(np.log10(size)), -290, 290)
    rounded: list[float | None] = (np.round(np.where(finite, array, 0.0) * scale) / scale).tolist()
    for index in np.flatnonzero(~finite):
        rounded[index] = None
    return rounded


def kept(count: int) -> Indices:
    """Return the indices to draw: all up to `MAX_POINTS`, else evenly spaced ones."""
    if count <= MAX_POINTS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, MAX_POINTS).round().astype(np.intp))


def line(
    x: Any, y: ArrayLike, name: str, look: dict[str, Any], hover: str = "", **more: Any
) -> dict[str, Any]:
    """Return a line trace: `look` is Plotly's ``line``, `hover` its ``hovertemplate``."""
    shown = {"hovertemplate": hover} if hover else {"hoverinfo": "skip"}
    kind = {"type": "scatter", "mode": "lines", "name": escape(name, quote=False)}
    return {"x": x, "y": numbers(y), **kind, "line": look, **shown, **more}


def rule(at: float | str) -> dict[str, Any]:
    """Return a dashed vertical line across the whole plot."""
    look = {"color": "--c-rule", "width": 1.5, "dash": "dash"}
    place = {"x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "line", **place, "line": look}


def label(at: float, text: str) -> dict[str, Any]:
    """Return a label at the top of the line that `rule` draws."""
    place = {"x": at, "y": 1, "yref": "paper", "yanchor": "top", "xanchor": "left", "xshift": 4}
    return {**place, "text": text, "showarrow": False}
