"""All charts; importing this module registers the shipped ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Imported for their side effect: registration, in the order of the page.
# isort: off
from reinforcestrategycreator_pipeline.reporting.charts import equity  # noqa: F401
from reinforcestrategycreator_pipeline.reporting.charts import rolling  # noqa: F401
from reinforcestrategycreator_pipeline.reporting.charts import chance  # noqa: F401
from reinforcestrategycreator_pipeline.reporting.charts import positions  # noqa: F401
from reinforcestrategycreator_pipeline.reporting.charts import behavior  # noqa: F401
from reinforcestrategycreator_pipeline.reporting.charts import training  # noqa: F401
from reinforcestrategycreator_pipeline.reporting.charts import distribution  # noqa: F401
from reinforcestrategycreator_pipeline.reporting.charts import confidence  # noqa: F401

# isort: on
from reinforcestrategycreator_pipeline.reporting.charts.base import CHARTS, Chart, Times
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.detail import growth_of_others, in_full


@dataclass(frozen=True)
class DrawnCharts:
    """All figures of a page, as its script needs them, and their sections.

    Attributes
    ----------
    times : dict of str to list of str
        ISO times of the time axes, by name.
    assets : list of dict of str to Figure
        Figures by chart key, for each asset that is shown in full, see `detail.in_full`.
    run : dict of str to Figure
        Figures of the charts that are drawn once, by chart key.
    sections : dict of str to list of Chart
        Charts by the heading of their section.
    others : dict or None
        Growth on the other assets, see `detail.growth_of_others`.
    """

    times: dict[str, list[str]]
    assets: list[dict[str, Figure]]
    run: dict[str, Figure]
    sections: dict[str, list[Chart]]
    others: dict[str, Any] | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The data for the page's script, ready for JSON."""
        found = {"times": self.times, "assets": self.assets, "run": self.run}
        return found if self.others is None else {**found, "others": self.others}


def draw_charts(data: ReportData) -> DrawnCharts:
    """Draw every registered chart.

    A chart is omitted if there is nothing to draw; a chart per asset keeps its place if it is
    drawn for one of them.
    """
    times = Times()

    def drawn(per: str, asset: str) -> dict[str, Figure]:
        figures = {c.key: c.figure(data, asset, times) for c in CHARTS.values() if c.per == per}
        return {key: figure for key, figure in figures.items() if figure is not None}

    assets = [drawn("asset", asset) for asset in in_full(data)]
    run = drawn("run", "")
    sections: dict[str, list[Chart]] = {}
    for chart in CHARTS.values():
        if any(chart.key in figures for figures in (run, *assets)):
            sections.setdefault(chart.section, []).append(chart)
    others = growth_of_others(data, times)
    return DrawnCharts(times.axes, assets, run, sections, others)
