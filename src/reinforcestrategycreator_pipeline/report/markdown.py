"""The report in Markdown: the same words and numbers, without charts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reinforcestrategycreator_pipeline.backtest.results import POLICY, PORTFOLIO
from reinforcestrategycreator_pipeline.report import tables
from reinforcestrategycreator_pipeline.report.data import STRATEGY_NOTES, ReportData
from reinforcestrategycreator_pipeline.report.words import tiles, verdict

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def render_markdown(data: ReportData) -> str:
    """Return the report as GitHub-flavoured Markdown; the same data give the same bytes."""
    words = verdict(data)
    parts = [
        f"# Strategy report: {plain(data.run_id)}",
        f"{plain(words.finding)}",
        plain(words.caveat),
        "## Key figures",
        table(["Figure", "Value", "Note"], [[t.label, t.text, t.note] for t in tiles(data)]),
    ]
    if data.thresholds:
        rows = [[t.name, t.rule, t.value, "yes" if t.passed else "no"] for t in data.thresholds]
        state = "promoted" if data.promoted else "not promoted"
        parts += [
            "## Promotion",
            f"The model is {state}.",
            table(["Threshold", "Must be", "Is", "Passed"], rows),
        ]
    first = data.assets[0]
    for asset in data.assets:
        name = "portfolio" if asset == PORTFOLIO else plain(asset)
        parts += [f"## Metrics: {name}", metrics_text(data, asset)]
        if asset == first:
            parts.append(_strategies(data, asset))
    if len(data.assets) > 1:
        columns, overview = tables.overview(data)
        rows = [[asset, *(_cell(cell) for cell in cells)] for asset, cells in overview]
        parts += [f"## {POLICY} by asset", table(["Asset", *columns], rows)]
    parts += ["## Monthly returns", _months(data, first)]
    parts += ["## Training", _training(data)]
    parts += ["## Run", table(["Item", "Value"], tables.run_facts(data))]
    parts += ["## Data", "\n".join(f"- {plain(note)}" for note in data.notes) or "No notes."]
    if data.provenance:
        parts.append(table(["Item", "Value"], tables.facts(data.provenance)))
    parts += ["## Configuration", fenced(data.config_yaml, "yaml")]
    terms = [f"- **{plain(label)}**: {plain(text)}" for label, text in tables.definitions(data)]
    parts += ["## How to read it", "\n".join(terms)]
    return "\n\n".join(part for part in parts if part) + "\n"


def metrics_text(data: ReportData, asset: str) -> str:
    """Return the table of all metrics and strategies of an asset."""
    columns, rows = tables.metric_table(data, asset)
    body = [[row.metric.label, *(_cell(cell) for cell in row.cells)] for row in rows]
    return table(["Metric", *columns], body)


def _cell(cell: tables.Cell) -> str:
    return f"— ({cell.reason})" if cell.value is None else cell.text


def _strategies(data: ReportData, asset: str) -> str:
    known = [(name, STRATEGY_NOTES[name]) for name in data.results[asset] if name in STRATEGY_NOTES]
    return "\n".join(f"- {plain(name)}: {note}" for name, note in known)


def _months(data: ReportData, asset: str) -> str:
    rows = [
        [
            str(row.year),
            *("" if month is None else f"{month:.1%}" for month in row.months),
            "" if row.total is None else f"{row.total:.1%}",
        ]
        for row in tables.monthly_returns(data.results[asset][POLICY])
    ]
    return table(["Year", *tables.MONTHS, "Year total"], rows)


def _training(data: ReportData) -> str:
    if not len(data.history):
        return "No training history."
    loss = data.history["loss"]
    head, tail = (max(1, len(loss) // 10),) * 2
    text = (
        f"{len(loss):,} logged steps, the last is {int(data.history['step'].iloc[-1]):,}. "
        f"Mean loss of the first tenth {loss.iloc[:head].mean():.4g}, "
        f"of the last tenth {loss.iloc[-tail:].mean():.4g}."
    )
    if data.loss_floor is not None:
        text += f" Floor {data.loss_floor:.4g}."
    return f"{text} {plain(data.loss_floor_note)}".strip()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every cell is escaped."""
    lines = [list(header), ["---"] * len(header)]
    lines += [list(row) for row in rows]
    escaped = [
        [text if index == 1 else plain(str(text)) for text in line]
        for index, line in enumerate(lines)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def plain(text: str) -> str:
    """Escape what Markdown or HTML would read as markup, and join lines."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def fenced(text: str, language: str) -> str:
    """Return a code block whose fence is longer than any run of backticks in `text`."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
