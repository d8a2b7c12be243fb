"""A chart (a function that draws, and its place in the page), and the registry of charts.

A figure is a plain Plotly dictionary. Colors are names of CSS variables (``"--c-policy"``), which
the page's script resolves, so one figure serves light and dark themes. HTML-escape names that a
user supplied: Plotly renders a subset of HTML.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Indices
from reinforcestrategycreator_pipeline.checks import require, require_choice
from reinforcestrategycreator_pipeline.errors import RunError, blamed
from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, kept
from reinforcestrategycreator_pipeline.reporting.data import ReportData, stamp_texts

Per = Literal["asset", "run"]
Draw = Callable[[ReportData, str, "Times"], Figure | None]
Caption = Callable[[ReportData, str], str]


@dataclass
class Times:
    """The time axes of a page, each stored once.

    Attributes
    ----------
    axes : dict of str to list of str
        ISO times of each axis, by its name.
    """

    axes: dict[str, list[str]] = field(default_factory=dict)

    def axis(self, stamps: pd.DatetimeIndex, keep: Indices | None = None) -> dict[str, str]:
        """Return the reference to the axis of some times, for ``x`` in a figure.

        Parameters
        ----------
        stamps : DatetimeIndex
            Times of all points of a series.
        keep : ndarray of intp, optional
            Indices of those that are drawn; by default all, evenly thinned if there are very many.
        """
        chosen = kept(len(stamps)) if keep is None else keep
        texts = stamp_texts(stamps[chosen], stamps)
        for name, known in self.axes.items():
            if known == texts:
                return {"ref": name}
        name = f"t{len(self.axes)}"
        self.axes[name] = texts
        return {"ref": name}


@dataclass(frozen=True)
class Chart:
    """A chart of the report.

    Attributes
    ----------
    key : str
        Unique name of the chart: lower-case letters, digits and _.
    title : str
        Heading of the chart if its section has several, and its description for screen readers.
    section : str
        Heading of the section in which the chart appears.
    draw : callable
        ``draw(data, asset, times) -> Figure or None``, None if there is nothing to draw. For a
        time axis, take ``x`` from `times`.
    caption : str or callable
        Text below the chart, or ``caption(data, asset) -> str``.
    per : {"asset", "run"}
        Whether to draw one chart for each asset and the portfolio, or a single one, for which
        `asset` is empty.
    height : int
        Height of the chart, in pixels.
    wide : bool
        Whether the chart has its own row in its section.
    log_button : bool
        Whether to show a button that switches the y axis to a log scale.
    """

    key: str
    title: str
    section: str
    draw: Draw
    caption: str | Caption = ""
    per: Per = "asset"
    height: int = 340
    wide: bool = False
    log_button: bool = False

    def __post_init__(self) -> None:
        owner = f"the chart {self.key!r}"
        named = re.fullmatch(r"[a-z][a-z0-9_]*", self.key) is not None
        require(named, owner, "key", "lower-case letters, digits and _", self.key)
        require_choice(owner, "per", self.per, get_args(Per))

    @property
    def definition(self) -> str:
        """Description for lists: the docstring of its function, or else its title."""
        return inspect.getdoc(self.draw) or f"{self.title}."

    def figure(self, data: ReportData, asset: str, times: Times) -> Figure | None:
        """Draw the chart.

        Raises
        ------
        RunError
            If the function raises, or if its figure cannot be written as JSON.
        """
        with blamed(f"the chart {self.key!r}", RunError):
            figure = self.draw(data, asset, times)
            json.dumps(figure, allow_nan=False)
        return figure

    def caption_of(self, data: ReportData, asset: str = "") -> str:
        """Return the text below the chart."""
        return self.caption if isinstance(self.caption, str) else self.caption(data, asset)


CHARTS: Registry[Chart] = Registry("chart")


def chart(key: str, title: str, section: str, **options: Any) -> Callable[[Draw], Draw]:
    """Return a decorator that registers a function as a chart; see `Chart` for the options."""

    def add(draw: Draw) -> Draw:
        CHARTS.register(key)(Chart(key, title, section, draw, **options))
        return draw

    return add
