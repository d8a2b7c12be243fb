"""A chart of a user's: one function, one place in the page; what is wrong with it is told."""

import pytest
from payload import payload_of

from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.reporting.charts.base import CHARTS, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import line
from reinforcestrategycreator_pipeline.reporting.contents import contents
from reinforcestrategycreator_pipeline.reporting.html import render_html


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(CHARTS, "_members", dict(CHARTS._members))


def figures(html):
    start = html.index(">", html.index('id="report-data"')) + 1
    return payload_of(html[start : html.index("</script>", start)])


def test_an_own_chart_is_in_the_page(report_data):
    @chart("costs", "Costs <so far>", "Costs & fees", caption=lambda data, asset: f"Of {asset}.")
    def costs(data, asset, times):
        if asset == "IBM":
            return None
        result = data.results[asset][data.policy]
        x = times.axis(result.timestamps[1:])
        return {"data": [line(x, result.costs.cumsum(), "<b>", {})], "layout": {}}

    @chart("speed", "Speed", "Training", per="run")
    def speed(data, asset, times):
        return None

    html = render_html(contents(report_data))
    assert '<h2 id="h-chart-costs-fees">Costs &amp; fees</h2>' in html
    assert 'data-chart="costs" role="img" aria-label="Costs &lt;so far&gt;"' in html
    assert "Of IBM.</figcaption>" in html
    assert 'data-chart="speed"' not in html  # nothing to draw
    drawn = figures(html)
    for asset, own in zip(report_data.assets, drawn["assets"], strict=True):
        assert ("costs" in own) == (asset != "IBM")
    trace = drawn["assets"][0]["costs"]["data"][0]
    assert trace["name"] == "&lt;b&gt;"
    assert len(drawn["times"][trace["x"]["ref"]]) == len(trace["y"]) == 650


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda data, asset, times: data.result, "raised AttributeError: 'ReportData' object has"),
        (lambda data: {}, "raised TypeError: "),
        (lambda data, asset, times: {"y": float("nan")}, "raised ValueError: Out of range float"),
        (lambda data, asset, times: {"y": {1, 2}}, "raised TypeError: Object of type set is not"),
    ],
)
def test_a_chart_that_cannot_be_drawn_is_named(report_data, draw, message):
    chart("odd", "Odd", "Odd")(draw)
    with pytest.raises(RunError, match=f"the chart 'odd' {message}"):
        render_html(contents(report_data))


def test_wrong_options_are_refused():
    with pytest.raises(ConfigError, match="key parameter of the chart 'My chart' must be lower-c"):
        chart("My chart", "Mine", "Mine")(print)
    with pytest.raises(ConfigError, match="per parameter of the chart 'odd' must be 'asset' or "):
        chart("odd", "Odd", "Odd", per="bar")(print)
    with pytest.raises(ConfigError, match="the chart 'equity' is already registered"):
        chart("equity", "Equity", "Mine")(print)
