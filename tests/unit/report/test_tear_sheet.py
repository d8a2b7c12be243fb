"""QuantStats' tear sheet: our returns, our bars per year, no network; one line without it."""

from __future__ import annotations

import math
import re
import socket
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.reporting.tear_sheet import render_tear_sheet

EVIL = '<script src="https://x">'


@pytest.fixture(scope="module")
def quantstats():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("quantstats", reason="needs the extra quantstats")


def a_curve(seed, index, name="mine"):
    returns = np.random.default_rng(seed).normal(6e-4, 0.01, len(index))
    return pd.Series(1e5 * np.cumprod(1.0 + returns), index, name=name)


def days(count=600):
    return pd.bdate_range("2015-01-05", periods=count, tz="UTC")


def row(page, label):
    """Return the figures of a row of the table: the benchmark's, then the strategy's."""
    [cells] = re.findall(rf"<td>{label}</td>(.*?)</tr>", page)
    return re.findall(r"<td>(.*?)</td>", cells)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "periods"),
    [(days(), 261.05), (pd.date_range("2015-01-05", periods=900, freq="4h", tz="UTC"), 2191.5)],
)
def test_its_sharpe_ratio_is_our_metric(quantstats, tmp_path, index, periods):
    mine, hold = a_curve(1, index), a_curve(2, index, "buy and hold")
    page = rsc.tear_sheet(pd.concat([mine, hold], axis=1), tmp_path / "sheet.html").read_text()
    ours = [
        rsc.metrics.sharpe(curve.pct_change().iloc[1:], periods_per_year=periods)
        for curve in (hold, mine)
    ]
    assert [float(text) for text in row(page, "Sharpe")] == pytest.approx(ours, abs=0.0051)
    # And to all digits by the same function, of which the table shows two.
    returns = mine.pct_change().iloc[1:]
    theirs = quantstats.stats.sharpe(returns, periods=periods)
    assert theirs == pytest.approx(ours[1], rel=1e-12)
    by_itself = quantstats.stats.sharpe(returns)  # with 252
    assert by_itself == pytest.approx(ours[1] * math.sqrt(252 / periods), rel=1e-12)


@pytest.mark.slow
def test_it_loads_nothing_and_needs_no_network(quantstats, tmp_path, monkeypatch):
    def no_network(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = rsc.tear_sheet(a_curve(3, days(), EVIL), tmp_path / "sheet.html").read_text()
    assert EVIL not in page
    loads = re.findall(r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=.(?!data:)[^>]*>", page)
    assert loads == []


def test_without_the_extra_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "quantstats", None)
    with pytest.raises(ConfigError, match=r"a tear sheet needs an extra") as caught:
        render_tear_sheet(a_curve(4, days()), None, 252.0, "title")
    assert 'pip install "reinforcestrategycreator-pipeline[quantstats]"' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_equity_curve(tmp_path):
    with pytest.raises(DataError, match=r"needs 30 bars or more\. Got 9 instead"):
        rsc.tear_sheet(a_curve(5, days(10)), tmp_path / "sheet.html")
    ruined = a_curve(6, days())
    ruined.iloc[300:] = 0.0
    with pytest.raises(DataError, match="needs an equity above 0; 'mine' was ruined"):
        rsc.tear_sheet(ruined, tmp_path / "sheet.html")
    with pytest.raises(DataError, match="DatetimeIndex"):
        rsc.tear_sheet([1.0, 2.0], tmp_path / "sheet.html")
    assert not (tmp_path / "sheet.html").exists()
