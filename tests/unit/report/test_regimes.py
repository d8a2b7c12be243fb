"""Regimes: known at the close before, each bar in one, and their figures by hand."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.reporting.regimes import (
    mean_and_sharpe,
    regime_rows,
    regimes,
)


def market(bars=1000, seed=5):
    rng = np.random.default_rng(seed)
    calm = np.where(np.arange(bars) // 100 % 2 == 0, 0.004, 0.02)
    return 100 * np.exp(np.concatenate([[0.0], np.cumsum(rng.normal(0, 1, bars) * calm)]))


def test_each_bar_is_in_one_regime():
    found = regimes(market())
    assert len(found) == 7
    assert (sum(inside.astype(int) for inside in found.values()) == 1).all()
    assert found["not known yet"].tolist() == [True] * 126 + [False] * 874


def test_the_trend_is_that_of_the_closes_before():
    equity = market()
    found = regimes(equity)
    rising = found["rising, calm"] | found["rising, usual"] | found["rising, stormy"]
    for bar in (126, 127, 500, 999):
        assert rising[bar] == (equity[bar] > equity[bar - 126])


def test_volatility_is_in_thirds_and_sees_the_stormy_stretches():
    found = regimes(market())
    shares = [
        (found[f"rising, {name}"] | found[f"falling, {name}"]).sum() / 874
        for name in ("calm", "usual", "stormy")
    ]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.002)
    stormy = found["rising, stormy"] | found["falling, stormy"]
    assert stormy[330:400].mean() > 0.6  # a wild stretch, 30 bars after it began
    assert not stormy[430:500].any()


def test_what_comes_later_moves_no_regime_but_through_the_thirds():
    equity = market()
    changed = equity.copy()
    changed[801:] = equity[800]
    before, after = regimes(equity), regimes(changed)
    for way in ("rising", "falling"):
        states = [f"{way}, {name}" for name in ("calm", "usual", "stormy")]
        one, other = (sum(found[s].astype(int) for s in states) for found in (before, after))
        assert (one[:801] == other[:801]).all()


def test_short_or_ruined_markets_have_none():
    assert regimes(market(99)) == {}
    assert len(regimes(market(100))) == 7
    assert regimes(np.concatenate([market(), [0.0]])) == {}


def test_figures_by_hand():
    equity = np.array([100.0, 110, 99, 118.8] * 10)[:31]
    returns = equity[1:] / equity[:-1] - 1
    inside = np.arange(30) < 24
    mean, ratio = mean_and_sharpe(equity, inside, 4.0)
    assert mean == pytest.approx(4 * sum(returns[:24]) / 24)
    spread = np.sqrt(sum((returns[:24] - sum(returns[:24]) / 24) ** 2) / 23)
    assert ratio == pytest.approx(sum(returns[:24]) / 24 / spread * 2)
    assert mean_and_sharpe(equity, np.arange(30) < 3, 4.0) == (pytest.approx(4 * 0.2 / 3), None)
    assert mean_and_sharpe(equity, np.zeros(30, bool), 4.0) == (None, None)
    assert mean_and_sharpe(np.array([1.0, 0.0]), np.ones(1, bool), 4.0) == (None, None)


def test_the_table_has_regimes_and_years(report_data):
    rows = regime_rows(report_data, "PORTFOLIO")
    assert [row.name for row in rows[-4:]] == ["2010", "2011", "2012", "2013"]
    shares = [float(row.share.rstrip("%")) for row in rows[:7]]
    assert sum(shares) == pytest.approx(100, abs=4)
    assert rows[-2].exposure.endswith("%")
