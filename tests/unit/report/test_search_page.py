"""The page of a search: its charts have the trials, its table the order, its names are text."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from test_report_html import EVIL, Page, outside_loads, render_html
from test_report_markdown import render_markdown

from reinforcestrategycreator_pipeline.experiments.search import Range, SearchConfig
from reinforcestrategycreator_pipeline.experiments.trials import FinishedTrial
from reinforcestrategycreator_pipeline.reporting.search.charts import (
    in_order,
    inner_windows,
    trial_map,
)
from reinforcestrategycreator_pipeline.reporting.search.data import SearchData
from reinforcestrategycreator_pipeline.reporting.search.importance import importance
from reinforcestrategycreator_pipeline.reporting.search.page import render_study
from reinforcestrategycreator_pipeline.reporting.search.words import finding, title, trial_rows

SPACE = {
    "strategy.alpha": {"low": 1e-6, "high": 1e3, "log": True},
    "features.columns.0.horizons": [[1], [1, 5]],
    "strategy.name": ["linear", EVIL],
}


def trial(number, state, objectives, alpha, horizons, name="linear", error=""):
    values = (alpha, horizons, name)
    parameters = dict(zip(SPACE, values, strict=True))
    return FinishedTrial(number, state, parameters, "", objectives, {}, "", error, number + 0.25)


TRIALS = (
    trial(0, "complete", (1.0, 0.5), 1e-3, [1]),
    trial(1, "failed", (), 1e2, [1], error=f"too few bars {EVIL}"),
    trial(2, "complete", (0.2, 2.0), 1e-5, [1, 5], EVIL),
    trial(3, "pruned", (-3.0,), 1e1, [1, 5]),
    trial(4, "complete", (0.1, None), 1e-4, [1]),
    trial(5, "complete", (0.3, 1.0), 1e-2, [1, 5]),
)


def search(trials=TRIALS, **more):
    config = SearchConfig(**{"space": SPACE, "trials": len(TRIALS), "folds": 2, **more})
    made = "20260101-120000-abcdef", "complete", "2026-01-01T12:00:00+00:00", "0.1.0"
    return SearchData(*made, 7, config, trials, "2010-06-30T21:00:00+00:00", "rsc run --from-trial")


@pytest.fixture(scope="module")
def data():
    return search()


@pytest.fixture(scope="module")
def page(data):
    return Page(render_study(data, f"seed: 7 # {EVIL}\n"))


def traces(picture):
    return {trace["name"]: trace for trace in picture.figure["data"]}


def test_the_map_has_each_trial_at_its_value(data):
    pictures = {picture.title: picture for picture in trial_map(data)}
    drawn = traces(pictures["strategy.alpha"])
    assert list(drawn) == ["complete", "ended early", "best"]
    assert drawn["complete"]["x"] == [1e-3, 1e-5, 1e-4, 1e-2]
    assert drawn["complete"]["y"] == [0.5, 2.0, None, 1.0]  # without an objective, no point
    assert (drawn["ended early"]["x"], drawn["ended early"]["y"]) == ([10.0], [-3.0])
    assert (drawn["best"]["x"], drawn["best"]["y"]) == ([1e-5], [2.0])
    assert drawn["best"]["marker"]["symbol"] == "star"
    assert drawn["best"]["customdata"] == [[2, "2.00"]]
    layout = pictures["strategy.alpha"].figure["layout"]
    assert layout["xaxis"]["type"] == "log"
    assert layout["yaxis"]["title"]["text"] == "Sharpe ratio"
    assert pictures["strategy.alpha"].alt.endswith("; the best, 2.00, is at 1e-05")


def test_choices_stand_side_by_side_and_their_trials_apart(data):
    pictures = {picture.title: picture for picture in trial_map(data)}
    picture = pictures["features.columns.0.horizons"]
    places = traces(picture)["complete"]["x"]
    assert [round(place) for place in places] == [0, 1, 0, 1]
    assert len(set(places)) == 4
    assert picture.figure["layout"]["xaxis"]["ticktext"] == ["[1]", "[1, 5]"]
    texts = pictures["strategy.name"].figure["layout"]["xaxis"]["ticktext"]
    assert texts[1].startswith("&lt;/script&gt;")  # Plotly renders a subset of HTML


def test_two_keys_together_show_the_objective_as_color(data):
    pair = trial_map(data)[-1]
    keys = list(data.shares)[:2]
    assert pair.title == " and ".join(keys)
    drawn = traces(pair)
    assert drawn["complete"]["marker"]["color"] == [0.5, 2.0, 1.0]
    assert "best" in drawn
    names = {"strategy.name": SPACE["strategy.name"], "b": [0, 1]}
    both = [
        FinishedTrial(n, "complete", {"strategy.name": "linear", "b": 0}, "", (n,), {}, "", "", 1.0)
        for n in range(64)
    ]
    [*_, pair] = trial_map(search(tuple(both), space=names))
    places = [np.array(traces(pair)["complete"][axis]) for axis in "xy"]
    assert abs(np.corrcoef(places)[0, 1]) < 0.1  # not along a line
    one = search(space={"strategy.alpha": SPACE["strategy.alpha"]})
    assert len(trial_map(one)) == 1


def test_the_trial_of_a_run_is_marked_if_it_is_not_the_best(data):
    own = traces(trial_map(data, run_trial=5)[0])["this run"]
    assert (own["y"], own["marker"]["symbol"]) == ([1.0], "diamond")
    assert "this run" not in traces(trial_map(data, run_trial=2)[0])


def test_the_best_so_far_goes_up_by_complete_trials_only(data):
    drawn = traces(in_order(data))
    assert drawn["best so far"]["x"] == [0, 1, 2, 3, 4, 5]
    assert drawn["best so far"]["y"] == [0.5, 0.5, 2.0, 2.0, 2.0, 2.0]
    less = search(metric="volatility")
    assert traces(in_order(less))["best so far"]["y"] == [0.5] * 6
    assert less.best.number == 0


def test_the_inner_windows_of_each_trial(data):
    drawn = traces(inner_windows(data))
    assert drawn["trials"]["x"] == [1, 2, None, 1, 2, None, 1, 2, None, 1, 2, None, 1, None]
    assert drawn["trials"]["y"][:6] == [0.2, 2.0, None, 0.3, 1.0, None]
    assert drawn["best"]["y"] == [0.2, 2.0]
    assert inner_windows(search(folds=1)) is None
    many = inner_windows(search(tuple(replace(TRIALS[0], number=n) for n in range(120))))
    assert traces(many)["trials"]["x"].count(None) == 100
    assert many.caption.endswith("Drawn are the first 100 trials of the table.")


def test_the_table_has_the_best_first(data, page):
    assert [row.number for row in trial_rows(data)] == [2, 5, 0, 4, 3, 1]
    assert [row.number for row in trial_rows(data, 2)] == [2, 5]
    body = [row for row in page.rows if row and row[0]["value"] is not None]
    assert [row[0]["value"] for row in body] == [2, 5, 0, 4, 3, 1]
    texts = [cell["text"] for cell in body[0]]
    assert texts == ["2", "complete", "2.00", "1e-05", "[1, 5]", texts[5], "0.20", "2.2"]
    assert [cell["value"] for cell in body[0]][-1] == 2.25
    assert [row[1]["text"] for row in body] == ["complete"] * 4 + ["ended early", "failed"]
    assert [row[2]["text"] for row in body][3:] == ["—", "-3.00", "—"]


def test_the_words_are_those_of_the_numbers(data):
    assert title(data) == "The best of 6 trials: Sharpe ratio 2.00"
    assert finding(data) == (
        "Trial 2 has the best Sharpe ratio, 2.00, on the out-of-sample bars of two inner windows; "
        "all bars of the search end before the test bars, on 2010-06-30. All 6 trials are "
        "finished: 4 complete, 1 ended early, 1 failed."
    )
    assert "6 of 9 trials are finished" in finding(
        replace(data, search=replace(data.search, trials=9))
    )


def test_the_page_is_complete_and_loads_nothing(data, page):
    assert outside_loads(page) == []
    payload = json.loads(page.scripts[0])
    places = {a["data-chart"]: a for _, a in page.elements if "data-chart" in a}
    assert set(payload["run"]) == set(places)
    assert len(places) == 6
    for place in places.values():
        assert place["role"] == "img"
        assert len(place["aria-label"]) > 20
        assert "data-run" in place
    assert len(page.scripts) == 3
    html = render_study(data, "")
    assert html.count("<table") == html.count("<caption>")
    assert re.search(r"<title>(.*)</title>", html)[1] == f"Search {data.study}"
    assert html == render_study(data, "")
    assert "".join(page.text).count(EVIL) >= 4  # in the table, the error, the space, the YAML


@pytest.mark.parametrize(
    "trials",
    [
        (),
        (TRIALS[1],),
        (TRIALS[3], TRIALS[4]),
        (trial(0, "complete", (None, None), 1.0, [1]),),
        TRIALS[:1],
    ],
)
def test_few_trials_make_a_page_too(trials):
    found = search(trials)
    text = "".join(Page(render_study(found, "")).text)
    assert ("No trial can be ranked" in text) == (found.best is None)


class TestImportance:
    ALPHA = Range(0.0, 10.0)

    def test_by_hand(self):
        """Two choices of two trials each, with the ranks 1, 2 and 3, 4.

        H = 12 / (4 * 5) * (3^2 / 2 + 7^2 / 2) - 3 * 5 = 2.4, and (2.4 - 2 + 1) / (4 - 2) = 0.7.
        """
        assert importance(("a", "b"), ["a", "b", "b", "a"], [0.0, 9.0, 5.0, 0.1]) == pytest.approx(
            0.7
        )

    @pytest.mark.parametrize("ties", [False, True])
    def test_it_is_that_of_kruskal_and_wallis(self, ties):
        rng = np.random.default_rng(3)
        choices = rng.integers(3, size=40)
        objectives = choices + rng.normal(0.0, 1.0, 40)
        objectives = objectives.round() if ties else objectives
        h = stats.kruskal(*(objectives[choices == c] for c in range(3))).statistic
        found = importance((0, 1, 2), choices.tolist(), objectives.tolist())
        assert found == pytest.approx((h - 2) / 37)

    def test_a_range_has_four_groups_of_equal_size(self):
        rng = np.random.default_rng(4)
        values = rng.uniform(0.0, 10.0, 32)
        objectives = np.abs(values - 5.0)  # no straight line shows it
        order = values.argsort()
        h = stats.kruskal(*objectives[order].reshape(4, 8)).statistic
        found = importance(self.ALPHA, values.tolist(), objectives.tolist())
        assert found == pytest.approx((h - 3) / 28)
        assert found > 0.5

    def test_few_trials_make_fewer_groups(self):
        """Two of three each, with the ranks 1 to 3 and 4 to 6: H = 27 / 7."""
        values = [0.1, 0.2, 0.3, 7.0, 8.0, 9.0]
        assert importance(self.ALPHA, values, values) == pytest.approx((27 / 7 - 1) / 4)
        assert importance(("a", "b", "c"), ["a", "b", "c", "a", "b"], values[:5]) is None

    def test_noise_explains_nothing_and_one_extreme_value_neither(self):
        rng = np.random.default_rng(5)
        values, objectives = rng.uniform(0.0, 10.0, 200), rng.normal(size=200)
        objectives[0] = 1e9
        assert importance(self.ALPHA, values.tolist(), objectives.tolist()) < 0.05

    @pytest.mark.parametrize(
        ("values", "objectives"),
        [
            ([], []),
            ([1.0], [1.0]),
            ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]),
            ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]),
            ([1.0, 2.0, 9.0], [1.0] * 3),
        ],
    )
    def test_too_little_says_nothing(self, values, objectives):
        assert importance(self.ALPHA, values, objectives) is None

    def test_keys_that_explain_more_come_first(self):
        trials = tuple(
            trial(
                n, "complete", (float(n % 2), float(n % 2)), 10.0 ** (n % 3), [[1], [1, 5]][n % 2]
            )
            for n in range(12)
        )
        found = search(trials)
        assert next(iter(found.shares)) == "features.columns.0.horizons"
        assert found.shares["strategy.name"] is None  # only one of its values was tried
        assert list(found.shares)[-1] == "strategy.name"


@pytest.fixture(scope="module")
def of_trial(report_kit, data):
    """The report of a run of trial 5."""
    return report_kit.replace(
        report_kit.build(symbols=("AAPL",), bars=60), trial=f"{data.study}/5", search=data
    )


class TestOfRun:
    def test_the_report_of_a_run_has_the_map_and_a_link(self, of_trial, data):
        page = Page(render_html(of_trial))
        [href] = [a["href"] for tag, a in page.elements if tag == "a" and a["href"][0] != "#"]
        assert href == f"../../studies/{data.study}/report.html"
        payload = json.loads(page.scripts[0])
        keys = [key for key in payload["run"] if key.startswith("search-")]
        assert keys == ["search-0", "search-1", "search-2", "search-pair"]
        assert {a["data-chart"] for _, a in page.elements if "data-chart" in a} >= set(keys)
        text = "".join(page.text)
        assert f"trial 5 of the search {data.study}: Sharpe ratio 1.00" in text
        assert outside_loads(page) == [("a", {"href": href})]

    def test_so_has_the_one_in_markdown(self, of_trial, data):
        text = render_markdown(of_trial)
        assert f"(../../studies/{data.study}/report.html)" in text
        assert "| 2 | 2.00 | 1e-05 |" in text

    def test_without_the_folder_of_the_search_it_says_so(self, report_kit, of_trial):
        lost = report_kit.replace(of_trial, search=None)
        for text in ("".join(Page(render_html(lost)).text), render_markdown(lost)):
            assert "whose folder is not in this store, or is damaged." in text
            assert "studies/" not in text

    def test_a_run_of_no_search_has_no_such_section(self, report_kit, of_trial):
        plain = report_kit.replace(of_trial, trial="", search=None)
        assert "The search" not in render_markdown(plain)
        assert "The search" not in "".join(Page(render_html(plain)).text)
