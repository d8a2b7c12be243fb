"""The table of the windows: their results, and what the agents of each say, in one place."""

import numpy as np
import pandas as pd
import pytest
from test_report_html import Page, render_html
from test_report_markdown import render_markdown

from reinforcestrategycreator_pipeline.reporting.data import Screening, WindowFacts
from reinforcestrategycreator_pipeline.reporting.windows import (
    AGENT_FIGURES,
    WINDOW_FIGURES,
    columns,
    window_rows,
)


@pytest.fixture(scope="module")
def walked(report_kit):
    """Two windows of 30 and 20 bars, of two assets with a decision on every tenth bar."""
    data = report_kit.build(symbols=("AAPL", "IBM"), bars=50)
    stamps = data.results["AAPL"]["ridge"].timestamps
    advantage, spread = np.zeros(50), np.full(50, 9.0)
    advantage[::10] = [10.0, 20.0, 30.0, 40.0, np.nan]
    spread[::10] = [1.0, 2.0, 3.0, 4.0, np.nan]
    results = {}
    for asset, strategies in data.results.items():
        own = strategies["ridge"]
        if asset != "PORTFOLIO":
            scale = 1.0 if asset == "AAPL" else 3.0
            own = report_kit.replace(own, advantage_bps=scale * advantage, spread_bps=spread)
        results[asset] = {**strategies, "ridge": own}
    spans = ((stamps[0], stamps[29]), (stamps[30], stamps[50]))
    before = pd.Timestamp("2009-01-02", tz="UTC"), pd.Timestamp("2010-01-04", tz="UTC")
    found = Screening({"rsi_14": 0.25, "<fast>": 1.5}, 0.75, {"rsi_14": 0.0, "<fast>": 0.5})
    windows = [
        WindowFacts(before, spans[0], screening=found, agents=16),
        WindowFacts(before, spans[1], fallback="The policy is a constant.", agents=16),
    ]
    return report_kit.replace(data, results=results, windows=windows)


def test_each_window_has_its_agents_beside_its_result(walked):
    first, second = window_rows(walked)
    # Of the first, 10, 20 and 30 bps of one asset, three times as much of the other.
    assert first.agents == ("16", "1.50 (needed 0.75)", "40.0", "2.0")
    assert first.policy == "reads 1 of 2 features"
    assert second.agents == ("16", "—", "80.0", "4.0")  # a ruined account decides nothing
    assert second.policy == "fallback"
    assert [row.bars for row in (first, second)] == ["30", "20"]
    equity = walked.results["PORTFOLIO"]["ridge"].equity
    grown = [float(row.figures[0].rstrip("%")) / 100 for row in (first, second)]
    assert grown == pytest.approx(
        [equity[30] / equity[0] - 1, equity[50] / equity[30] - 1], abs=6e-4
    )


def test_the_pages_show_them(walked):
    page = Page(render_html(walked))
    [heading] = [row for row in page.rows if row and row[0]["text"] == "Window"]
    assert [cell["text"] for cell in heading][4:] == [*WINDOW_FIGURES, "Policy", *AGENT_FIGURES]
    cells = page.rows[page.rows.index(heading) + 1]
    assert [cell["text"] for cell in cells][-4:] == ["16", "1.50 (needed 0.75)", "40.0", "2.0"]
    assert "Highest agreement: that of the agents on one feature" in "".join(page.text)
    assert "| 16 | 1.50 (needed 0.75) | 40.0 | 2.0 |" in render_markdown(walked)


def test_a_strategy_without_agents_has_no_columns_for_them(report_kit, walked):
    plain = [report_kit.replace(window, agents=None) for window in walked.windows]
    data = report_kit.replace(walked, windows=plain)
    assert columns(data) == [*WINDOW_FIGURES, "Policy"]
    assert {row.agents for row in window_rows(data)} == {()}
    assert "agreement" not in render_markdown(data)


def test_a_window_of_equal_returns_has_no_sharpe_ratio(report_kit, walked):
    """Interest of the same size on every bar, with the rounding of equity."""
    own = walked.results["PORTFOLIO"]["ridge"]
    steady = report_kit.replace(own, equity=100_000.0 * 1.0001 ** np.arange(len(own.equity)))
    results = {**walked.results, "PORTFOLIO": {**walked.results["PORTFOLIO"], "ridge": steady}}
    rows = window_rows(report_kit.replace(walked, results=results))
    assert [row.figures[WINDOW_FIGURES.index("Sharpe ratio")] for row in rows] == ["—", "—"]
