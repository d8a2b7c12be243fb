"""Helpers for all charts: numbers for JSON, thinning, marked values."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import Indices

Figure = dict[str, Any]
MAX_POINTS = 4_000  # a page is 1,200 pixels wide


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


def kept(count: int, *series: ArrayLike) -> Indices:
    """Return the indices to draw: all up to `MAX_POINTS`, else fewer.

    Parameters
    ----------
    count : int
        Number of points.
    *series : array_like of float, shape (count,)
        Series whose highest and lowest value in each of many equal stretches are kept, and their
        ends; without any, the indices are evenly spaced.
    """
    if count <= MAX_POINTS:
        return np.arange(count)
    if not series:
        return np.unique(np.linspace(0, count - 1, MAX_POINTS).round().astype(np.intp))
    width = -(-count // ((MAX_POINTS - 2) // (2 * len(series))))
    starts = np.arange(0, count, width)
    found = [np.array([0, count - 1])]
    for values in series:
        array = np.asarray(values, dtype=np.float64)
        rows = np.pad(array, (0, len(starts) * width - count), mode="edge").reshape(-1, width)
        found += [starts + rows.argmin(axis=1), starts + rows.argmax(axis=1)]
    return np.unique(np.minimum(np.concatenate(found), count - 1))


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
