"""ReportData -> one self-contained HTML page, or Markdown."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from reinforcestrategycreator_pipeline.backtest.results import POLICY, PORTFOLIO
from reinforcestrategycreator_pipeline.report import figures, plotting, tables
from reinforcestrategycreator_pipeline.report.data import STRATEGY_NOTES, ReportData
from reinforcestrategycreator_pipeline.report.markdown import render_markdown
from reinforcestrategycreator_pipeline.report.words import tiles, verdict

__all__ = ["render_html", "render_markdown"]

# The strongest tint of the monthly table stands for these returns.
_FULL_HEAT = {"month": 0.12, "year": 0.40}
_TRAINING_CHARTS = (
    ("loss", "Loss"),
    ("q", "Q-values"),
    ("validation", "Validation growth"),
    ("exploration", "Exploration"),
    ("norms", "Gradient and update norms"),
)


def render_html(data: ReportData) -> str:
    """Return the report as one HTML page that loads nothing from anywhere.

    Plotly's script is inlined. A content security policy forbids every load from outside, and
    every script but the two whose hashes it lists, so that nothing in the data can run. The
    same data give the same bytes.

    Parameters
    ----------
    data : ReportData
        What to show.

    Returns
    -------
    str
        UTF-8 text of about 5 MB, nearly all of it Plotly's script.
    """
    environment = _environment()
    plotly, script = get_plotlyjs(), _source("report.js")
    payload = figures.payload(data)
    assets = [
        {
            "index": index,
            "name": asset,
            "is_portfolio": asset == PORTFOLIO,
            "metrics": tables.metric_table(data, asset),
            "groups": tables.grouped(tables.metric_table(data, asset)[1]),
            "charts": sorted(payload["assets"][index]),
            "months": tables.monthly_returns(data.results[asset][POLICY]),
            "trades": tables.shown_trades(data.results[asset][POLICY]),
            "trade_count": len(data.results[asset][POLICY].trades),
        }
        for index, asset in enumerate(data.assets)
    ]
    training = [(key, title) for key, title in _TRAINING_CHARTS if key in payload["training"]]
    bars = max(len(data.results[asset][POLICY].equity) for asset in data.assets)
    return environment.get_template("template.html.j2").render(
        data=data,
        verdict=verdict(data),
        tiles=tiles(data),
        assets=assets,
        overview=tables.overview(data),
        training=training,
        strategy_notes=[
            (name, STRATEGY_NOTES.get(name, "")) for name in data.results[data.assets[0]]
        ],
        facts=tables.run_facts(data),
        provenance=tables.facts(data.provenance),
        definitions=tables.definitions(data),
        months=tables.MONTHS,
        full_heat=_FULL_HEAT,
        thinned=plotting.MAX_POINTS if bars > plotting.MAX_POINTS else 0,
        speed=_speed(data),
        style=Markup(_source("report.css")),
        plotly=Markup(plotly),
        script=Markup(script),
        payload=script_json(payload),
        script_hashes=Markup(f"'{_csp_hash(plotly)}' '{_csp_hash(script)}'"),
    )


def script_json(value: Any) -> Markup:
    r"""Return JSON that may stand inside a script element: ``<``, ``>`` and ``&`` as ``\uXXXX``."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def heat(value: float, full: float) -> str:
    """Return the tint of a return, from 0 to 1; it is 1 from `full` on."""
    return f"{min(abs(value) / full, 1.0):.2f}"


@cache
def _environment() -> Environment:
    loader = PackageLoader(__package__, package_path=".")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["heat"] = heat
    environment.filters["percent"] = lambda value: f"{value:.1%}"
    environment.filters["signed"] = lambda value: f"{value:+.2%}"
    environment.filters["amount"] = lambda value: f"{value:,.2f}"
    environment.filters["price"] = lambda value: f"{value:,.6g}"
    return environment


@cache
def _source(name: str) -> str:
    """Return a file of this package as it is, not as a template."""
    environment = _environment()
    loader = environment.loader
    assert loader is not None
    return loader.get_source(environment, name)[0]


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _speed(data: ReportData) -> str:
    if "steps_per_second" not in data.history or not len(data.history):
        return ""
    known = data.history["steps_per_second"].dropna()
    return f"{known.median():,.0f}" if len(known) else ""
