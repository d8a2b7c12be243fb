"""``rsc features``: what it prints and draws, on training bars alone."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline import feature
from reinforcestrategycreator_pipeline.api.feature_views import list_families, show_feature
from reinforcestrategycreator_pipeline.cli.entry import run_app
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.features.base import FEATURES
from reinforcestrategycreator_pipeline.reporting.features.page import render_feature
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

BARS = {"A": make_bars(1500, 1), "B": make_bars(1200, 2).set_axis(make_bars(1500).index[300:])}


@feature
def tomorrow(bars):
    """Planted: what comes next, known today."""
    close = bars["close"]
    return np.concatenate([np.log(close[1:] / close[:-1]), [0.0]])


def test_measures_and_page_depend_on_training_bars_alone():
    seen = show_feature("trend", bars=BARS, parameters={"period": 10})
    changed = {}
    for symbol, frame in BARS.items():
        later = frame.index > seen.end
        assert later.any()
        assert seen.frames[symbol].index[-1] == frame.index[~later][-1]
        changed[symbol] = frame.mask(np.broadcast_to(later[:, None], frame.shape), frame * 3.0)
    again = show_feature("trend", bars=changed, parameters={"period": 10})
    assert again.measures == seen.measures
    assert render_feature(again) == render_feature(seen)


def test_measures_are_those_of_pandas_and_know_what_is_planted():
    view = show_feature("returns", bars=BARS, symbols=["B"], parameters={"horizons": [1, 3]})
    one, three = view.measures
    close = view.frames["B"]["close"]
    expected = np.log(close).diff(3)
    assert (three.symbol, three.column) == ("B", "log_return_3")
    assert three.mean == pytest.approx(expected[3:].mean(), rel=1e-9)
    assert three.missing == pytest.approx(3 / len(close))
    pairs = pd.DataFrame({"x": expected, "y": np.log(close).diff().shift(-1)}).dropna().rank()
    assert three.information.value == pytest.approx(pairs.corr().iloc[0, 1], abs=1e-12)
    assert abs(one.information.value / one.information.error) < 3
    planted = show_feature(tomorrow, bars=BARS, symbols=["A"]).measures[0]
    assert planted.information is None or planted.information.value > 0.99


def test_refusals():
    with pytest.raises(ConfigError, match="no symbol 'C'"):
        show_feature("rsi", bars=BARS, symbols=["C"])
    late = {**BARS, "LATE": BARS["A"].iloc[-300:]}
    with pytest.raises(DataError, match="has values on fewer than 30"):
        show_feature("returns", bars=late, symbols=["LATE"])


def test_every_feature_is_listed_in_a_family():
    listed = {m.name for _, members in list_families().values() for m in members}
    assert listed == set(FEATURES)


def test_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rsc", "features", *arguments])
        return run_app(), *capsys.readouterr()

    code, out, err = run("list", "regimes")
    assert (code, err) == (0, "")
    assert "trend, 60 bars  [period 60]" in out
    assert "rsi" not in out
    code, out, err = run(
        "show", "trend", "--symbol", "IBM", "--set", "period=20", "--html", "t.html"
    )
    assert (code, err) == (0, "")
    assert "trend (period 20)" in out
    assert "2000-03-01 to 2005-02-11" in out
    assert "trend_efficiency_20" in Path("t.html").read_text(encoding="utf-8")
    for arguments, message in (
        (("show", "rssi"), "Did you mean 'rsi'?"),
        (("show", "rsi", "--set", "perod=3"), "Did you mean 'period'?"),
        (("list", "regime"), "no family of features 'regime'. Did you mean 'regimes'?"),
    ):
        code, _, err = run(*arguments)
        assert code != 0
        assert message in err
