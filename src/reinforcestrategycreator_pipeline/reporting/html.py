"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.reporting import regimes, tables, windows
from reinforcestrategycreator_pipeline.reporting.behavior import words
from reinforcestrategycreator_pipeline.reporting.charts.catalog import draw_charts
from reinforcestrategycreator_pipeline.reporting.charts.packing import packed
from reinforcestrategycreator_pipeline.reporting.contents import Contents
from reinforcestrategycreator_pipeline.reporting.health.words import (
    KIND_COLUMNS,
    health_note,
    kind_rows,
)
from reinforcestrategycreator_pipeline.reporting.robustness import COLUMNS, NOTE
from reinforcestrategycreator_pipeline.reporting.search.charts import figures_of, trial_map
from reinforcestrategycreator_pipeline.reporting.search.selection_words import choice
from reinforcestrategycreator_pipeline.reporting.search.words import (
    MAP_NOTE,
    search_link,
    search_note,
)

# The strongest tint of the monthly table stands for these returns.
_FULL_HEAT = {"month": 0.12, "year": 0.40}


def render_html(page: Contents) -> str:
    """Return the report as one HTML page that loads no other resource.

    Plotly's script is inlined. A content security policy blocks all external loads and every
    script but the two whose hashes it lists, so nothing in the data can run. The same contents
    give the same bytes.

    Parameters
    ----------
    page : Contents
        Data, text and tables of the report.

    Returns
    -------
    str
        The page, of which 4.8 MB are Plotly's script. Of very many assets only some are shown in
        full, see `detail.in_full`.
    """
    charts, data = draw_charts(page.data), page.data
    pictures = trial_map(data.search, data.trial_number) if data.search else []
    payload = charts.payload
    return render_page(
        "template.html.j2",
        {**payload, "run": {**payload["run"], **figures_of(pictures)}},
        page=page,
        data=data,
        decision=data.judgement.decision,
        assets=page.assets,
        portfolio=PORTFOLIO,
        sections=charts.sections,
        months=tables.MONTHS,
        window_columns=windows.columns(data),
        window_table_note=windows.note(data),
        windows_note=windows.WINDOWS_NOTE,
        robustness_columns=COLUMNS,
        robustness_note=NOTE,
        drawdown_columns=tables.DRAWDOWN_COLUMNS,
        regime_columns=regimes.COLUMNS,
        regime_note=regimes.NOTE,
        importance_columns=words.IMPORTANCE_COLUMNS,
        trade_columns=words.TRADE_COLUMNS,
        trades_note=words.TRADES_NOTE,
        full_heat=_FULL_HEAT,
        search_note=search_note(data.trial, data.search),
        search_link=search_link(data.trial),
        pictures=pictures,
        map_note=MAP_NOTE,
        health_columns=KIND_COLUMNS,
        health_kinds=kind_rows(data.health),
        health_note=health_note(data.health),
        **choice(data.search),
    )


def render_page(template: str, payload: Mapping[str, Any], **values: Any) -> str:
    """Return a page that loads no other resource; see `render_html`.

    Parameters
    ----------
    template : str
        Name of a template that extends ``base.html.j2``.
    payload : mapping
        Data for the page's script: ``times``, ``assets`` and ``run``, see `DrawnCharts`.
    **values
        Values for the template.
    """
    plotly, script = get_plotlyjs(), _source("report.js")
    page = _environment().get_template(template)
    return page.render(
        **values,
        style=Markup(_source("report.css")),
        plotly=Markup(plotly),
        script=Markup(script),
        payload=script_json(packed(payload)),
        script_hashes=Markup(f"'{_csp_hash(plotly)}' '{_csp_hash(script)}'"),
    )


def script_json(value: Any) -> Markup:
    r"""Return JSON that may stand inside a script element: ``<`` is ``\u003c``, and so on."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def heat(value: float, full: float) -> str:
    """Return the strength of a return's tint, from 0 to 1 (at `full` and above)."""
    return f"{min(abs(value) / full, 1.0):.2f}"


@cache
def _environment() -> Environment:
    loader = PackageLoader(__name__.rpartition(".")[0], package_path=".")
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
    environment.filters["slug"] = lambda value: re.sub(r"[^a-z0-9]+", "-", value.lower())
    return environment


@cache
def _source(name: str) -> str:
    """Return the text of a file of this package, unrendered."""
    environment = _environment()
    loader = environment.loader
    assert loader is not None
    return loader.get_source(environment, name)[0]


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
