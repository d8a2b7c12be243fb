"""The HTML page: complete, self-contained, escaped, and its numbers are the metrics."""

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from jinja2 import Environment
from payload import payload_of

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import all_metrics
from reinforcestrategycreator_pipeline.reporting import html as render
from reinforcestrategycreator_pipeline.reporting import tables
from reinforcestrategycreator_pipeline.reporting.charts import plotting
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.catalog import CHARTS, draw_charts
from reinforcestrategycreator_pipeline.reporting.charts.distribution import distribution_figure
from reinforcestrategycreator_pipeline.reporting.contents import contents
from reinforcestrategycreator_pipeline.reporting.data import stamp_texts
from reinforcestrategycreator_pipeline.reporting.html import script_json
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision, Earlier

EVIL = '</script><script>alert(1)</script>"&'


def render_html(data):
    return render.render_html(contents(data))


class Page(HTMLParser):
    """Elements with attributes, the scripts' texts, and the text of table cells."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.rows, self.text = [], [], [], []
        self._script = self._cell = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._script = True
            self.scripts.append("")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self._cell = True
            self.rows[-1].append({"text": "", "value": None})
        elif tag == "data":
            self.rows[-1][-1]["value"] = float(dict(attrs)["value"])

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = False
        elif tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if self._script:
            self.scripts[-1] += data
            return
        self.text.append(data)
        if self._cell:
            self.rows[-1][-1]["text"] += data


@pytest.fixture(scope="module")
def html(report_data):
    return render_html(report_data)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def outside_loads(page):
    """Return the elements that would load something, or run a handler."""
    found = []
    for tag, attributes in page.elements:
        targets = [attributes.get(n) for n in ("src", "href", "action", "srcset", "data", "poster")]
        loads = any(target is not None and not target.startswith("#") for target in targets)
        handler = any(name.startswith("on") for name in attributes)
        if loads or handler or "url(" in attributes.get("style", ""):
            found.append((tag, attributes))
    return found


def test_loads_nothing_from_outside(page):
    assert outside_loads(page) == []


@pytest.mark.parametrize(
    "planted",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="http://fonts.example/x.css">',
        "<p style=\"background:url('//x')\">",
        '<img onerror="x()">',
    ],
)
def test_a_planted_load_is_found(planted):
    assert len(outside_loads(Page(planted))) == 1


def test_style_and_policy_forbid_loads(html):
    css = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in css
    assert "@import" not in css
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy


def test_policy_lists_exactly_the_scripts_that_run(html, page):
    policy = re.search(r"script-src ([^;]*);", html).group(1)
    run = [s for s, (_, a) in zip(page.scripts, scripts_of(page), strict=True) if "type" not in a]
    assert len(run) == 2
    for script in run:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def scripts_of(page):
    return [element for element in page.elements if element[0] == "script"]


def test_every_registered_chart_is_in_the_page(report_kit, report_data):
    """The page's places and the script's figures have the same names: a new chart is seen here."""
    report_data = report_kit.with_screening(report_kit.with_confidence(report_data))
    report_data = report_kit.with_behavior(report_kit.with_chance(report_data))
    page = Page(render_html(report_data))
    payload = json.loads(page.scripts[0])
    places = {a["data-chart"]: a for _, a in page.elements if "data-chart" in a}
    assert list(places) == [chart.key for chart in CHARTS.values()]
    headings = [a.get("id") for tag, a in page.elements if tag == "h2"]
    for chart in CHARTS.values():
        place = places[chart.key]
        assert ("data-run" in place) == (chart.per == "run")
        assert place["aria-label"] == chart.title
        figures = payload["assets"] if chart.per == "asset" else [payload["run"]]
        for drawn in figures:
            assert drawn[chart.key]["data"]
        for asset in report_data.assets:
            assert chart.caption_of(report_data, asset) in "".join(page.text)
        assert f"h-chart-{chart.section.lower().replace(' ', '-')}" in headings
    drawn = {key for figures in (*payload["assets"], payload["run"]) for key in figures}
    assert drawn == set(places)


def test_page_is_accessible(html, page):
    assert ("html", {"lang": "en"}) in page.elements
    assert "<title>Strategy report 20260101-120000-example</title>" in html
    assert html.count("<table") == html.count("<caption>")
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        if "chart" in (attributes.get("class") or "").split():
            assert (tag, attributes["role"]) == ("div", "img")
            assert attributes["aria-label"]
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def metric_rows(page, columns):
    """Return the rows of the metrics tables, in order of appearance."""
    labels = {metric.label for metric in all_metrics()}
    return [r for r in page.rows if len(r) == columns + 1 and r[0]["text"] in labels]


def test_every_number_in_the_tables_is_the_metric(report_data, page):
    rows = iter(metric_rows(page, 6))
    for asset in report_data.assets:
        for info in all_metrics():
            row = next(rows)
            assert row[0]["text"] == info.label
            for strategy, cell in zip(report_data.results[asset], row[1:], strict=True):
                metric = report_data.value(asset, strategy, info.key)
                assert cell["value"] == metric.value, (asset, info.key, strategy)
                if metric.value is None:
                    assert cell["text"] == f"— {metric.reason}"
    assert next(rows, None) is None


def test_undefined_is_a_dash_with_its_reason(report_data, page):
    flat = list(report_data.results["PORTFOLIO"]).index("flat")
    row = next(row for row in metric_rows(page, 6) if row[0]["text"] == "Sharpe ratio")
    assert row[1 + flat] == {"text": "— zero variance", "value": None}


def hostile(kit):
    """Return report data in which everything that a user names is an attack."""
    base = kit.build(symbols=("AAPL", "IBM"), bars=60)

    def renamed(mapping):
        return {EVIL if key == "AAPL" else key: item for key, item in mapping.items()}

    data = kit.replace(
        base,
        run_id=EVIL,
        results=renamed(base.results),
        judgement=kit.replace(
            base.judgement,
            metrics=renamed(base.judgement.metrics),
            periods_per_year=renamed(base.judgement.periods_per_year),
            notes=(EVIL,),
            decision=Decision(
                (Check(EVIL, EVIL, EVIL, False),), Earlier(EVIL, True, EVIL, (EVIL,))
            ),
        ),
        prices=renamed(base.prices),
        config_yaml=EVIL,
        notes=(EVIL,),
        provenance={EVIL: {"nested": EVIL}},
        stage_seconds={EVIL: 1.0},
        costs={EVIL: 1.0},
    )
    for result in data.results[EVIL].values():
        result.trades["symbol"] = EVIL
    return data


def test_hostile_names_are_text(report_kit):
    page = Page(render_html(hostile(report_kit)))
    assert len(page.scripts) == 3
    assert "".join(page.text).count(EVIL) > 10
    payload = json.loads(page.scripts[0])
    names = payload["assets"][0]["positions"]["layout"]["yaxis"]["ticktext"]
    assert names[0].startswith("&lt;/script&gt;")  # Plotly renders a subset of HTML


def test_a_page_without_escaping_is_found(report_kit, monkeypatch):
    def careless(**options):
        return Environment(**{**options, "autoescape": False})

    monkeypatch.setattr(render, "Environment", careless)
    render._environment.cache_clear()
    try:
        assert len(Page(render_html(hostile(report_kit))).scripts) > 3
    finally:
        render._environment.cache_clear()


def test_script_json_cannot_close_its_element():
    text = script_json({"a": "</script><!--&"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!--&"}


def test_same_data_same_bytes(report_data, html):
    assert render_html(report_data) == html


def test_render_is_quick(report_data):
    start = time.process_time()
    render_html(report_data)
    assert time.process_time() - start < 1.0


def test_payload_holds_the_results(report_data, page):
    payload = payload_of(page.scripts[0])
    assert len(payload["assets"]) == 5
    equity = payload["assets"][0]["equity"]["data"]
    result = report_data.results["PORTFOLIO"]["ridge"]
    assert equity[0]["name"] == "ridge"
    np.testing.assert_allclose(equity[0]["y"], result.equity / result.equity[0], rtol=1e-6)
    assert len(payload["times"][equity[0]["x"]["ref"]]) == len(result.equity)
    oracle = [trace for trace in equity if trace["name"] == "oracle"]
    assert [trace["visible"] for trace in oracle] == ["legendonly"]
    assert set(payload["run"]) == {"loss", "q", "validation", "exploration", "norms"}
    floor = payload["run"]["loss"]["data"][-1]
    assert floor["name"] == "floor 0.00026"
    assert floor["y"] == [2.6e-4, 2.6e-4]


def test_chart_colours_exist_in_the_style(page, html):
    css = html[html.index("<style>") : html.index("</style>")]
    used = set(re.findall(r'"(--c-[a-z-]+)"', page.scripts[0]))
    assert len(used) > 10
    for name in used:
        assert f"{name}:" in css, name


def test_single_asset_without_history_prices_or_thresholds(report_kit, report_data):
    data = report_kit.replace(
        report_data,
        results={"IBM": {"ridge": report_data.results["IBM"]["ridge"]}},
        judgement=report_kit.replace(report_data.judgement, decision=Decision(())),
        prices={},
        history=report_data.history.iloc[:0],
        notes=(),
        provenance={},
        best_step=None,
        stage_seconds={},
    )
    html = render_html(data)
    assert "Promoted. No checks were set." in html
    assert 'id="asset"' not in html
    assert 'id="h-chart-positions"' not in html
    assert 'id="h-chart-training"' not in html


def test_long_history_is_thinned_and_says_so(report_kit, monkeypatch, report_data):
    monkeypatch.setattr(plotting, "MAX_POINTS", 100)
    html = render_html(report_data)
    assert "Lines of more than 100 bars are drawn at fewer, with their highest and lowest" in html
    payload = draw_charts(report_data).payload
    for name, asset in zip(report_data.assets, payload["assets"], strict=True):
        for figure in asset.values():
            for trace in figure["data"]:
                if isinstance(trace["x"], dict) and trace["type"] == "scatter":
                    times = payload["times"][trace["x"]["ref"]]
                    assert 50 < len(times) == len(trace["y"]) <= 100
                    assert times[-1] in ("2013-01-28", "2013-01-25")  # a close, a decision
        equity = report_data.results[name]["ridge"].equity
        drawn = asset["equity"]["data"][0]["y"]
        found = [drawn[0], min(drawn), max(drawn), drawn[-1]]
        true = np.array([equity[0], equity.min(), equity.max(), equity[-1]]) / equity[0]
        np.testing.assert_allclose(found, true, rtol=1e-6)


def test_kept_points_are_the_extremes_of_each_stretch(monkeypatch):
    monkeypatch.setattr(plotting, "MAX_POINTS", 6)
    rising = np.array([0.0, 5, -5, 1, 2, 3, 9, 4, 4, 4])  # two stretches, of five points each
    assert plotting.kept(10, rising).tolist() == [0, 1, 2, 5, 6, 9]
    assert plotting.kept(6, rising[:6]).tolist() == [0, 1, 2, 3, 4, 5]
    assert plotting.kept(11).tolist() == [0, 2, 4, 6, 8, 10]


def test_numbers_round_to_seven_digits_and_drop_nan():
    got = plotting.numbers([0.1 + 0.2, 123456.789012, -1e-300, np.nan, np.inf, 0.0, 1.23456789e25])
    assert got[:2] == [0.3, 123456.8]
    assert got[2] == pytest.approx(-1e-300)
    assert got[3:6] == [None, None, 0.0]
    assert got[6] == pytest.approx(1.234568e25)


def test_monthly_returns_by_hand(report_kit):
    stamps = pd.DatetimeIndex(
        ["2019-12-30", "2019-12-31", "2020-01-10", "2020-01-31", "2020-03-02"], tz="UTC"
    )
    frame = pd.DataFrame({"open": 1.0, "close": [100.0, 110, 99, 121, 60.5]}, stamps)
    result = report_kit.simulate("s", "X", frame, [0.0] * 4)
    result.equity[:] = frame["close"]
    first, second = tables.monthly_returns(result)
    assert (first.year, second.year) == (2019, 2020)
    assert first.months[:11] == [None] * 11
    assert first.months[11] == first.total == pytest.approx(0.1)
    assert second.months[0] == pytest.approx(0.1)
    assert second.months[1] is None
    assert second.months[2] == pytest.approx(-0.5)
    assert second.total == pytest.approx(60.5 / 110 - 1)
    result.equity[3:] = 0.0
    assert tables.monthly_returns(result)[1].months[:3] == [-1.0, None, None]


def test_shown_trades_are_the_largest_in_order(report_data):
    result = report_data.results["PORTFOLIO"]["ridge"]
    shown = tables.shown_trades(result, limit=7)
    largest = sorted(result.trades["pnl"].abs(), reverse=True)[:7]
    assert sorted((abs(t["pnl"]) for t in shown), reverse=True) == largest
    assert [t["entry_time"] for t in shown] == sorted(t["entry_time"] for t in shown)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", t["entry_time"]) for t in shown)


def test_stamps_are_dates_only_if_a_date_names_a_bar():
    hours = pd.date_range("2020-01-01 10:30", periods=3, freq="h", tz="UTC")
    assert stamp_texts(hours[:1], hours) == ["2020-01-01T10:30"]
    assert stamp_texts(hours[:1]) == ["2020-01-01"]
    assert stamp_texts(pd.DatetimeIndex([pd.NaT, hours[0]]), hours)[0] == ""


def test_distribution_leaves_out_bars_without_position(report_data):
    figure = distribution_figure(report_data, "AAPL", Times())
    for trace in figure["data"]:
        assert sum(trace["y"]) == pytest.approx(1.0, abs=1e-5)


def test_a_ruined_account_is_shown(report_kit):
    data = report_kit.build(symbols=("IBM",), bars=60)
    result = data.results["IBM"]["ridge"]
    result.equity[30:] = 0.0
    results = {"IBM": {"ridge": result}}
    judgement = report_kit.judged(results, 252.0)
    html = render_html(report_kit.replace(data, results=results, judgement=judgement))
    assert "net of costs, was -100.00%" in html
    assert "its Sharpe ratio was undefined (ruined: equity reached zero)" in html


def test_missing_policy_or_metrics_are_refused(report_kit, report_data):
    results = {"IBM": {"dqn": report_data.results["IBM"]["ridge"]}}
    with pytest.raises(ValueError, match="the results of 'IBM' lack 'ridge'"):
        report_kit.replace(report_data, results=results)
    with pytest.raises(ValueError, match="the metrics of 'AAPL' lack the strategy"):
        report_kit.replace(report_data, judgement=report_kit.judged({}, 252.0))


def test_the_equity_chart_says_whether_the_portfolio_is_rebalanced(report_kit):
    data = report_kit.build(symbols=("AAPL", "IBM"), bars=60)
    said = "The portfolio of each strategy is"
    assert f"{said} never rebalanced." in CHARTS.get("equity").caption_of(data, "PORTFOLIO")
    for rule, words in (("monthly", "monthly"), (5, "every 5 bars"), (1, "at every bar")):
        changed = report_kit.replace(data, rebalance=rule)
        caption = CHARTS.get("equity").caption_of(changed, "PORTFOLIO")
        assert f"{said} rebalanced {words}." in caption
    assert said not in CHARTS.get("equity").caption_of(data, "IBM")


def test_the_answer_comes_first_and_the_test_against_chance_is_drawn(report_kit, report_data):
    data = report_kit.with_chance(report_data)
    html = render_html(data)
    page = Page(html)
    assert "<h1>No evidence of an edge: " in html
    finding = html[html.index('class="finding"') :]
    assert finding.index("In other orders of the same bars") < finding.index("annual return on")
    drawn = payload_of(page.scripts[0])["run"]["chance"]
    assert sum(drawn["data"][0]["y"]) == 4
    assert drawn["layout"]["shapes"][0]["x0"] == 0.7
    assert drawn["layout"]["annotations"][0]["text"] == "the policy, p 0.24"
    assert "were put into 4 other orders" in html
