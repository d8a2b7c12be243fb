"""Rolling Sharpe ratio beside pandas' rolling windows; drawdowns by hand."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.reporting import history, tables
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.rolling import rolling_figure
from reinforcestrategycreator_pipeline.reporting.history import (
    Drawdown,
    largest_drawdowns,
    rolling_sharpe,
    rolling_window,
)


def test_the_rolling_ratio_is_that_of_pandas():
    returns = np.random.default_rng(3).normal(0.001, 0.01, 400)
    rolling = pd.Series(returns).rolling(63)
    expected = rolling.mean() / rolling.std() * np.sqrt(252)
    np.testing.assert_allclose(rolling_sharpe(returns, 63, 252.0), expected, rtol=1e-9)


def test_the_rolling_ratio_in_parts_is_the_same(monkeypatch):
    returns = np.random.default_rng(3).normal(0.001, 0.01, 400)
    whole = rolling_sharpe(returns, 63, 252.0)
    monkeypatch.setattr(history, "_AT_ONCE", 63 * 50)
    np.testing.assert_allclose(rolling_sharpe(returns, 63, 252.0), whole, rtol=1e-12)


def test_a_window_without_dispersion_or_with_nan_has_no_ratio():
    returns = np.array([0.0, 0.0, 0.0, 0.01, 0.02, np.nan, 0.01, 0.03])
    found = rolling_sharpe(returns, 2, 1.0)
    assert np.isnan(found).tolist() == [True, True, True, False, False, True, True, False]
    assert found[4] == pytest.approx(0.015 / np.sqrt(0.00005))
    assert np.isnan(rolling_sharpe(returns[:1], 2, 1.0)).all()


@pytest.mark.parametrize(("bars", "window"), [(79, None), (80, 20), (400, 100), (5000, 126)])
def test_the_window_is_a_quarter_of_a_short_span(bars, window):
    assert rolling_window(bars) == window


def test_drawdowns_by_hand():
    equity = np.array([100.0, 90, 95, 100, 120, 60, 90, 130, 117, 125])
    assert largest_drawdowns(equity) == [
        Drawdown(4, 5, 7, -0.5),
        Drawdown(0, 1, 3, pytest.approx(-0.1)),
        Drawdown(7, 8, None, pytest.approx(-0.1)),
    ]
    assert len(largest_drawdowns(equity, 1)) == 1
    assert largest_drawdowns(np.array([1.0, 1.0, 2.0])) == []
    assert largest_drawdowns(np.array([1.0, 0.0]))[0] == Drawdown(0, 1, None, -1.0)


def test_the_deepest_one_is_the_metric(report_data):
    for asset in report_data.assets:
        row = tables.drawdown_rows(report_data.results[asset]["ridge"])[0]
        assert row[0] == f"{report_data.value(asset, 'ridge', 'max_drawdown').value:.1%}"


def test_the_policy_is_drawn_above_buy_and_hold(report_data):
    figure = rolling_figure(report_data, "IBM", Times())
    assert [trace["name"] for trace in figure["data"]] == ["buy and hold", "ridge"]
    assert len(figure["data"][0]["y"]) == 650 - 126 + 1
