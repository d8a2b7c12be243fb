"""The band around the equity: by hand, its share of histories, and its place in the page."""

from __future__ import annotations

import math

import numpy as np
import pytest
from payload import payload_of
from test_report_html import Page, render_html

from reinforcestrategycreator_pipeline.reporting.charts.band import (
    band_note,
    band_of,
)
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.equity import equity_figure
from reinforcestrategycreator_pipeline.statistics.block_bootstrap import Blocks, times_of


def rng(seed=1):
    return np.random.default_rng(seed)


def grown(log_returns):
    return np.exp(np.concatenate([[0.0], np.cumsum(log_returns)]))


def test_the_times_of_two_draws_by_hand():
    """Of 4 times: from 3 on for 3, around the end, then 1; in the second draw 2, 3, 0, 1."""
    blocks = Blocks(np.array([0, 0, 1]), np.array([3, 1, 2]), np.array([3, 1, 4]), 4, 2)
    assert times_of(blocks).tolist() == [[3, 0, 1, 1], [2, 3, 0, 1]]


def test_at_the_end_it_is_that_of_a_sum_of_normal_returns():
    """Independent returns of deviation s: the log growth of n has s sqrt(n), times 1.645."""
    x = rng(2).normal(0.0, 0.01, 2_000)
    band = band_of(grown(x), rng())
    middle, half = x.sum(), 1.645 * x.std() * math.sqrt(len(x))
    assert np.log(band.low[-1]) == pytest.approx(middle - half, abs=0.12 * half)
    assert np.log(band.high[-1]) == pytest.approx(middle + half, abs=0.12 * half)
    assert (band.low[0], band.high[0]) == (1.0, 1.0)
    assert (band.at[0], band.at[-1], len(band.at)) == (0, 2_000, 400)
    assert (band.low <= band.high).all()


def test_it_is_none_where_it_says_nothing():
    x = rng(3).normal(0.0, 0.01, 5_001)
    assert band_of(grown(x[:29]), rng()) is None
    assert band_of(grown(x), rng()) is None
    assert band_of(grown(x[:5_000]), rng()) is not None
    assert band_of(np.ones(100), rng()) is None
    assert band_of(np.append(grown(x[:99]), 0.0), rng()) is None


def test_the_first_picture_has_it_and_the_others_have_not(report_kit):
    data = report_kit.build(symbols=("AAPL", "IBM"), bars=80)
    whole, times = data.assets[0], Times()
    *rest, low, high = equity_figure(data, whole, times)["data"]
    assert (low["name"], high["name"], high["fill"]) == ("90% band", "90% band", "tonexty")
    assert all(trace["name"] != "90% band" for trace in rest)
    assert len(times.axes[high["x"]["ref"]]) == len(high["y"]) == 81
    own = equity_figure(data, "AAPL", times)["data"]
    assert all(trace["name"] != "90% band" for trace in own)
    assert band_note(data, "AAPL") == ""
    html = render_html(data)
    assert band_note(data, whole).strip() in "".join(Page(html).text)
    assert html == render_html(data)
    payload = payload_of(Page(html).scripts[0])
    assert payload["assets"][0]["equity"]["data"][-1]["y"] == pytest.approx(high["y"], rel=1e-6)
