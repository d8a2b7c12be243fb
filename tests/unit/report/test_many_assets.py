"""A page of very many assets: small, and it says what it leaves out."""

import json
import re

import numpy as np
import pytest
from payload import payload_of, unpacked
from test_report_html import Page, render_html

from reinforcestrategycreator_pipeline.reporting import detail
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.packing import pack, packed
from reinforcestrategycreator_pipeline.reporting.charts.positions import breadth_figure
from reinforcestrategycreator_pipeline.reporting.contents import contents
from reinforcestrategycreator_pipeline.reporting.markdown import render_markdown

PLOTLY = 4_900_000  # bytes of its script


@pytest.fixture(scope="module")
def many(report_kit):
    return report_kit.build(symbols=tuple(f"S{k:02d}" for k in range(42)), bars=250)


def test_few_assets_are_all_in_full(report_data):
    assert detail.in_full(report_data) == report_data.assets
    assert detail.others(report_data) == []
    assert detail.left_out(report_data) == ""
    assert detail.growth_of_others(report_data, Times()) is None


def test_of_many_assets_the_best_and_the_worst_are_in_full(many):
    growth = {s: many.results[s]["ridge"].equity[-1] for s in many.symbols}
    ranked = sorted(growth, key=growth.get)
    full = detail.in_full(many)
    assert full[0] == "PORTFOLIO"
    assert full[1:] == [*ranked[:-4:-1], *ranked[2::-1]]
    assert sorted([*full[1:], *detail.others(many)]) == many.symbols
    assert detail.left_out(many).startswith("With so many assets, 36 of 42 are drawn only as")


def test_the_page_draws_the_others_on_demand_and_lists_all(many):
    page = Page(render_html(many))
    found = payload_of(page.scripts[0])
    assert len(found["assets"]) == 7
    others = detail.others(many)
    assert len(found["others"]["values"]) == len(others) == 36
    result = many.results[others[5]]
    times = found["times"][found["others"]["figure"]["data"][0]["x"]["ref"]]
    stamps = [str(t)[:10] for t in result["ridge"].timestamps]
    assert len(times) == 200
    for trace, name in zip(found["others"]["values"][5], ("ridge", "buy and hold"), strict=True):
        at = [stamps.index(t) for t in times]
        equity = result[name].equity
        np.testing.assert_allclose(trace["y"], equity[at] / equity[0], rtol=1e-6)
    options = [a for tag, a in page.elements if tag == "option"]
    assert [int(a["value"]) for a in options] == list(range(43))
    rows = {row[0]["text"] for row in page.rows if row}
    assert rows >= set(many.symbols)
    text = "".join(page.text)
    assert text.count(detail.left_out(many)) == 2
    assert "S21" in render_markdown(contents(many))


@pytest.mark.slow
def test_the_page_of_five_hundred_assets_is_below_8_mb(report_kit):
    """What 505 assets of 1,259 bars need, from what 15 assets more need."""
    few, more = (
        len(render_html(report_kit.build(symbols=tuple(f"S{k:03d}" for k in range(n)), bars=1259)))
        for n in (45, 60)
    )
    assert few + (505 - 45) * (more - few) / 15 < 8_000_000


def test_a_page_of_many_assets_is_little_more_than_its_script(many):
    assert len(render_html(many)) < PLOTLY + 900_000


def test_an_asset_without_bars_at_the_end_has_no_growth_there(report_kit, many):
    name = detail.others(many)[0]
    strategies = {
        key: report_kit.replace(r, timestamps=r.timestamps[:51], equity=r.equity[:51])
        for key, r in many.results[name].items()
    }
    data = report_kit.replace(many, results={**many.results, name: strategies})
    values = detail.growth_of_others(data, Times())["values"][detail.others(data).index(name)]
    known = [y is not None for y in values[0]["y"]]
    assert known == [True] * sum(known) + [False] * (200 - sum(known))
    assert 35 < sum(known) < 45  # 51 of 251 closes


def test_breadth_is_the_share_of_the_assets_with_bars(report_kit, many):
    data = report_kit.replace(many, positions=(-1.0, 0.0, 1.0))
    figure = breadth_figure(data, Times())
    held = np.array([data.results[s]["ridge"].exposure for s in data.symbols])
    shown = {trace["name"]: trace["y"] for trace in figure["data"]}
    np.testing.assert_allclose(shown["assets long"], (held > 0).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(shown["assets short"], -(held < 0).mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0.0, 1.0] * 40, "i1"),
        ([-300.0, 300.0] * 40, "i2"),
        ([0.123456, None] * 400, "f4"),
        ([1234567.0] * 50, "f4"),
    ],
)
def test_numbers_are_packed_to_the_same_numbers(values, dtype):
    found = pack(values)
    assert found["dtype"] == dtype
    back = unpacked(found)
    assert [x is None for x in back] == [x is None for x in values]
    known = [(x, y) for x, y in zip(values, back, strict=True) if x is not None]
    np.testing.assert_allclose(*zip(*known, strict=True), rtol=1e-7)


def test_a_matrix_is_packed_with_its_shape():
    matrix = (np.arange(80).reshape(4, 20) / 7).tolist()
    found = pack(matrix)
    assert found["shape"] == "4,20"
    np.testing.assert_allclose(unpacked(found), matrix, rtol=1e-7)


@pytest.mark.parametrize(
    "values",
    [[1.0] * 31, ["a"] * 80, [1e39, 0.5] * 40, [[1.0] * 40, [1.0] * 41], [], [True] * 60],
)
def test_other_lists_stay_as_they_are(values):
    assert pack(values) is values


def test_only_the_values_of_traces_are_packed():
    figure = {
        "data": [{"y": [0.123456] * 50, "text": ["a"] * 50}],
        "layout": {"range": [0.123456] * 50},
    }
    found = packed([figure])
    assert found[0]["layout"] == figure["layout"]
    assert found[0]["data"][0]["text"] == ["a"] * 50
    assert json.loads(json.dumps(found))[0]["data"][0]["y"]["dtype"] == "f4"
    assert re.fullmatch(r"[A-Za-z0-9+/]+=*", found[0]["data"][0]["y"]["bdata"])
