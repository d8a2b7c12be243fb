"""Whether the trades of which the policy was surer ended better: figures, words, table, charts."""

import json

import numpy as np
import pandas as pd
import pytest
from test_report_html import Page, render_html
from test_report_markdown import render_markdown

from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.confidence import (
    outcome_figure,
    spread_figure,
)
from reinforcestrategycreator_pipeline.reporting.confidence import (
    confidence_note,
    outcome_of,
    z_of,
)
from reinforcestrategycreator_pipeline.reporting.model_card import compose_model_card


def trades_of(advantage, spread, returns):
    columns = {"advantage_bps": advantage, "spread_bps": spread, "return": returns}
    return pd.DataFrame(columns, dtype=float)


@pytest.fixture
def noted(report_kit, report_data):
    """What is said of trades whose z and returns are these, each as sure as its z, in bps."""
    result = report_data.results["AAPL"]["ridge"]

    def note(z, returns):
        return confidence_note(report_kit.replace(result, trades=trades_of(z, 1.0, returns)))

    return note


@pytest.fixture(scope="module")
def data(report_kit):
    """The k-th trade has an advantage of 10 + k bps, and all a spread of 4."""
    return report_kit.with_confidence(report_kit.build(bars=300))


def test_the_figures_by_hand():
    """The z are 3, 1, 5, 2, 4; by z the returns are 1%, -2%, 3%, 2%, 5%, of ranks 2, 1, 4, 3, 5.

    The squared differences of the ranks are 1, 1, 1, 1, 0: 1 - 6 * 4 / (5 * 24) = 0.8.
    """
    trades = trades_of([30, 5, 20, 4, 12], [10, 5, 4, 2, 3], [0.03, 0.01, 0.05, -0.02, 0.02])
    assert z_of(trades).tolist() == [3, 1, 5, 2, 4]
    found = outcome_of(trades)
    assert found == pytest.approx((5, 0.035, -0.005, 0.8))
    assert found.error == 0.5


def test_a_trade_on_which_the_agents_agree_to_the_bit_has_no_z():
    trades = trades_of([3, 1, 9, 2, 4], [1, 1, 0, 1, 1], [0.3, 0.1, -0.9, 0.2, 0.4])
    np.testing.assert_array_equal(z_of(trades), [3, 1, np.nan, 2, 4])
    assert outcome_of(trades) == pytest.approx((4, 0.35, 0.15, 1.0))
    assert outcome_of(trades.iloc[:4]) is None


def test_ties_share_their_rank():
    # Ranks 1.5, 1.5, 3.5, 3.5 and 1, 2, 3, 4: covariance 1, variances 1 and 1.25 (over 4).
    found = outcome_of(trades_of([1, 1, 2, 2], 1.0, [0.1, 0.2, 0.3, 0.4]))
    assert found.correlation == pytest.approx(1 / np.sqrt(1.25))


def test_the_words(noted, report_data):
    rising = np.arange(1.0, 10)
    text = noted(rising, rising / 100)
    # The fifth is in neither half. The standard error is 1 / sqrt(8) = 0.35.
    assert text == (
        "Of 9 trades, the surer half (by z) returned +7.50% on average, the less sure half +2.50%. "
        "The rank correlation of z and return is +1.00 (standard error 0.35 if trades are "
        "independent), so the surer trades were the better ones."
    )
    assert noted(rising, -rising / 100).endswith("so the surer trades were the worse ones.")
    # Ranks 1, 2, 3, 4 and 2, 1, 4, 3: 1 - 6 * 4 / (4 * 15) = 0.6, standard error 0.58.
    assert "is +0.60 (standard error 0.58" in noted([1, 2, 3, 4], [0.2, 0.1, 0.4, 0.3])
    assert noted([1, 2, 3, 4], [0.2, 0.1, 0.4, 0.3]).endswith("which may be chance.")
    assert noted([1, 2, 3, 4], [0.1] * 4).endswith("is undefined: all are equal.")
    assert noted([1, 2, 3], [0.1] * 3) == "Fewer than 4 trades have a z: too few to compare."
    assert confidence_note(report_data.results["AAPL"]["ridge"]) == ""


class TestPages:
    def test_the_table_of_trades(self, data):
        page = Page(render_html(data))
        heads = [i for i, row in enumerate(page.rows) if row[1:2] and row[1]["text"] == "Side"]
        assert len(heads) == 5
        for i in heads:
            names = [cell["text"] for cell in page.rows[i][-4:]]
            assert names == ["Costs", "Advantage, bps", "Spread over agents, bps", "z"]
        assert len(data.results["AAPL"]["ridge"].trades) <= 100  # so all are shown, by time
        first = page.rows[heads[1] + 1]
        assert [cell["value"] for cell in first[-3:]] == [10.0, 4.0, 2.5]
        assert [cell["text"] for cell in first[-3:]] == ["10.0", "4.0", "2.50"]

    def test_without_a_spread_there_is_no_z(self, data, report_kit):
        result = data.results["AAPL"]["ridge"]
        trades = result.trades.assign(spread_bps=0.0)
        results = {"AAPL": {**data.results["AAPL"]}}
        results["AAPL"]["ridge"] = report_kit.replace(result, trades=trades)
        alone = report_kit.replace(data, results=results)
        page = Page(render_html(alone))
        head = next(i for i, row in enumerate(page.rows) if row[-1]["text"] == "z")
        assert [cell["text"] for cell in page.rows[head + 1][-2:]] == ["0.0", "—"]
        assert outcome_figure(alone, "AAPL", Times()) is None
        assert spread_figure(alone, "AAPL", Times()) is not None

    def test_every_trade_is_a_point(self, data):
        trades = data.results["IBM"]["ridge"].trades
        figure = outcome_figure(data, "IBM", Times())
        found = sorted((x, y) for t in figure["data"] for x, y in zip(t["x"], t["y"], strict=True))
        expected = sorted(((10 + k) / 4, r) for k, r in enumerate(trades["return"]))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        spreads = spread_figure(data, "IBM", Times())["data"]
        assert sorted(y for t in spreads for y in t["y"]) == [10 + k for k in range(len(trades))]
        assert {s for t in spreads for s in t["error_y"]["array"]} == {4.0}

    def test_names_in_a_chart_are_escaped(self, data, report_kit):
        result = data.results["IBM"]["ridge"]
        named = report_kit.replace(result, trades=result.trades.assign(symbol="<b>x"))
        changed = report_kit.replace(data, results={"IBM": {**data.results["IBM"], "ridge": named}})
        figure = json.dumps(outcome_figure(changed, "IBM", Times()))
        assert "&lt;b&gt;x" in figure
        assert "<b>" not in figure

    def test_markdown_and_card_have_the_sentence(self, data):
        note = confidence_note(data.results["PORTFOLIO"]["ridge"])
        assert f"## Confidence\n\n- PORTFOLIO: {note}\n- AAPL: Of " in render_markdown(data)
        assert "- **Spread over agents**: Standard deviation" in render_markdown(data)
        assert f"On the test bars: {note}" in compose_model_card(data)

    def test_nothing_of_it_if_the_policy_does_not_say(self, report_data):
        html = render_html(report_data)
        assert "Spread over agents" not in html
        assert "h-chart-confidence" not in html
        assert "Confidence" not in render_markdown(report_data)
        assert "Confidence" not in compose_model_card(report_data)
