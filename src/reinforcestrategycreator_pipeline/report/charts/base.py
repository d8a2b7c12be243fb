"""What a chart is: a function that draws, and where the page shows it; the registry.

A figure is a plain Plotly dictionary. Colors are names of CSS variables (``"--c-policy"``), which
the page's script resolves, so that one figure serves light and dark. Names that came from a user
must be HTML-escaped, for Plotly renders a subset of HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import pandas as pd

from reinforcestrategycreator_pipeline.checks import require, require_choice
from reinforcestrategycreator_pipeline.errors import RunError, blamed
from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.report.charts.plotting import Figure, kept
from reinforcestrategycreator_pipeline.report.data import ReportData, stamp_texts

Per = Literal["asset", "run"]
Draw = Callable[[ReportData, str, "Times"], Figure | None]
Caption = Callable[[ReportData, str], str]


@dataclass
class Times:
    """The time axes of a page, each written once.

    Attributes
    ----------
    axes : dict of str to list of str
        Name -> ISO texts.
    """

    axes: dict[str, list[str]] = field(default_factory=dict)

    def axis(self, stamps: pd.DatetimeIndex) -> dict[str, str]:
        """Return what stands for `stamps`, thinned, as an ``x`` in a figure."""
        texts = stamp_texts(stamps[kept(len(stamps))], stamps)
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
        Its name in the page.
    title : str
        What it shows, for its heading among others and for screen readers.
    section : str
        Heading of the part of the page in which it stands, with the charts of the same section.
    draw : callable
        ``draw(data, asset, times) -> Figure or None``, None if there is nothing to draw. Whatever
        it draws over time takes its ``x`` from `times`.
    caption : str or callable
        The line below it, or ``caption(data, asset) -> str``.
    per : {"asset", "run"}
        Whether there is one for each asset and the portfolio, or one, whose `asset` is empty.
    height : int
        In pixels.
    wide : bool
        Whether it has a row of its own among the charts of its section.
    log_button : bool
        Whether a button switches its y axis to a log scale.
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

    def figure(self, data: ReportData, asset: str, times: Times) -> Figure | None:
        """Draw it.

        Raises
        ------
        RunError
            If the function raises, or its figure is not fit for JSON.
        """
        with blamed(f"the chart {self.key!r}", RunError):
            figure = self.draw(data, asset, times)
            json.dumps(figure, allow_nan=False)
        return figure

    def caption_of(self, data: ReportData, asset: str = "") -> str:
        """Return the line below it."""
        return self.caption if isinstance(self.caption, str) else self.caption(data, asset)


CHARTS: Registry[Chart] = Registry("chart")


def chart(key: str, title: str, section: str, **options: Any) -> Callable[[Draw], Draw]:
    """Return a decorator that registers a function as a chart; see `Chart` for the options."""

    def add(draw: Draw) -> Draw:
        CHARTS.register(key)(Chart(key, title, section, draw, **options))
        return draw

    return add
