"""The report in Markdown: the same text and numbers, without charts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reinforcestrategycreator_pipeline.reporting import regimes, tables, windows
from reinforcestrategycreator_pipeline.reporting.behavior.words import (
    IMPORTANCE_COLUMNS,
    TRADE_COLUMNS,
    TRADES_NOTE,
    importance_note,
)
from reinforcestrategycreator_pipeline.reporting.contents import Contents
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.health.words import (
    KIND_COLUMNS,
    health_note,
    kind_rows,
)
from reinforcestrategycreator_pipeline.reporting.robustness import COLUMNS
from reinforcestrategycreator_pipeline.reporting.robustness import NOTE as ROBUSTNESS_NOTE
from reinforcestrategycreator_pipeline.reporting.search.selection_words import (
    NOTE,
    compared,
    selection_rows,
)
from reinforcestrategycreator_pipeline.reporting.search.words import (
    search_link,
    search_note,
    trial_rows,
)
from reinforcestrategycreator_pipeline.reporting.words import (
    STAGES_NOTE,
    floor_note,
    screening_note,
)
from reinforcestrategycreator_pipeline.verdict.decision import Decision

_TRIALS_SHOWN = 5
_STATISTIC = ("Statistic", "Value", "What it says", "Convention")
_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def render_markdown(page: Contents) -> str:
    """Return the report as GitHub-flavored Markdown; the same contents give the same bytes."""
    data, decision = page.data, page.data.judgement.decision
    parts = [
        f"# Strategy report: {plain(data.run_id)}",
        plain(page.verdict.finding),
        plain(page.verdict.caveat),
        "\n".join(f"- {plain(note)}" for note in data.judgement.notes),
        "## Key figures",
        table(["Figure", "Value", "Note"], [[t.label, t.text, t.note] for t in page.tiles]),
    ]
    if decision.checks:
        parts += ["## Promotion", checks_table(decision), first_decision(decision)]
    for asset in page.assets:
        name = "portfolio" if asset.is_portfolio else plain(asset.name)
        body = [[row.metric.label, *map(_cell, row.cells)] for row in asset.rows]
        parts += [f"## Metrics: {name}", table(["Metric", *asset.columns], body)]
        if asset.index == 0:
            parts.append("\n".join(f"- {plain(name)}: {note}" for name, note in page.strategies))
    if page.robustness:
        body = [list(row) for row in page.robustness]
        parts += ["## How robust it is", table(COLUMNS, body), ROBUSTNESS_NOTE]
    if len(data.assets) > 1:
        columns, overview = page.overview
        rows = [[asset, *map(_cell, cells)] for asset, cells in overview]
        parts += [f"## {plain(data.policy)} by asset", table(["Asset", *columns], rows)]
        parts.append(plain(page.left_out))
    if page.windows:
        rows = [
            [w.number, w.fitted, w.judged, w.bars, *w.figures, w.policy, *w.agents]
            for w in page.windows
        ]
        heading = ["Window", "Fitted on", "Judged on", "Bars", *windows.columns(data)]
        parts += ["## Windows", windows.note(data), table(heading, rows)]
    first = page.assets[0]
    if first.drawdowns:
        parts += ["## Largest drawdowns", table(tables.DRAWDOWN_COLUMNS, first.drawdowns)]
    if first.regimes:
        parts += ["## By regime and year", table(regimes.COLUMNS, first.regimes), regimes.NOTE]
    if page.importance:
        note = plain(importance_note(data.behavior))
        parts += ["## What the policy does", table(IMPORTANCE_COLUMNS, page.importance), note]
    if page.largest:
        parts += ["## The largest trades", table(TRADE_COLUMNS, page.largest), TRADES_NOTE]
    parts += ["## Monthly returns", _months(page.assets[0].months)]
    if page.assets[0].says:
        notes = [f"- {plain(asset.name)}: {plain(asset.confidence)}" for asset in page.assets]
        parts += ["## Confidence", "\n".join(notes)]
    parts += ["## Training", _training(data), _agreement(data)]
    if data.trial:
        parts += ["## The search", _search(data)]
    parts += ["## Run", table(["Item", "Value"], page.facts)]
    if data.health:
        kinds = kind_rows(data.health)
        parts += ["## Health of the data", plain(health_note(data.health))]
        parts += [table(KIND_COLUMNS, kinds)] if kinds else []
    parts += ["## Data", "\n".join(f"- {plain(note)}" for note in data.notes) or "No notes."]
    if page.provenance:
        parts.append(table(["Item", "Value"], page.provenance))
    parts += ["## Configuration", configuration(data.config_yaml)]
    terms = [f"- **{plain(label)}**: {plain(text)}" for label, text in page.definitions]
    parts += ["## How to read this report", "\n".join(terms)]
    return "\n\n".join(part for part in parts if part) + "\n"


def configuration(text: str) -> str:
    """Return the configuration as the report shows it."""
    return fenced(text, "yaml")


def checks_table(decision: Decision) -> str:
    """Return the conditions for promotion and their outcomes as a table."""
    rows = [[c.name, c.rule, c.value, "yes" if c.passed else "no"] for c in decision.checks]
    return table(["Threshold", "Required", "Actual", "Passed"], rows)


def first_decision(decision: Decision) -> str:
    """Return the first decision on these bars, if they were judged again; else nothing."""
    if decision.first is None:
        return ""
    return plain(f"The first decision (run {decision.first.run}): {decision.first.sentence}")


def _cell(cell: tables.Cell) -> str:
    return f"— ({cell.reason})" if cell.value is None else cell.text


def _months(years: Sequence[tables.YearRow]) -> str:
    rows = [
        [
            str(row.year),
            *("" if month is None else f"{month:.1%}" for month in row.months),
            "" if row.total is None else f"{row.total:.1%}",
        ]
        for row in years
    ]
    return table(["Year", *tables.MONTHS, "Year total"], rows)


def _training(data: ReportData) -> str:
    if not len(data.history):
        return "No training history."
    steps, loss, begun = data.history["step"], data.history["loss"], 0
    text = f"{len(loss):,} logged steps, up to step {int(steps.iloc[-1]):,}."
    for name, last in (data.stages or {"": int(steps.iloc[-1])}).items():
        part = loss[(steps > begun) & (steps <= last)]
        begun, tenth = last, max(1, len(part) // 10)
        if len(part):
            text += (
                f" Mean loss{f' of stage {plain(name)}' if name else ''}: "
                f"{part.iloc[:tenth].mean():.4g} over the first tenth, "
                f"{part.iloc[-tenth:].mean():.4g} over the last tenth."
            )
    if data.stages:
        text += f" {STAGES_NOTE}"
    return f"{text} {plain(floor_note(data.loss_floor))}"


def _search(data: ReportData) -> str:
    """Return the search of the run's trial in a sentence, and its best trials."""
    note = plain(search_note(data.trial, data.search))
    if data.search is None:
        return note
    heading = ["Trial", data.search.metric.label, *data.search.search.space]
    rows = [
        [str(row.number), row.objective, *row.parameters]
        for row in trial_rows(data.search, _TRIALS_SHOWN)
    ]
    link = f"[The report of the search]({search_link(data.trial)}) has every trial."
    parts = [f"{note} {link}", table(heading, rows)]
    if (found := data.search.selection) is not None:
        parts += [f"{compared(found)} {NOTE}", table(_STATISTIC, selection_rows(found))]
    return "\n\n".join(parts)


def _agreement(data: ReportData) -> str:
    found = data.screening
    if found is None:
        return ""
    names = sorted(found.agreement, key=lambda name: -found.agreement[name])
    rows = [[n, f"{found.agreement[n]:.3g}", f"{found.relevance[n]:.3g}"] for n in names]
    heading = ["Feature", "Agreement", "Factor in the policy"]
    return f"{plain(screening_note(found))}\n\n{table(heading, rows)}"


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
    """Escape Markdown and HTML markup, and join lines."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def fenced(text: str, language: str) -> str:
    """Return a code block whose fence is longer than any run of backticks in `text`."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
