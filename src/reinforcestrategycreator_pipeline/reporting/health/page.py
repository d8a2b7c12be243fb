"""The page on the health of market data."""

from __future__ import annotations

import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.market.health.check import INFERRED, Health
from reinforcestrategycreator_pipeline.market.health.findings import KINDS, value_text
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.health.charts import (
    MOST_SYMBOLS,
    coverage_picture,
    price_pictures,
)
from reinforcestrategycreator_pipeline.reporting.health.words import KIND_COLUMNS, kind_rows
from reinforcestrategycreator_pipeline.reporting.html import render_page
from reinforcestrategycreator_pipeline.reporting.search.charts import figures_of

_MOST_ROWS = 40  # of a kind
CAVEAT = (
    "A finding is a suspicion with its row, not a proof, and nothing was changed. Rows that break "
    "a rule, such as a high below a low, are rejected before and not listed here."
)


def render_health(health: Health) -> str:
    """Return the page; the same findings give the same bytes.

    Parameters
    ----------
    health : Health
        What was found.
    """
    times = Times()
    prices, coverage = price_pictures(health, times), coverage_picture(health)
    data = health.data
    shown = min(len(data), MOST_SYMBOLS)
    return render_page(
        "health.html.j2",
        {"times": times.axes, "assets": [], "run": figures_of([*prices, coverage])},
        title=_title(health),
        finding=_finding(health),
        caveat=CAVEAT,
        tiles=_tiles(health),
        columns=KIND_COLUMNS,
        kinds=kind_rows(health.summary()),
        none=[title.lower() for kind, (title, _) in KINDS.items() if not health.of(kind)],
        coverage=[coverage],
        prices=prices,
        prices_note=f"{shown} of {len(data)} symbols, those with probable errors first."
        if shown < len(data)
        else "",
        rows=_rows(health),
        notes=[*health.notes, *data.notes],
        terms=[KINDS[kind] for kind in KINDS],
        version=__version__,
    )


def _title(health: Health) -> str:
    names = health.data.symbols
    return f"Data of {names[0]}" if len(names) == 1 else f"Data of {len(names)} symbols"


def _finding(health: Health) -> str:
    grave = {KINDS[one.kind].title.lower(): None for one in health.grave}
    if grave:
        return f"Probable errors: {', '.join(grave)}."
    if health.findings:
        return "No probable error was found; some bars are worth a look."
    return "Nothing suspicious was found."


def _tiles(health: Health) -> list[dict[str, str]]:
    data = health.data
    stamps = data.timestamps
    errors = sum(one.count for one in health.grave)
    others = sum(one.count for one in health.findings) - errors
    step = pd.Timedelta(data.bar_seconds, "s")
    spacing = f"{step.days} d" if step >= pd.Timedelta(1, "D") else f"{data.bar_seconds:g} s"
    bars = sum(len(frame) for frame in data.values())
    return [
        {"label": "Bars", "text": f"{bars:,}", "note": f"{len(data)} symbols, {spacing} apart"},
        {
            "label": "Span",
            "text": f"{stamps[0]:%Y-%m-%d}",
            "note": f"to {stamps[-1]:%Y-%m-%d}, closes in UTC",
        },
        {"label": "Probable errors", "text": f"{errors:,}", "note": "bars"},
        {"label": "Worth a look", "text": f"{others:,}", "note": "bars"},
        {"label": "Calendar", "text": _short(health), "note": _long(health)},
    ]


def _short(health: Health) -> str:
    return "inferred" if health.calendar.startswith(INFERRED) else health.calendar


def _long(health: Health) -> str:
    return health.calendar.partition(": ")[2] or "by which gaps are measured"


def _rows(health: Health) -> list[tuple[str, list[list[str]], str]]:
    """Return the bars of each kind: title, rows of texts, and how many are not shown."""
    tables = []
    for kind, (title, _) in KINDS.items():
        rows: list[list[str]] = []
        total = 0
        for one in health.of(kind):
            total += len(one.bars)
            rows += [
                [
                    one.symbol,
                    health.row(one, i),
                    health.time(one.symbol, int(one.bars[i])),
                    value_text(kind, float(one.values[i])),
                ]
                for i in range(min(len(one.bars), _MOST_ROWS - len(rows)))
            ]
        more = total - len(rows)
        if rows:
            tables.append((title, rows, f"{more:,} more; check_data has all." if more else ""))
    return tables
