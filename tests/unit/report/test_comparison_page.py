"""The page that compares runs: verdicts first, what does not compare by name, seeds, links."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from compared import a_run, closes, compared, with_p, without_result
from payload import payload_of
from test_report_html import EVIL, Page, outside_loads

from reinforcestrategycreator_pipeline.reporting.comparison.charts import lines_of
from reinforcestrategycreator_pipeline.reporting.comparison.comparable import warnings_of
from reinforcestrategycreator_pipeline.reporting.comparison.figures import (
    Interval,
    seed_rows,
    sharpe_rows,
)
from reinforcestrategycreator_pipeline.reporting.comparison.page import render_comparison
from reinforcestrategycreator_pipeline.reporting.comparison.words import (
    finding,
    interval_text,
    span_note,
    title,
)


@pytest.fixture(scope="module")
def seeds():
    """Two configurations with two and three seeds, and a run that failed."""
    return compared(
        a_run("a1", sharpe=1.0, strategy="ridge"),
        a_run("a2", sharpe=3.0, strategy="ridge"),
        a_run("b1", sharpe=2.0, strategy="dqn", level="strong", p=0.01),
        a_run("b2", sharpe=0.0, strategy="dqn"),
        a_run("b3", sharpe=1.0, strategy="dqn"),
        without_result(EVIL),
        seed="121230",
        **{"strategy.name": ["ridge", "ridge", "dqn", "dqn", "dqn", ""]},
    )


@pytest.fixture(scope="module")
def page(seeds):
    return Page(render_comparison(seeds))


class TestWords:
    def test_the_answers_are_counted_from_the_strongest_on(self, seeds):
        assert title(seeds) == "6 runs: 1 strong, 4 no evidence, 1 without a verdict"
        assert finding(seeds) == (
            "The highest Sharpe ratio is 3.00, of a2; the lowest is 0.00, of b2. Promoted: none."
        )

    def test_no_minus_before_zero(self):
        assert interval_text(Interval(-0.001, -0.004, 0.004), sign=True) == (
            "+0.00",
            "+0.00 to +0.00",
        )
        assert interval_text(None) == ("—", "")


class TestComparable:
    def test_equal_conditions_have_no_warning(self):
        assert warnings_of([a_run("one"), a_run("two"), without_result("three")]) == ()

    def test_other_assets_are_named_with_their_runs(self):
        runs = [a_run("one"), a_run("two", symbols=("MSFT", "AAPL")), a_run("three")]
        assert warnings_of(runs) == (
            "The runs were judged on different test bars, of different assets: IBM (one, three); "
            "AAPL, MSFT (two).",
        )

    def test_other_spans(self):
        [text] = warnings_of([a_run("one"), a_run("two", closes(bars=200))])
        assert text == (
            "The runs were judged on different test bars, of different spans: 2010-01-04 to "
            "2010-12-20 (one); 2010-01-04 to 2010-10-11 (two)."
        )

    def test_other_lengths_of_bars(self):
        hourly = a_run("two", pd.date_range("2010-01-04", "2010-12-20", freq="h", tz="UTC"))
        [text] = warnings_of([a_run("one"), hourly])
        assert text.endswith("of different lengths: 1 day (one); 1 hour (two).")

    def test_other_prices_on_the_same_dates(self):
        [text] = warnings_of([a_run("one"), a_run("two", data="other")])
        assert text.endswith("with other prices on the same dates: (one); (two).")

    def test_other_costs_name_the_keys_that_differ(self):
        runs = [a_run("one"), a_run("two", costs={"spread_bps": 0.0})]
        assert warnings_of(runs) == (
            "The runs paid different costs: spread_bps 2.0 (one); spread_bps 0.0 (two).",
        )

    def test_many_runs_are_counted(self):
        runs = [*(a_run(f"r{i}") for i in range(7)), a_run("x", symbols=("MSFT",))]
        [text] = warnings_of(runs)
        assert "IBM (r0, r1, r2, r3 and 3 more); MSFT (x)." in text


class TestCommonSpan:
    def test_figures_are_of_the_bars_that_all_have(self):
        index = closes(bars=300)
        long = a_run("long", index)
        short = a_run("short", index[100:], long.equity.pct_change().to_numpy()[101:])
        data = compared(long, short)
        assert data.common == (index[100], index[300])
        first, second = sharpe_rows(data)
        assert first.ratio == pytest.approx(second.ratio)  # the same returns there
        assert interval_text(second.difference, sign=True) == ("equal", "")
        assert span_note(data).startswith("Drawn on the bars that all have, 2010-05-24 to ")

    def test_without_one_each_is_drawn_on_its_own(self):
        data = compared(a_run("one"), a_run("two", closes("2015-01-05")))
        assert data.common is None
        assert [row.difference for row in sharpe_rows(data)] == [None, None]
        assert span_note(data).startswith("The runs have no test bars in common")


class TestSharpe:
    def test_the_ratio_is_the_metric(self):
        run = a_run("one")
        returns = run.equity.pct_change().to_numpy()[1:]
        years = (run.index[-1] - run.index[0]) / pd.Timedelta(days=365.25)
        expected = returns.mean() / returns.std(ddof=1) * math.sqrt(len(returns) / years)
        [row, _] = sharpe_rows(compared(run, a_run("two")))
        assert row.ratio.value == pytest.approx(expected)
        assert row.ratio.low < expected < row.ratio.high

    def test_a_difference_is_that_of_the_two_ratios(self):
        first, second = sharpe_rows(compared(a_run("one"), a_run("another")))
        expected = second.ratio.value - first.ratio.value
        assert second.difference.value == pytest.approx(expected)

    def test_a_common_market_makes_a_paired_difference_sharp(self):
        market = np.random.default_rng(3).normal(5e-4, 0.01, 250)
        own = a_run("plus", returns=market + 1e-3), a_run("market", returns=market)
        first, second = sharpe_rows(compared(*own))
        assert first.ratio.low < 0.0 or second.ratio.high > first.ratio.low  # alone, they overlap
        assert second.difference.high < 0.0

    def test_too_few_bars_have_none(self):
        data = compared(a_run("one", closes(bars=20)), a_run("two", closes(bars=20)))
        assert [row.ratio for row in sharpe_rows(data)] == [None, None]
        assert "Sharpe ratios" in "".join(Page(render_comparison(data)).text)


class TestSeeds:
    def test_by_hand(self, seeds):
        ridge, dqn = seed_rows(seeds)
        assert (ridge.group.label, dqn.group.label) == ("ridge", "dqn")
        assert (ridge.seeds, ridge.middle, ridge.low, ridge.high) == (2, 2.0, 1.0, 3.0)
        assert (dqn.seeds, dqn.middle) == (3, 1.0)
        # Pairs (1,2) (1,0) (1,1) (3,2) (3,0) (3,1): four are better, one is equal.
        assert ridge.better == [None, 4.5 / 6]
        assert dqn.better == [1.5 / 6, None]

    def test_one_strategy_is_distinguished_by_its_key(self):
        runs = [a_run(name) for name in ("a1", "a2", "b1", "b2")]
        data = compared(*runs, seed="1212", **{"strategy.alpha": ["1", "1", "2", ""]})
        labels = [group.label for group in data.groups]
        assert labels == [f"ridge, strategy.alpha {text}" for text in "12—"]
        many = compared(*runs[::2], **dict.fromkeys("xyz", "12"))
        assert [group.label for group in many.groups] == ["like a1", "like b1"]

    def test_one_seed_each_has_no_table(self):
        data = compared(a_run("one"), a_run("two"), **{"strategy.alpha": "12"})
        assert seed_rows(data) == []
        assert "h-seeds" not in render_comparison(data)

    def test_seeds_share_a_color(self, seeds):
        a1, a2, b1, _, _, hold = lines_of(seeds)
        assert a1.color == a2.color != b1.color
        assert a1.dash != a2.dash
        assert hold.name == "buy and hold"

    def test_buy_and_hold_is_drawn_only_if_it_is_that_of_all(self):
        assert [x.name for x in lines_of(compared(a_run("one"), a_run("two", data="x")))] == [
            "one",
            "two",
        ]


class TestPage:
    def test_verdicts_come_first(self, page):
        html = "".join(page.text)
        order = ["6 runs: 1 strong", "Verdicts", "Main figures", "Equity", "Sharpe ratios", "Seeds"]
        places = [html.index(text) for text in order]
        assert places == sorted(places)

    def test_each_run_has_its_answer_p_and_reasons(self, seeds, page):
        rows = [[cell["text"] for cell in row] for row in page.rows]
        [strong] = [row for row in rows if row[1:3] == ["Strong evidence of an edge", "0.01"]]
        assert strong[3].startswith(
            "In other orders of the same bars, chance timed them as well in"
        )
        assert [EVIL, "No verdict", "—", "The run is failed."] in [
            [c.strip() for c in r] for r in rows
        ]

    def test_a_p_of_nothing_is_a_dash(self):
        untested = with_p(a_run("one", level="no evidence"), None)
        rows = Page(render_comparison(compared(untested, a_run("two")))).rows
        assert any([c["text"] for c in row][2:3] == ["—"] for row in rows)

    def test_it_is_complete_and_loads_nothing(self, seeds, page):
        assert outside_loads(page) == []
        drawn = payload_of(page.scripts[0])
        places = {a["data-chart"] for _, a in page.elements if "data-chart" in a}
        assert set(drawn["run"]) == places == {"runs-equity", "runs-sharpe"}
        lines = [trace["name"] for trace in drawn["run"]["runs-equity"]["data"]]
        assert lines == ["a1", "a2", "b1", "b2", "b3", "buy and hold"]
        buttons = [a for tag, a in page.elements if tag == "button" and "aria-pressed" in a]
        assert len(buttons) == len(lines) + 1  # and that of the scale
        html = render_comparison(seeds)
        assert html == render_comparison(seeds)
        assert html.count("<table") == html.count("<caption>")
        assert re.search(r"<title>(.*)</title>", html)[1] == "Comparison of 6 runs"
        assert "".join(page.text).count(EVIL) >= 2

    def test_links_lead_from_the_page_to_the_reports(self, tmp_path):
        folder = tmp_path / "store" / "a run"
        (folder / "evaluation").mkdir(parents=True)
        (folder / "evaluation" / "report.html").write_text("")
        data = compared(a_run("one", folder=folder), a_run("two"))
        found = Page(render_comparison(data, tmp_path / "pages"))
        links = {a["href"] for tag, a in found.elements if tag == "a" and "class" not in a}
        assert links == {"../store/a%20run/evaluation/report.html"}
        absolute = Page(render_comparison(data))
        links = {a["href"] for tag, a in absolute.elements if tag == "a" and "class" not in a}
        assert links == {(folder / "evaluation" / "report.html").as_uri()}

    def test_runs_without_any_result_make_a_page_too(self):
        text = "".join(Page(render_comparison(compared(*map(without_result, "ab")))).text)
        assert "2 runs: 2 without a verdict" in text
        assert "No run has a Sharpe ratio." in text

    def test_fifty_runs_are_one_page_of_modest_size(self):
        runs = [a_run(f"r{i}", closes(bars=400)) for i in range(50)]
        assert len(render_comparison(compared(*runs, alpha=list(map(str, range(50)))))) < 8e6
